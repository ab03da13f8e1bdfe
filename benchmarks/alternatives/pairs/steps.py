"""The steps of METHOD section 2 that are not colour, in NumPy, OpenCV and SciPy alone, on the whole context crop at its native size.

Written from the method's description, without fpg: the albumentations pipeline of the benchmark and the reference of
`tests/pairs/test_distribution.py` are both built on it. Images are uint8 [H, W, 3], landmarks float [81, 2] as (x, y), boxes
(x0, y0, x1, y1), masks [H, W]. Sources: SBI (CVPR 2022); FPG (ACM MM 2024).
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

HULL_FAMILIES = ("facehull", "dfl_full", "components", "extended")

_JAW, _NOSE, _BROWS = list(range(17)), [27, 28, 29, 30], list(range(17, 27))
_HULLS = {
    "dfl_full": [[*_JAW, *range(48, 68)], [*_NOSE, 33], [*_BROWS, 0, 27, 16, 33]],
    "components": [
        [*range(9), 17],
        [*range(8, 17), 26],
        [17, 18, 19, 8],
        [24, 25, 26, 8],
        [19, 20, 21, 22, 23, 24, 8],
        [*range(17, 22), *_NOSE, *range(31, 36), 8],
        [*range(22, 27), *_NOSE, *range(31, 36), 8],
        [*_NOSE, *range(31, 36)],
    ],
}
_FOREHEAD = [77, 75, 76, 68, 69, 70, 71, 80, 72, 73, 79, 74, 78]
_EYES_AND_MOUTH = [
    45,
    44,
    43,
    42,
    47,
    46,
    39,
    38,
    37,
    36,
    41,
    40,
    54,
    53,
    52,
    51,
    50,
    49,
    48,
    59,
    58,
    57,
    56,
    55,
    64,
    63,
    62,
    61,
    60,
    67,
    66,
    65,
]
_MIRRORED = np.array([*range(16, -1, -1), *range(26, 16, -1), *_NOSE, *range(35, 30, -1), *_EYES_AND_MOUTH, *[0] * 13])
_MIRRORED[_FOREHEAD] = _FOREHEAD[::-1]


def mirror(image: np.ndarray, landmarks: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step 1: x' = W - x, landmarks re-indexed so that each keeps its meaning."""
    width = image.shape[1]
    landmarks = landmarks[_MIRRORED[: len(landmarks)]] * (-1, 1) + (width, 0)
    return image[:, ::-1].copy(), landmarks, np.array([width - box[2], box[1], width - box[0], box[3]])


def cut(image: np.ndarray, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
    """Rows and columns of a crop with the method's rounding."""
    height, width = image.shape[:2]
    return slice(max(0, int(y0)), min(height, int(y1) + 1)), slice(max(0, int(x0)), min(width, int(x1) + 1))


def context(image: np.ndarray, landmarks: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step 2: the context crop, with landmarks and box in its pixels."""
    (x0, y0), (x1, y1) = landmarks[:68].min(0), landmarks[:68].max(0)
    w, h = x1 - x0, y1 - y0
    rows, columns = cut(image, x0 - w / 2, y0 - h, x1 + w / 2, y1 + 0.4 * h)
    origin = np.array([columns.start, rows.start])
    return np.ascontiguousarray(image[rows, columns]), landmarks - origin, box - np.tile(origin, 2)


def hull_mask(landmarks: np.ndarray, family: str, height: int, width: int) -> np.ndarray:
    """Step 3: uint8 {0, 1} from 68 or 81 landmarks."""
    points = landmarks.astype(np.int32)
    if family == "extended":
        points = _with_raised_brows(points)
    groups = [list(range(len(points)))] if family == "facehull" else _HULLS["dfl_full" if family == "dfl_full" else "components"]
    mask = np.zeros((height, width), np.uint8)
    for group in groups:
        cv2.fillConvexPoly(mask, cv2.convexHull(points[group]), 1)
    return mask


def _with_raised_brows(points: np.ndarray) -> np.ndarray:
    """Eyebrows away from the eyes by half of their distance, in integers."""
    right = (points[36] + (points[36] + points[0]) // 2) // 2
    left = (points[45] + (points[45] + points[16]) // 2) // 2
    arcs = np.concatenate([right[None], points[36:40], points[42:46], left[None]])
    points = points.copy()
    points[17:27] += (points[17:27] - arcs) // 2
    return points


def elastic(mask: np.ndarray, rng: np.random.Generator, alpha: float = 50, sigma: float = 7) -> np.ndarray:
    """Step 5, of the mask alone: noise per pixel through SciPy's Gaussian, nearest lookup."""
    height, width = mask.shape
    dx = np.float32(gaussian_filter(rng.uniform(-1, 1, (height, width)), sigma) * alpha)
    dy = np.float32(gaussian_filter(rng.uniform(-1, 1, (height, width)), sigma) * alpha)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(mask, x + dx, y + dy, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)


def draw_feather(rng: np.random.Generator) -> tuple[int, int, int, int, int]:
    """Height, width, k1, k2 and sigma of a feathering."""
    height, width = rng.integers(192, 257, 2)
    k1, k2 = 2 * rng.integers(2, 13, 2) + 1
    return int(height), int(width), int(k1), int(k2), int(rng.integers(5, 46))


def feather(mask: np.ndarray, height: int, width: int, k1: int, k2: int, sigma: int) -> np.ndarray:
    """Step 6 before the ratio: float32 in [0, 1]."""
    soft = cv2.resize(mask.astype(np.float32), (width, height))
    soft = cv2.GaussianBlur(soft, (k1, k1), 0)
    if soft.max() == 0:
        return np.zeros(mask.shape, np.float32)
    soft = soft / soft.max()
    soft[soft < 1] = 0
    soft = cv2.GaussianBlur(soft, (k2, k2), sigma)
    soft = soft / soft.max()
    return cv2.resize(soft, (mask.shape[1], mask.shape[0]))


RATIOS = (0.25, 0.5, 0.75, 1, 1, 1)


def blend(source: np.ndarray, background: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Step 7, back in uint8."""
    weight = mask[..., None]
    return (weight * source + (1 - weight) * background).astype(np.uint8)


def detection(images: list[np.ndarray], mask: np.ndarray, box: np.ndarray, margins: np.ndarray, size: int) -> list[np.ndarray]:
    """Step 9: the same crop of all, resized: float32 [3, S, S] each, / 255, then the mask [1, S, S].

    Args:
        images: uint8 [H, W, 3].
        mask: float32 [H, W].
        box: the face's.
        margins: factors of a quarter of the box's side: left, right, top, bottom.
        size: S.
    """
    x0, y0, x1, y1 = box
    w, h = (x1 - x0) / 4, (y1 - y0) / 4
    rows, columns = cut(mask, x0 - w * margins[0], y0 - h * margins[2], x1 + w * margins[1], y1 + h * margins[3])
    cropped = [cv2.resize(image[rows, columns], (size, size)).astype(np.float32) / 255 for image in images]
    soft = cv2.resize(mask[rows, columns], (size, size))
    return [*(np.ascontiguousarray(image.transpose(2, 0, 1)) for image in cropped), soft[None]]
