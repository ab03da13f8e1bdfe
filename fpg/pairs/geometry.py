"""Where points, boxes and pixels move to: mirror and affine change (METHOD 2.1 and 2.5; SBI, CVPR 2022).

Coordinates are pixel centres: pixel (x, y) is centred at (x, y), the image's centre is (W/2 - 0.5, H/2 - 0.5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fpg.common.landmarks import FOREHEAD_ALONG_HULL
from fpg.common.rectangles import Box
from fpg.pairs.draws import GeometryParams

# dlib's 68 points after mirroring: entry i is the index whose point takes place i
_PAIRS = (
    *((i, 16 - i) for i in range(8)),  # jaw
    *((17 + i, 26 - i) for i in range(5)),  # eyebrows
    *((31, 35), (32, 34)),  # nostrils
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),  # eyes
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),  # mouth
)


def _mirror_order() -> np.ndarray:
    order = np.arange(81)
    for a, b in (*_PAIRS, *zip(FOREHEAD_ALONG_HULL, reversed(FOREHEAD_ALONG_HULL), strict=True)):
        order[a], order[b] = b, a
    order.setflags(write=False)
    return order


MIRROR_ORDER = _mirror_order()
"""int [81]: `landmarks[MIRROR_ORDER]` names the points of a mirrored face; its first 68 entries do so for 68 points."""


def mirror_landmarks(landmarks: np.ndarray, width: int) -> np.ndarray:
    """Landmarks [68 or 81, 2] of the mirrored image: x' = W - x (as released), re-indexed so that each keeps its meaning."""
    mirrored = landmarks[MIRROR_ORDER[: len(landmarks)]]
    mirrored[:, 0] = width - mirrored[:, 0]
    return mirrored


def mirror_box(box: Box, width: int) -> Box:
    """The box in the mirrored image, x' = W - x."""
    return Box(width - box.x1, box.y0, width - box.x0, box.y1)


class Affine(NamedTuple):
    """p' = scale p + shift along each axis, in pixels of the full image."""

    scale_x: float
    shift_x: float
    scale_y: float
    shift_y: float


def affine_fields(params: GeometryParams, height: int, width: int) -> Affine:
    """p' = c + S (p - c) + t about the centre of an image; the translation is not rounded."""
    (scale_x, scale_y), (along_x, along_y) = params.scale, params.translate
    x, y = width / 2 - 0.5, height / 2 - 0.5
    return Affine(scale_x, x - scale_x * x + along_x * width, scale_y, y - scale_y * y + along_y * height)


def affine_matrix(params: GeometryParams, height: int, width: int) -> np.ndarray:
    """`affine_fields` as a matrix: float64 [2, 3]."""
    affine = affine_fields(params, height, width)
    return np.array([[affine.scale_x, 0.0, affine.shift_x], [0.0, affine.scale_y, affine.shift_y]])
