"""A corpus of small files of every kind that cameras, phones and messengers write, each with the picture that a good player shows.

`python -m corpus FOLDER`, in tests/, writes it. Files that cannot be read right are part of it: they have a reason in place of a picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpus.case import Case, scene
from corpus.parts import exif
from corpus.pictures import PICTURES
from corpus.videos import UNEVEN, VIDEOS, display_matrix, video

__all__ = ["CASES", "PICTURES", "UNEVEN", "VIDEOS", "Case", "display_matrix", "exif", "scene", "video", "write_corpus"]

CASES = [*PICTURES, *VIDEOS]


def write_corpus(folder: Path, image: np.ndarray | None = None) -> list[Path]:
    """Every case as a file in a folder, of a scene (uint8 [H, W, 3], even sides, by default `scene()`)."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        case.write(folder / case.name, scene() if image is None else image)
    return [folder / case.name for case in CASES]
