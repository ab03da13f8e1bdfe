"""Folders of pictures: the frames of one video, or stills that have nothing to do with each other? Both are common on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from fpg.data.images import IMAGE_FORMATS
from fpg.data.layouts.base import Diagnostics, natural

Reading = Literal["frames", "stills"]
IMAGES = ("auto", "frames", "stills")
"""What `--images` may be."""
CODE = "images_read_as"
"""Of the finding that says how folders of pictures were read."""
_PROBES = 8
"""Pictures whose size is looked at."""


@dataclass(frozen=True)
class FolderReading:
    """How one folder of pictures was read, and why."""

    folder: Path
    reading: Reading
    images: int
    why: str


def read_as(folder: Path, images: Sequence[Path], asked: str = "auto") -> FolderReading:
    """Frames: their names are one series of numbers (`0001.png`, `frame_12.jpg`) and their sizes are one. Anything else is stills.

    Args:
        folder: that holds the images and no video.
        images: its images, at least one.
        asked: `frames` or `stills` decides; `auto` looks.
    """
    if asked in ("frames", "stills"):
        return FolderReading(folder, "frames" if asked == "frames" else "stills", len(images), "as --images says")
    if len(images) == 1:
        return FolderReading(folder, "stills", 1, "a single picture")
    if not one_series([path.stem for path in images]):
        return FolderReading(folder, "stills", len(images), "their names are no series of frame numbers")
    sizes = _sizes(images)
    if len(sizes) > 1:
        return FolderReading(folder, "stills", len(images), "they are numbered, and of different sizes")
    return FolderReading(
        folder, "frames", len(images), "their names are one series of numbers" + (", their sizes are one" if sizes else "")
    )


def one_series(stems: Sequence[str]) -> bool:
    """Whether names are the same but for one number that is different in each: `a_7`, `a_12`; not `a_1`, `b_1`."""
    parts = [re.split(r"([0-9]+)", stem) for stem in stems]
    if len({len(p) for p in parts}) != 1:
        return False
    differing = [i for i, values in enumerate(zip(*parts, strict=True)) if len(set(values)) > 1]
    return len(differing) == 1 and differing[0] % 2 == 1 and len({int(p[differing[0]]) for p in parts}) == len(parts)


def _sizes(images: Sequence[Path]) -> set[tuple[int, int]]:
    """Sizes of a few pictures, evenly over all; those that cannot be read say nothing."""
    ordered = sorted(images, key=natural)
    sizes = set()
    for path in ordered[:: max(1, len(ordered) // _PROBES)]:
        try:
            with Image.open(path, formats=IMAGE_FORMATS) as image:
                sizes.add(image.size)
        except Exception:  # whatever is wrong with it is said when it is read
            continue
    return sizes


def note_readings(root: Path, taken: Sequence[FolderReading], findings: Diagnostics) -> None:
    """Say how folders of pictures were read: a finding per reading, with the first folder and its reason."""
    for reading, other in (("frames", "stills"), ("stills", "frames")):
        of = [t for t in taken if t.reading == reading]
        if not of:
            continue
        first, images = of[0], sum(t.images for t in of)
        what = "frames of one video each" if reading == "frames" else "stills, each on its own"
        many = f"{len(of)} folder{'s' * (len(of) != 1)} of pictures ({images} in all)"
        where = os.path.relpath(first.folder, root)
        text = f"{many} read as {what} (first {where}: {first.why}); --images {other} reads them the other way"
        findings.note(CODE, first.folder, text)
