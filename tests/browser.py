"""Pages in an installed Chromium: pictures of them, and axe-core's findings."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from fpg.common.errors import MissingDependencyError
from fpg.runtime.report_pdf import find_browser


def browser() -> str:
    """An installed Chromium; the test is skipped without one."""
    try:
        return find_browser()
    except MissingDependencyError as error:
        pytest.skip(str(error))


def axe_script() -> str:
    """axe-core, as the package axe-playwright-python carries it; the test is skipped without it."""
    try:
        found = importlib.metadata.distribution("axe-playwright-python").locate_file("axe_playwright_python/axe.min.js")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("axe-playwright-python, which carries axe-core, is not installed")
    return Path(str(found)).read_text(encoding="utf-8")


def run_browser(*arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[bytes]:
    """Chromium without a window and without a network."""
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    fixed = ["--headless", "--disable-gpu", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars"]
    profile = tempfile.mkdtemp(prefix="fpg-")
    try:
        command = [browser(), *fixed, *root, f"--user-data-dir={profile}", *arguments]
        return subprocess.run(command, capture_output=True, timeout=timeout_s, check=True)
    finally:
        shutil.rmtree(profile, ignore_errors=True)


def screenshot(page: Path, out: Path, width: int, height: int = 2000, *, dark: bool = False) -> Path:
    """A picture of a page at a width, PNG."""
    scheme = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]
    run_browser(*scheme, f"--window-size={width},{height}", f"--screenshot={out}", page.as_uri())
    return out


def axe_findings(page: Path, folder: Path, width: int, *, dark: bool = False) -> list[dict[str, Any]]:
    """What axe-core says of a page: violations, each with its id, impact and the elements."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)  # it forbids what is put in here
    check = "axe.run({resultTypes: ['violations']}).then(r => { document.title = 'done'; "
    check += "const p = document.createElement('pre'); p.id = 'axe'; p.textContent = JSON.stringify(r.violations.map(v => "
    check += "({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map(n => n.html.slice(0, 200))}))); document.body.append(p); })"
    copy = folder / "with-axe.html"
    copy.write_text(text.replace("</body>", f"<script>{axe_script()}</script><script>{check}</script></body>"), encoding="utf-8")
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]
    done = run_browser(*scheme, f"--window-size={width},2000", "--virtual-time-budget=60000", "--dump-dom", copy.as_uri())
    found = re.search(r'<pre id="axe">(.*?)</pre>', done.stdout.decode("utf-8", "replace"), re.DOTALL)
    assert found, "axe-core did not end"
    import html

    value = json.loads(html.unescape(found.group(1)))
    assert isinstance(value, list)
    return value
