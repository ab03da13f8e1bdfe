"""What is public is documented: every module, public class and public function has a docstring and is typed (mypy)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "fpg").rglob("*.py"))


def undocumented(tree: ast.Module) -> list[str]:
    """Public functions and classes of a module, and public methods of its public classes, that lack a docstring."""

    def public(body: list[ast.stmt]) -> list[ast.FunctionDef | ast.ClassDef]:
        return [node for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")]

    missing = []
    for node in public(tree.body):
        missing += [] if ast.get_docstring(node) else [node.name]
        methods = public(node.body) if isinstance(node, ast.ClassDef) else []
        missing += [f"{node.name}.{method.name}" for method in methods if ast.get_docstring(method) is None]
    return missing


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_public_names_are_documented(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "the module has no docstring"
    assert undocumented(tree) == []
