"""Hooks of mkdocs: pages that lie outside `docs/` (README, changelog, ...), notebooks as pages, and the files that pages link to.

Pages are written for reading in the repository. Here their links are turned to where the site has the same file, so that one check,
mkdocs' own (`strict`), holds for both.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
OUTSIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "deploy/README.md")
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(?=[#)])")


def place(path: str) -> str:
    """Where a file of the repository lies in the site's sources."""
    if path == "README.md":
        return "index.md"
    if path.endswith(".ipynb"):
        path = path.removesuffix(".ipynb") + ".md"
    return path.removeprefix("docs/")


def origin(page: str) -> str:
    """The file of the repository that a page was made from."""
    outside = {place(path): path for path in OUTSIDE}
    notebook = f"docs/{page.removesuffix('.md')}.ipynb"
    return outside.get(page) or (notebook if (ROOT / notebook).is_file() else f"docs/{page}")


def target(path: str, link: str) -> str:
    """The file of the repository that a link in another one means."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def relinked(text: str, page: str) -> str:
    """A page's text with links as they are in the site."""
    here = origin(page)
    return LINK.sub(lambda m: posixpath.relpath(place(target(here, m[1])), posixpath.dirname(page) or "."), text)


def notebook(path: Path) -> str:
    """A notebook as Markdown."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts) + f"\n\n[The notebook itself]({path.name})\n"


def on_files(files: Files, config: Any) -> Files:
    """Add pages from outside `docs/`, and every other file that a page links to."""
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in OUTSIDE if (ROOT / path).is_file()}
    texts |= {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
    for path, text in texts.items():
        if path in OUTSIDE:
            files.append(File.generated(config, place(path), content=text))
        for link in LINK.findall(text):
            found = target(path, link)
            if (ROOT / found).is_file() and files.get_file_from_path(place(found)) is None and place(found) not in map(place, texts):
                files.append(File.generated(config, place(found), abs_src_path=str(ROOT / found)))
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        page = place(str(path.relative_to(ROOT)))
        if (there := files.get_file_from_path(page)) is not None:
            files.remove(there)
        files.append(File.generated(config, page, content=notebook(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn the links of a page."""
    if page.file.src_uri.startswith("notebooks/"):
        return markdown
    return relinked(markdown, page.file.src_uri)
