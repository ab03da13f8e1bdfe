"""The documentation's site (`make docs` builds it and checks its links): every page is in it, and links are turned as they should."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site() -> ModuleType:
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "scripts" / "docs_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_site"] = module
    spec.loader.exec_module(module)
    return module


def pages(value: object) -> set[str]:
    """All pages of a navigation."""
    if isinstance(value, str):
        return {value}
    parts = value.values() if isinstance(value, dict) else value
    return set().union(*map(pages, parts))  # type: ignore[arg-type]


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    known = pages(yaml.safe_load(text)["nav"])
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= known
    assert {f"notebooks/{path.stem}.md" for path in (ROOT / "docs/notebooks").glob("*.ipynb")} <= known


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("index.md", "[Data](docs/data.md#splits) [N](docs/notebooks/judge.ipynb)", "[Data](data.md#splits) [N](notebooks/judge.md)"),
        ("training.md", "[R](../benchmarks/results/a.csv) [D](data.md)", "[R](benchmarks/results/a.csv) [D](data.md)"),
        ("deploy/README.md", "[D](../docs/deployment.md) [H](../README.md)", "[D](../deployment.md) [H](../index.md)"),
        ("data.md", "[P](https://doi.org/x) [S](#splits) ![I](images/a.jpg)", "[P](https://doi.org/x) [S](#splits) ![I](images/a.jpg)"),
    ],
)
def test_links_lead_to_where_the_site_has_the_same_file(page: str, text: str, expected: str, site: ModuleType) -> None:
    assert site.relinked(text, page) == expected


def test_a_notebook_becomes_a_page(site: ModuleType) -> None:
    text = site.notebook(ROOT / "docs" / "notebooks" / "judge.ipynb")
    assert text.startswith("# Judge a video\n")
    assert text.count("```python\n") == text.count("\n```\n")
    assert "(judge.ipynb)" in text
