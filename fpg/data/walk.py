"""What a folder holds: pictures and videos to judge, and everything else by name and reason, so that nothing is left out silently.

The twin of `deploy/src/walk.cpp`. Links are followed; a folder that was reached before (a loop, or two links to one) is not entered again.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fpg.common.errors import InputError
from fpg.common.kinds import kind_by_name
from fpg.data.layouts.base import natural


class Skipped(NamedTuple):
    """A file or folder that is nothing to judge."""

    path: Path
    reason: str
    """`audio`, `document`, `archive`, `hidden`, `pipe or device`, `folder reached before`, or the suffix of a file of another kind."""


@dataclass
class Walk:
    """What was found under a folder."""

    root: Path
    media: list[Path] = field(default_factory=list)
    """Videos and pictures by their names, in natural order."""
    unusable: list[InputError] = field(default_factory=list)
    """What a person would expect to be judged and cannot be: pictures and videos of kinds that are not read, links that lead nowhere,
    folders that may not be read."""
    skipped: list[Skipped] = field(default_factory=list)

    def summary(self) -> str:
        """How many were not taken, by reason: `3 not judged: 2 .heic, 1 audio`; `""` where everything was."""
        return summarise_skipped([*(_word(error) for error in self.unusable), *(item.reason for item in self.skipped)])


def summarise_skipped(reasons: Iterable[str]) -> str:
    """`3 not judged: 2 .heic, 1 audio`, the most frequent first; `""` for nothing."""
    counts = sorted(Counter(reasons).items(), key=lambda pair: (-pair[1], pair[0]))
    return f"{sum(n for _, n in counts)} not judged: {', '.join(f'{n} {what}' for what, n in counts)}" if counts else ""


def walk(root: Path) -> Walk:
    """Everything under a folder.

    Raises:
        InputError: the folder itself cannot be read.
    """
    found = Walk(root)
    _enter(root, found, set())
    found.media.sort(key=natural)
    found.unusable.sort(key=lambda error: natural(Path(error.path)))
    found.skipped.sort(key=lambda item: natural(item.path))
    return found


def _word(error: InputError) -> str:
    """What an unusable thing is called where things are counted."""
    if error.code == "missing":
        return "dangling link"
    return os.path.splitext(error.path)[1].lower() if error.code == "unsupported" else "folder that may not be read"


def _enter(folder: Path, found: Walk, seen: set[tuple[int, int]]) -> None:
    try:
        status = folder.stat()
        names = sorted(os.listdir(folder))
    except OSError as error:
        if folder == found.root:
            raise InputError.of(folder, error) from error
        found.unusable.append(InputError.of(folder, error))
        return
    if (status.st_dev, status.st_ino) in seen:
        found.skipped.append(Skipped(folder, "folder reached before"))
        return
    seen.add((status.st_dev, status.st_ino))
    for name in names:
        _take(folder / name, found, seen)


def _take(path: Path, found: Walk, seen: set[tuple[int, int]]) -> None:
    if path.name.startswith("."):
        found.skipped.append(Skipped(path, "hidden"))
        return
    try:
        mode = path.stat().st_mode
    except OSError as error:
        found.unusable.append(dangling(path, error))
        return
    if stat.S_ISDIR(mode):
        _enter(path, found, seen)
        return
    kind, suffix = kind_by_name(path), path.suffix.lower()
    if not stat.S_ISREG(mode):
        found.skipped.append(Skipped(path, "pipe or device"))
    elif kind in ("image", "video"):
        found.media.append(path)
    elif kind.startswith("unread "):
        what = "picture" if kind.endswith("image") else "video"
        found.unusable.append(InputError(path, f"is a {what} of a kind that is not read ({suffix})", "unsupported"))
    else:
        found.skipped.append(Skipped(path, kind or suffix or "file without a suffix"))


def dangling(path: Path, error: OSError) -> InputError:
    """Why a name in a folder leads to nothing."""
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return InputError(path, f"is a link to {os.fsencode(os.readlink(path)).decode('utf-8', 'replace')}, which is not there", "missing")
    return InputError.of(path, error)
