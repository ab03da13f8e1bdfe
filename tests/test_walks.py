"""The walks of docs/architecture.md: every file and function that they name exists, and no stage takes more than one new file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"


def steps() -> list[tuple[str, str]]:
    """(file, function) of every stage of the walks."""
    section = PAGE.read_text(encoding="utf-8").split("## Two walks through the code")[1].split("\n## ")[0]
    return re.findall(r"\| `([^`]+\.(?:py|cpp|h))` \| `([^`]+)`", section)


def defines(path: Path, name: str) -> bool:
    """Whether a file of Python or C++ defines a function or class; `Class.method` or `Class::method` is one of a class."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        scope: list[ast.stmt] = ast.parse(text).body
        for part in name.split("."):
            found = [x for x in scope if isinstance(x, ast.ClassDef | ast.FunctionDef) and x.name == part]
            if not found:
                return False
            scope = found[-1].body
        return True
    return re.search(rf"^(?!.*;$).*(?<![\w:]){re.escape(name)}(?:\(| final|  *{{)", text, re.MULTILINE) is not None


@pytest.mark.parametrize(("file", "name"), steps())
def test_a_step_exists(file: str, name: str) -> None:
    assert (ROOT / file).is_file()
    assert defines(ROOT / file, name)


def test_each_walk_is_whole() -> None:
    files = [file for file, _ in steps()]
    assert len(files) > 40
    assert len(files) - len(set(files)) <= 3  # those that both walks pass


def test_the_check_sees_what_is_missing(tmp_path: Path) -> None:
    python, cpp = tmp_path / "a.py", tmp_path / "a.cpp"
    python.write_text("class A:\n    def b(self):\n        c()\n")
    cpp.write_text("int A::b(int x) {\n  return c(x);\n}\nclass D final : public A {\n")
    assert defines(python, "A.b")
    assert not defines(python, "c")
    assert not defines(python, "A.c")
    assert defines(cpp, "A::b")
    assert defines(cpp, "D")
    assert not defines(cpp, "c")
    assert not defines(cpp, "b")
