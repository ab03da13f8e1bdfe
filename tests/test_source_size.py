"""No file of ours has more than 400 lines, and no function more than 60, without a comment `Long: REASON` in it."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("fpg", "csrc", "deploy")
SUFFIXES = (".py", ".js", ".h", ".cpp", ".cu")
MOST_LINES, MOST_FUNCTION_LINES = 400, 60
REASON = re.compile(r"(#|//) Long: \w")


def sources() -> list[Path]:
    """Files that git tracks, and new ones that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    paths = [ROOT / name for name in listed] or [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    return sorted(path for path in paths if path.suffix in SUFFIXES and path.is_file())


def python_functions(text: str) -> Iterator[tuple[str, list[str]]]:
    """(name, lines without those of the docstring) of every function."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            docstring = set(range(first.lineno, (first.end_lineno or 0) + 1)) if ast.get_docstring(node) is not None else set()
            numbers = range(node.lineno, (node.end_lineno or 0) + 1)
            yield node.name, [lines[n - 1] for n in numbers if n not in docstring]


def cpp_functions(text: str) -> Iterator[tuple[str, list[str]]]:
    """(first line, lines) of every function, as clang-format lays them out: free ones at column 0, those in a class at column 2."""
    lines = text.splitlines()
    in_class = False
    for start, line in enumerate(lines):
        if line[:1].strip():
            in_class = re.match(r"(class|struct) ", line) is not None
        indent = "  " if in_class else ""
        if not re.match(indent + r"[A-Za-z~][^=;]*\(", line) or line.endswith((";", "}")) or re.match(r"(class|struct|#) ", line):
            continue
        end = next((n for n in range(start, len(lines)) if lines[n] == indent + "}"), start)
        yield line.strip(), lines[start : end + 1]


def too_long(path: str, text: str) -> list[str]:
    """What is too long in a file, and gives no reason."""
    found = []
    count = len(text.splitlines())
    if count > MOST_LINES and not REASON.search(text):
        found.append(f"{path}: {count} lines")
    functions = python_functions if path.endswith(".py") else cpp_functions if not path.endswith(".js") else None
    for name, lines in functions(text) if functions is not None else ():
        if len(lines) > MOST_FUNCTION_LINES and not REASON.search("\n".join(lines)):
            found.append(f"{path}: {name} has {len(lines)} lines")
    return found


def test_nothing_is_long_without_a_reason() -> None:
    checked = sources()
    assert len(checked) > 300
    assert [problem for path in checked for problem in too_long(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))] == []


def test_the_check_sees_what_is_long() -> None:
    body = "    x = 1\n" * 60
    assert too_long("a.py", f"def f():\n{body}") == ["a.py: f has 61 lines"]
    docstring = '    """' + "Text.\n" * 30 + '"""\n'
    assert too_long("a.py", f"def f():\n{docstring}{body[:-10]}") == []
    assert too_long("a.py", f"def f():  # Long: a table\n{body}") == []
    statements = "  x = g(y);\n" * 60
    assert too_long("a.cpp", f"int f(int y) {{\n{statements}}}\n") == ["a.cpp: int f(int y) { has 62 lines"]
    assert too_long("a.h", f"class A {{\n  int f(int y,\n        int z) {{\n{statements}  }}\n}};\n") == ["a.h: int f(int y, has 63 lines"]
    assert too_long("a.cpp", f"// Long: generated\nint f(int y) {{\n{statements}}}\n") == ["a.cpp: int f(int y) { has 62 lines"]
    assert too_long("a.js", "x\n" * 401) == ["a.js: 401 lines"]
    assert too_long("a.js", "// Long: vendored\n" + "x\n" * 401) == []
