"""How large a face is, and how large it has to be: one definition for searching, preparation, judging and statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fpg.common.constants import CONSTANTS, message

MIN_FACE: int = CONSTANTS["faces"]["min_face"]
"""Smallest face that is judged and prepared, in pixels (`face_size`).

A detector sees its faces at 224 pixels and more, and video codecs write blocks of 8 and 16 pixels: below two such blocks what it would
judge is the enlargement, not the face.
"""


def face_size(box: Sequence[float] | np.ndarray) -> float:
    """Size of a face in pixels: the root of the area of its box (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = (float(v) for v in box)
    return float(np.sqrt(max(0.0, x1 - x0) * max(0.0, y1 - y0)))


def too_small(box: Sequence[float] | np.ndarray, min_face: float) -> str:
    """What is said of a face below `min_face` pixels."""
    return message("face_too_small", size=int(face_size(box)), min_face=f"{min_face:g}")
