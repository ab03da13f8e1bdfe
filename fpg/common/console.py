"""What programs print: one console on stderr, one look for progress bars and tables. Results go to stdout or to files."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

console = Console(stderr=True, highlight=False, soft_wrap=True)


def any_terminal() -> None:
    """Let the standard streams take any text: what their encoding lacks is escaped (`\\xe9`), and one that is closed takes it nowhere."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file that is opened would become it
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def takes_unicode(stream: TextIO) -> bool:
    """Whether a stream's encoding has every character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def takes_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows colours, and nobody asked for none (`NO_COLOR`)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def progress(description: str = "", *, disable: bool = False) -> Progress:
    """A progress bar with counts, elapsed and remaining time; use as a context manager. Silent where stderr is no terminal."""
    return Progress(
        TextColumn("{task.description}" if not description else description + " {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=disable or not console.is_terminal,
    )


def table(title: str, columns: list[str], rows: list[list[str]], *, to: Console = console, text: bool = False) -> None:
    """Print a table; the first column is left-aligned, the others right.

    Args:
        title: above the table.
        columns: their names.
        rows: one string per column, printed as it is (no markup).
        to: where; `output()` for a result that belongs on stdout.
        text: left-align every column.
    """
    grid = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        grid.add_column(name, justify="left" if text or index == 0 else "right", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(one_line(cell)) for cell in row))
    to.print(grid)


def output() -> Console:
    """A console on the present stdout, for tables that are the program's result."""
    return Console(highlight=False, soft_wrap=True)


def one_line(text: str) -> str:
    """Text that may hold a file name, for the terminal: line breaks, control sequences and undecodable bytes replaced."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
