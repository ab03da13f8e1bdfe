"""The crop rules: one definition for preparation, training, evaluation and deployment (METHOD: SBI, CVPR 2022, as FPG uses it).

Boxes are (x0, y0, x1, y1) in pixels, x to the right, y down. A crop is (y0, y1, x0, x1), half open, ready for
slicing `image[y0:y1, x0:x1]`. Pixel bounds are `max(0, int(lo))` and `min(size, int(hi) + 1)` as released.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Crop = tuple[int, int, int, int]

EVALUATION_DRAW = (0.5, 0.5, 0.5, 0.5)
"""The margin draws of evaluation and deployment: factor 0.6 x 0.5 + 0.2 = 0.5 on every side."""


AREA_SHARE = 0.5
"""A face counts when its box has at least this share of the area of the largest box in its frame (FPG and SBI, evaluation)."""


def _bounds(x0: float, y0: float, x1: float, y1: float, height: int, width: int) -> Crop:
    crop = (max(0, int(y0)), min(height, int(y1) + 1), max(0, int(x0)), min(width, int(x1) + 1))
    if crop[0] >= crop[1] or crop[2] >= crop[3]:
        raise ValueError(f"box: expected to meet the image of {height} x {width}, got ({x0:.1f}, {y0:.1f}, {x1:.1f}, {y1:.1f})")
    return crop


def context_crop(landmarks: np.ndarray, height: int, width: int) -> Crop:
    """Crop with context around the face: w/2 to each side, h above, 0.4 h below the box of the first 68 landmarks.

    Args:
        landmarks: float [N, 2] with N >= 68, (x, y) in pixels.
        height, width: of the image.

    Raises:
        ValueError: not landmarks, not finite, or a box outside the image.
    """
    if landmarks.ndim != 2 or landmarks.shape[0] < 68 or landmarks.shape[1] != 2:
        raise ValueError(f"landmarks: expected [>= 68, 2], got {list(landmarks.shape)}")
    if not np.isfinite(landmarks).all():
        raise ValueError("landmarks: expected finite coordinates, got NaN or infinity")
    (x0, y0), (x1, y1) = landmarks[:68].min(0), landmarks[:68].max(0)
    w, h = x1 - x0, y1 - y0
    return _bounds(x0 - w / 2, y0 - h, x1 + w / 2, y1 + 0.4 * h, height, width)


def detection_crop(box: Sequence[float] | np.ndarray, height: int, width: int, draw: Sequence[float] = EVALUATION_DRAW) -> Crop:
    """Crop that the detector sees: margins of w/4 and h/4 per side, each scaled by 0.6 u + 0.2.

    Args:
        box: face box (x0, y0, x1, y1) in pixels.
        height, width: of the image.
        draw: u in [0, 1] for left, right, top, bottom; the default is the evaluation crop (factor 0.5).

    Raises:
        ValueError: a box that is empty, not finite or outside the image.
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    w, h = x1 - x0, y1 - y0
    if not (np.isfinite([x0, y0, x1, y1]).all() and w > 0 and h > 0):
        raise ValueError(f"box: expected finite x0 < x1 and y0 < y1, got ({x0}, {y0}, {x1}, {y1})")
    left, right, top, bottom = (0.6 * float(u) + 0.2 for u in draw)
    return _bounds(x0 - w / 4 * left, y0 - h / 4 * top, x1 + w / 4 * right, y1 + h / 4 * bottom, height, width)


def face_input(image: np.ndarray, box: Sequence[float] | np.ndarray, size: int, draw: Sequence[float] = EVALUATION_DRAW) -> np.ndarray:
    """What the detector sees of one face: detection crop, bilinear resize, scale to [0, 1] (METHOD 2.9).

    The resize is OpenCV's bilinear one (pixel centres, no antialiasing, rounded to uint8 for uint8 images).

    Args:
        image: uint8 [H, W, 3], RGB.
        box: face box (x0, y0, x1, y1) in pixels of `image`.
        size: side S of the result, in pixels.
        draw: margin draws as in `detection_crop`; the default is the evaluation crop.

    Returns:
        float32 [3, S, S] in [0, 1], contiguous.

    Raises:
        ValueError: not such an image, or a box that `detection_crop` refuses.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"image: expected uint8 [H, W, 3], not empty, got {image.dtype} {list(image.shape)}")
    return network_input(image, detection_crop(box, image.shape[0], image.shape[1], draw), size)


def network_input(image: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """Cut `crop` out of uint8 [H, W, 3], resize (bilinear) and scale: float32 [3, size, size] in [0, 1], contiguous."""
    y0, y1, x0, x1 = crop
    resized = cv2.resize(image[y0:y1, x0:x1], (size, size), interpolation=cv2.INTER_LINEAR)
    return np.divide(np.stack(cv2.split(resized)), np.float32(255), dtype=np.float32)
