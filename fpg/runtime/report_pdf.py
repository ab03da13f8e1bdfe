"""A page as PDF, printed by a Chromium that is installed: nothing is fetched, and nothing leaves the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from fpg.common.errors import InputError, MissingDependencyError
from fpg.common.files import atomic_write

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
TIMEOUT_S = 300
_OFFLINE = (
    "--headless",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-pdf-header-footer",
)


def find_browser() -> str:
    """The Chromium to print with: `$FPG_CHROMIUM`, or the first that is on the path.

    Raises:
        MissingDependencyError: none is there.
    """
    given = os.environ.get("FPG_CHROMIUM")
    found = shutil.which(given) if given else next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        what = f"{given} ($FPG_CHROMIUM) is not a program" if given else "none is installed"
        raise MissingDependencyError(f"--pdf prints with Chromium, and {what}: apt-get install chromium, or print --report from a browser")
    return found


def print_page(path: str | os.PathLike[str], write: Callable[[Path], None]) -> None:
    """Print a page, atomically.

    Args:
        path: of the PDF.
        write: makes the HTML file of that name.

    Raises:
        MissingDependencyError: there is no Chromium.
        InputError: it does not print, or the file cannot be written.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="fpg-") as folder:
        page, printed = Path(folder) / "page.html", Path(folder) / "page.pdf"
        write(page)
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # Chromium's own asks for another user
        command = [browser, *_OFFLINE, *root, f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}", page.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
            data = printed.read_bytes() if printed.exists() else b""
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        except (OSError, subprocess.TimeoutExpired) as error:
            data, said = b"", [str(error)]
        if not data.startswith(b"%PDF-"):
            raise InputError(path, f"cannot be written: {browser} did not print ({said[-1] if said else 'no reason given'})", "not_written")
        with atomic_write(path) as file:
            file.write(data)
