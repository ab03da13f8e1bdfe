"""A corpus of small files of every kind that cameras, phones and messengers write, each with the picture that a good player shows.

`python -m corpus FOLDER`, in tests/, writes it. Files that cannot be read right are part of it: they have a reason in place of a picture.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpus.case import Case, scene
from corpus.parts import exif
from corpus.pictures import PICTURES
from corpus.videos import UNEVEN, VIDEOS, display_matrix, video

__all__ = ["CASES", "PICTURES", "UNEVEN", "VIDEOS", "Case", "display_matrix", "exif", "misnamed", "scene", "video", "write_corpus"]

CASES = [*PICTURES, *VIDEOS]
MISNAMED = {
    "o1.jpg": "JPEG", "plain.png": "PNG", "plain.webp": "WebP", "plain.tif": "TIFF", "mm.tif": "TIFF", "plain.jp2": "JPEG 2000",
    "plain.heic": "HEIF or AVIF", "plain.avif": "HEIF or AVIF", "plain.mp4": "MP4 or QuickTime", "hevc.mov": "MP4 or QuickTime",
    "vp9.webm": "Matroska or WebM", "old.avi": "AVI", "plain.flv": "Flash", "mpeg1.mpg": "MPEG",
}  # fmt: skip
"""What their first bytes say that they are."""


def misnamed() -> list[Case]:
    """Pictures under a video's name, and the other way around, with the whole reason why they are not read."""
    found = []
    for case in CASES:
        name, picture = Path(case.name), case in PICTURES
        what = MISNAMED.get(case.name)
        if what is not None:
            reason = f"is a {'picture' if picture else 'video'} ({what}), and its name is that of a {'video' if picture else 'picture'}"
            write = functools.partial(_under_another_name, case)
            found.append(replace(case, name=f"{name.stem}_{name.suffix[1:]}{'.mp4' if picture else '.jpg'}", write=write, refused=reason))
    return found


def _under_another_name(case: Case, path: Path, image: np.ndarray) -> None:
    case.write(path.with_name(case.name), image)
    path.with_name(case.name).rename(path)


def write_corpus(folder: Path, image: np.ndarray | None = None) -> list[Path]:
    """Every case as a file in a folder, of a scene (uint8 [H, W, 3], even sides, by default `scene()`)."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        case.write(folder / case.name, scene() if image is None else image)
    return [folder / case.name for case in CASES]
