"""Geometry: mirror, affine change of source and mask, elastic change of the mask (METHOD 2.1 and 2.5; SBI, CVPR 2022).

Coordinates are pixel centres: pixel (x, y) is centred at (x, y), the image's centre is (W/2 - 0.5, H/2 - 0.5).
"""

from __future__ import annotations

import cv2
import numpy as np

from fpg.augment.params import GeometryParams

# dlib's 68 points after mirroring: entry i is the index whose point takes place i
_PAIRS = (
    *((i, 16 - i) for i in range(8)),  # jaw
    *((17 + i, 26 - i) for i in range(5)),  # eyebrows
    *((31, 35), (32, 34)),  # nostrils
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),  # eyes
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),  # mouth
)
FOREHEAD_ORDER = (77, 75, 76, 68, 69, 70, 71, 80, 72, 73, 79, 74, 78)
"""The 13 forehead points read along the hull, from one temple to the other."""


def _mirror_order() -> np.ndarray:
    order = np.arange(81)
    for a, b in (*_PAIRS, *zip(FOREHEAD_ORDER, reversed(FOREHEAD_ORDER), strict=True)):
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


def mirror_box(box: np.ndarray, width: int) -> np.ndarray:
    """Box (x0, y0, x1, y1) of the mirrored image, x' = W - x."""
    return np.array([width - box[2], box[1], width - box[0], box[3]])


def affine_matrix(params: GeometryParams, height: int, width: int) -> np.ndarray:
    """float64 [2, 3] of p' = c + S (p - c) + t; the translation is not rounded."""
    center = np.array([width / 2 - 0.5, height / 2 - 0.5])
    scale = np.array(params.scale)
    shift = np.array(params.translate) * (width, height)
    return np.column_stack([np.diag(scale), center - scale * center + shift])


def warp_image(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Affine warp of uint8 [H, W, 3], bilinear, zero outside, rounded to nearest."""
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def warp_mask(mask: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Affine warp of uint8 [H, W], nearest, zero outside."""
    size = (mask.shape[1], mask.shape[0])
    return cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def elastic_noise(key: int, first_row: int, last_row: int, width: int) -> np.ndarray:
    """Uniform noise of the rows first_row..last_row - 1 of the field of `key`: float32 [rows, width, 2], (x, y), in [-1, 1).

    Pixel i = y W + x owns word i of the Philox-4x64-10 stream of `key` (counter i // 4 + 1, lane i % 4), so that any part of the field
    can be made anywhere. The upper 24 of the low 32 bits, scaled to [-1, 1), are the noise of x; those of the high 32 bits that of y.
    """
    first, last = first_row * width, last_row * width
    words = np.random.Philox(counter=first // 4, key=key).random_raw(last - first // 4 * 4)[first % 4 :]
    halves = words.astype("<u8").view("<u4").reshape(last_row - first_row, width, 2)
    return (halves >> 8).astype(np.float32) * np.float32(2**-23) - np.float32(1)


def deform_mask(mask: np.ndarray, key: int, alpha: float, sigma: float) -> np.ndarray:
    """Elastic change: the mask at p is the mask at p + alpha x Gaussian(sigma) of uniform noise in [-1, 1].

    The Gaussian reaches 4 sigma, its border repeats the edge pixel (SciPy's "reflect"); the lookup is nearest, its border is mirrored
    without the edge pixel. Only the surroundings of the mask are computed: nothing moves farther than alpha, so the rest stays zero.

    Args:
        mask: uint8 [H, W], values {0, 1}.
        key: of the noise.
        alpha: pixels, at least 0.
        sigma: pixels.

    Returns:
        uint8 [H, W], values {0, 1}.
    """
    height, width = mask.shape
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0 or h == 0:
        return np.zeros_like(mask)
    reach, radius = int(np.ceil(alpha)) + 1, int(4 * sigma + 0.5)
    y0, y1 = max(0, y - reach), min(height, y + h + reach)
    x0, x1 = max(0, x - reach), min(width, x + w + reach)
    top, bottom = max(0, y0 - radius), min(height, y1 + radius)
    left, right = max(0, x0 - radius), min(width, x1 + radius)
    noise = np.ascontiguousarray(elastic_noise(key, top, bottom, width)[:, left:right])
    side = 2 * radius + 1
    field = cv2.GaussianBlur(noise, (side, side), sigma, borderType=cv2.BORDER_REFLECT)[y0 - top : y1 - top, x0 - left : x1 - left]
    field = field * np.float32(alpha)
    map_x = field[..., 0] + np.arange(x0, x1, dtype=np.float32)
    map_y = field[..., 1] + np.arange(y0, y1, dtype=np.float32)[:, None]
    deformed = np.zeros_like(mask)
    deformed[y0:y1, x0:x1] = cv2.remap(mask, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    return deformed
