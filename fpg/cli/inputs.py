"""What the arguments of fpg-detect name: files, URLs, and what folders hold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fpg.common.errors import InputError, UsageError
from fpg.data.video import CAMERA
from fpg.data.walk import Skipped, walk
from fpg.runtime.inputs import is_url
from fpg.runtime.judgement import printable


@dataclass
class InputList:
    """What there is to judge, and what folders hold besides."""

    files: list[Path | str] = field(default_factory=list)
    """Files and URLs, each once."""
    errors: list[InputError] = field(default_factory=list)
    """Folders without anything, and what folders hold that one would expect to be judged and cannot be."""
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """One line per folder from which not everything is judged."""


def is_camera(name: str) -> bool:
    """Whether an input is the number of a camera: a number that no file or folder has for its name."""
    return name.isascii() and name.isdecimal() and len(name) <= 3 and not os.path.exists(name)


def expand(inputs: Sequence[str]) -> InputList:
    """Files, URLs and cameras (`camera:N`) to judge: folders give every video and image in them, recursively, links included.

    Raises:
        UsageError: an empty name.
    """
    result = InputList()
    files: dict[Path | str, None] = {}
    for name in inputs:
        if not name:
            raise UsageError("INPUT: expected a file or folder, got an empty name")
        if is_camera(name):
            files.setdefault(f"{CAMERA}{int(name)}")
            continue
        if is_url(name) or not os.path.isdir(name):
            files.setdefault(name if is_url(name) else Path(name))
            continue
        try:
            found = walk(Path(name))
        except InputError as error:
            result.errors.append(error)
            continue
        if not found.media and not found.unusable:
            result.errors.append(InputError(name, "the folder holds no videos or images", "empty"))
        files.update(dict.fromkeys(found.media))
        result.errors += found.unusable
        result.skipped += found.skipped
        if text := found.summary():
            result.notes.append(f"{printable(name)}: {text}")
    result.files = list(files)
    return result
