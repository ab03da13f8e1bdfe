"""What arrives in a folder: files, once each, when nobody is writing them any more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from fpg.common.errors import InputError
from fpg.data.walk import walk

POLL_S = 0.5
"""How often the folder is looked at."""
SETTLED = 2
"""A file has arrived when its size and time stayed the same from one look to the next, so many times."""


def arrivals(folder: str, *, poll_s: float = POLL_S) -> Iterator[Path | None]:
    """Videos and pictures under a folder, those that are there and those that come, without end; None when there is nothing new.

    Args:
        folder: watched, with all below it.
        poll_s: seconds between two looks.

    Raises:
        InputError: the folder cannot be read at the beginning. One that is away later is waited for.
    """
    given: set[Path] = set()
    waiting: dict[Path, tuple[tuple[int, int], int]] = {}
    found = walk(Path(folder))
    while True:
        fresh = []
        for path in found.media:
            if path in given:
                continue
            try:
                status = path.stat()
            except OSError:
                continue
            state = (status.st_size, status.st_mtime_ns)
            before, looks = waiting.get(path, (state, 0))
            waiting[path] = (state, looks + 1 if state == before else 1)
            if waiting[path][1] > SETTLED and status.st_size:
                fresh.append(path)
        for path in fresh:
            given.add(path)
            del waiting[path]
            yield path
        if not fresh:
            yield None
            time.sleep(poll_s)
        try:
            found = walk(Path(folder))
        except InputError:
            found.media.clear()
