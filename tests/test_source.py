"""The sources as a reader meets them: a class name means one thing, and comments point to sections of the documentation that exist."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECTION = re.compile(r"METHOD (\d+(?:\.\d+)?(?:(?:, | and | to )\d+\.\d+)*)")
HEADINGS = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", (ROOT / "docs" / "method.md").read_text(encoding="utf-8"), re.MULTILINE))


def class_names(text: str) -> list[str]:
    return [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]


def sections(text: str) -> set[str]:
    """Numbers of the sections that a source refers to: both of `METHOD 2.3 and 2.5`; line breaks and comment marks may lie between."""
    flat = re.sub(r"\s*\n\s*(?://+|#+)?\s*", " ", text)
    return {number for found in SECTION.finditer(flat) for number in re.findall(r"\d+(?:\.\d+)?", found.group(1))}


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "fpg").rglob("*.py")):
        for name in class_names(path.read_text(encoding="utf-8")):
            places[name].append(str(path.relative_to(ROOT)))
    assert len(places) > 200  # else nothing was looked at
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_nested_and_private_classes_count() -> None:
    assert class_names("class A:\n    class _B: ...\ndef f():\n    class C: ...\n") == ["A", "_B", "C"]


def test_references_to_the_method_point_to_its_sections() -> None:
    assert {"1", "2", "2.1", "4.6", "5"} <= HEADINGS
    found = {}
    for folder in ("benchmarks", "csrc", "fpg", "tests"):
        for path in (ROOT / folder).rglob("*.*"):
            if (
                path.suffix in {".py", ".h", ".cpp", ".cu"}
                and path != Path(__file__)
                and (numbers := sections(path.read_text(encoding="utf-8")))
            ):
                found[str(path.relative_to(ROOT))] = numbers
    assert len(found) > 10
    assert {path: missing for path, numbers in found.items() if (missing := numbers - HEADINGS)} == {}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("(METHOD 2; SBI)", {"2"}),
        ("METHOD 4.1 to 4.6: perceive", {"4.1", "4.6"}),
        ("METHOD 2.3, 2.5 and 2.6", {"2.3", "2.5", "2.6"}),
        ("// METHOD 2.3, 2.5\n// and 2.6", {"2.3", "2.5", "2.6"}),
        ("METHOD of FPG", set()),
    ],
)
def test_sections_are_found(text: str, numbers: set[str]) -> None:
    assert sections(text) == numbers


def test_lines_of_the_documentation_are_at_most_120_columns() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    assert len(pages) > 15
    long = [
        f"{page.relative_to(ROOT)}:{number}"
        for page in pages
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 120 and not (page.name == "inputs.md" and line.startswith("|"))  # that table is generated
    ]
    assert long == []
