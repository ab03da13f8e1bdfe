"""What programs print: one console on stderr, one look for progress bars and tables. Results go to stdout or to files."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

console = Console(stderr=True, highlight=False, soft_wrap=True)


def progress(description: str = "", *, disable: bool = False) -> Progress:
    """A progress bar with counts, elapsed and remaining time; use as a context manager and `add_task`."""
    return Progress(
        TextColumn("{task.description}" if not description else description + " {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=disable,
    )


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table; the first column is left-aligned, the others right."""
    grid = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        grid.add_column(name, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console.print(grid)
