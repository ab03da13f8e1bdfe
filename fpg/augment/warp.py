"""Geometry: mirror, affine change of source and mask, elastic change of the mask (METHOD 2.1 and 2.5; SBI, CVPR 2022).

Coordinates are pixel centres: pixel (x, y) is centred at (x, y), the image's centre is (W/2 - 0.5, H/2 - 0.5).
"""

from __future__ import annotations

import cv2
import numpy as np

from fpg.augment.params import GeometryParams
from fpg.common.landmarks import FOREHEAD_ALONG_HULL
from fpg.common.philox import noise_field

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


def mirror_box(box: np.ndarray, width: int) -> np.ndarray:
    """Box (x0, y0, x1, y1) of the mirrored image, x' = W - x."""
    return np.array([width - box[2], box[1], width - box[0], box[3]])


def affine_fields(params: GeometryParams, height: int, width: int) -> tuple[float, float, float, float]:
    """(scale x, shift x, scale y, shift y) of p' = c + S (p - c) + t; the translation is not rounded."""
    (scale_x, scale_y), (share_x, share_y) = params.scale, params.translate
    x, y = width / 2 - 0.5, height / 2 - 0.5
    return scale_x, x - scale_x * x + share_x * width, scale_y, y - scale_y * y + share_y * height


def affine_matrix(params: GeometryParams, height: int, width: int) -> np.ndarray:
    """`affine_fields` as a matrix: float64 [2, 3]."""
    scale_x, shift_x, scale_y, shift_y = affine_fields(params, height, width)
    return np.array([[scale_x, 0.0, shift_x], [0.0, scale_y, shift_y]])


def warp_image(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Affine warp of uint8 [H, W, 3], bilinear, zero outside, rounded to nearest."""
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def warp_mask(mask: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Affine warp of uint8 [H, W], nearest, zero outside."""
    size = (mask.shape[1], mask.shape[0])
    return cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def elastic_blur(sigma: float) -> tuple[float, int]:
    """Deviation and radius, in grid steps of 2 pixels, of the Gaussian that gives a field of deviation `sigma` pixels.

    Interpolation between grid points is a blur of its own, of variance 3/16 (weights 1/4 and 3/4 at every pixel); it is taken off.
    """
    grid_sigma = float(np.sqrt(max(0.0, (sigma / 2) ** 2 - 3 / 16)))
    return grid_sigma, int(4 * grid_sigma + 0.5)


def elastic_field(
    key: int, alpha: float, sigma: float, height: int, width: int, rows: tuple[int, int], columns: tuple[int, int]
) -> np.ndarray:
    """Displacement of the pixels of a part of an image: float32 [rows, columns, 2], (x, y), in pixels.

    The method's field is alpha x Gaussian(sigma) of uniform noise per pixel. This one has the same distribution (deviation, correlation)
    with a quarter of the noise: noise on a grid of every second pixel, of half the deviation because a Gaussian of half as many points
    averages less, blurred to 4 sigma with the edge repeated (SciPy's "reflect"), and interpolated bilinearly. Grid point g lies at pixel
    2 g + 1/2; beyond the outermost points the field is constant. With sigma below 1.7 pixels the grid is coarser than the field asked for.

    Args:
        key: of `fpg.common.philox.noise_field`.
        alpha, sigma: pixels.
        height, width: of the whole image, pixels.
        rows, columns: first and one past the last pixel.
    """
    grid_sigma, radius = elastic_blur(sigma)
    parts = []
    for (first, last), size in ((rows, height), (columns, width)):
        grid = (size + 1) // 2
        low, high = max(0, (first - 1) // 2), min(grid, last // 2 + 1)  # the points around the pixels
        parts.append((low, high, max(0, low - radius), min(grid, high + radius)))
    (y0, y1, top, bottom), (x0, x1, left, right) = parts
    noise = noise_field(key, (top, bottom), (left, right))
    side = 2 * radius + 1
    blurred = noise if radius == 0 else cv2.GaussianBlur(noise, (side, side), grid_sigma, borderType=cv2.BORDER_REFLECT)
    coarse = np.ascontiguousarray(blurred[y0 - top : y1 - top, x0 - left : x1 - left] * np.float32(alpha / 2))
    fine = cv2.resize(coarse, (2 * (x1 - x0), 2 * (y1 - y0)), interpolation=cv2.INTER_LINEAR)
    return fine[rows[0] - 2 * y0 : rows[1] - 2 * y0, columns[0] - 2 * x0 : columns[1] - 2 * x0]


def deform_mask(mask: np.ndarray, key: int, alpha: float, sigma: float) -> np.ndarray:
    """Elastic change: the mask at p is the mask at p + `elastic_field`(p).

    The lookup is nearest, its border is mirrored without the edge pixel. Only the surroundings of the mask are computed: nothing
    moves farther than alpha / 2, so the rest stays zero.

    Args:
        mask: uint8 [H, W], values {0, 1}.
        key: of the noise, 64 bits.
        alpha: pixels, at least 0.
        sigma: pixels.

    Returns:
        uint8 [H, W], values {0, 1}.
    """
    height, width = mask.shape
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0 or h == 0:
        return np.zeros_like(mask)
    reach = int(np.ceil(alpha / 2)) + 1
    y0, y1 = max(0, y - reach), min(height, y + h + reach)
    x0, x1 = max(0, x - reach), min(width, x + w + reach)
    field = elastic_field(key, alpha, sigma, height, width, (y0, y1), (x0, x1))
    map_x = field[..., 0] + np.arange(x0, x1, dtype=np.float32)
    map_y = field[..., 1] + np.arange(y0, y1, dtype=np.float32)[:, None]
    deformed = np.zeros_like(mask)
    deformed[y0:y1, x0:x1] = cv2.remap(mask, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    return deformed
