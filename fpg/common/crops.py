"""The crop rules: one definition for preparation, training, evaluation and deployment (METHOD: SBI, CVPR 2022, as FPG uses it).

A model's sidecar names its rule (`fpg.common.spec.CROPS`): `evaluation` is fpg's own; `aligned` is that of detectors trained on faces
turned upright by five points.

Boxes and crops have the order of `fpg.common.rectangles`. Pixel bounds are `max(0, int(lo))` and `min(size, int(hi) + 1)` as released.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fpg.common.constants import CONSTANTS, message
from fpg.common.rectangles import Crop
from fpg.common.upright import Roi, crop_upright

EVALUATION_DRAW = (0.5, 0.5, 0.5, 0.5)
"""The margin draws of evaluation and deployment: factor 0.6 x 0.5 + 0.2 = 0.5 on every side."""


_FACES = CONSTANTS["faces"]
AREA_FRACTION: float = _FACES["area_fraction"]
"""A face counts when its box has at least this fraction of the area of the largest box in its frame (FPG and SBI, evaluation)."""
ALIGNED_POINTS = np.array(_FACES["aligned_points"])
"""Where eyes, nose and mouth corners come to lie in the unit square before it is enlarged (GenD, WACV 2026)."""
ALIGNED_SCALE: float = _FACES["aligned_scale"]
"""Side of the aligned crop over that of the unit square, with the same centre."""
SMALLEST_ALIGNED: int = _FACES["smallest_aligned"]
"""Side in pixels below which an aligned crop shows too little to be judged; the eyes are then less than 12 px apart."""


class FaceRejected(ValueError):
    """A face that cannot be cut as a rule wants it; says why. It is reported and gets no score."""


def _bounds(x0: float, y0: float, x1: float, y1: float, height: int, width: int) -> Crop:
    crop = Crop(max(0, int(y0)), min(height, int(y1) + 1), max(0, int(x0)), min(width, int(x1) + 1))
    if crop.height <= 0 or crop.width <= 0:
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


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Eyes, nose tip and mouth corners of landmarks in dlib's order, as detectors of faces give them.

    An eye is the mean of its six points on the lids (36 to 41, 42 to 47), the nose is point 30, the mouth's corners are 48 and 54. Left and
    right as seen in an upright image.

    Args:
        landmarks: float [N, 2] with N >= 68.

    Returns:
        float64 [5, 2] = (x, y): left eye, right eye, nose, left and right corner of the mouth.
    """
    points = np.asarray(landmarks, np.float64)
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])


def aligned_square(points: np.ndarray, height: int, width: int) -> Roi:
    """The turned square of the aligned crop: `ALIGNED_POINTS` moved, turned and scaled onto a face's points with the least squared error.

    Args:
        points: float [5, 2] as `five_points` gives them.
        height, width: of the image.

    Raises:
        FaceRejected: a point lies outside the image, or the square is smaller than `SMALLEST_ALIGNED`.
    """
    points = np.asarray(points, np.float64)
    for (x, y), name in zip(points, _FACES["aligned_names"], strict=True):
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            raise FaceRejected(message("aligned_cut_off", point=name))
    template = (ALIGNED_POINTS - 0.5) / ALIGNED_SCALE
    middle, centre = template.mean(0), points.mean(0)
    t, p = template - middle, points - centre
    along = (t * p).sum() / (t * t).sum()
    across = (t[:, 0] * p[:, 1] - t[:, 1] * p[:, 0]).sum() / (t * t).sum()
    side = float(np.hypot(along, across))
    if side < SMALLEST_ALIGNED:
        raise FaceRejected(message("aligned_too_small", side=f"{side:.0f}", least=SMALLEST_ALIGNED))
    x = centre[0] - along * middle[0] + across * middle[1]
    y = centre[1] - across * middle[0] - along * middle[1]
    return Roi(float(x), float(y), side, float(np.arctan2(across, along)))


def cut_face(
    image: np.ndarray, box: Sequence[float] | np.ndarray, landmarks: np.ndarray | None, size: int, rule: str = "evaluation"
) -> np.ndarray:
    """What a detector sees of one face under its crop rule.

    Args:
        image: uint8 [H, W, 3], RGB.
        box: face box (x0, y0, x1, y1) in pixels.
        landmarks: float [N, 2] in dlib's order, N >= 68, in pixels; None where they are not known.
        size: side S of the result.
        rule: one of `fpg.common.spec.CROPS`. `evaluation` is `face_input`; `aligned` is the upright square, shrunk by area where it is much
            larger than S, bilinear, black outside the image.

    Returns:
        float32 [3, S, S] in [0, 1], contiguous.

    Raises:
        FaceRejected: a face that is too small for the aligned crop, cut off, or without landmarks.
        ValueError: a box that is not finite, empty or outside the image.
    """
    if rule == "evaluation":
        return face_input(image, box, size)
    if landmarks is None:
        raise FaceRejected("has no landmarks, and the aligned crop needs eyes, nose and mouth")
    cut = crop_upright(image, aligned_square(five_points(landmarks), *image.shape[:2]), size, black=True)
    assert cut is not None  # the points lie inside
    return _scaled(cut)


def network_input(image: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """Cut `crop` out of uint8 [H, W, 3], resize (bilinear) and scale: float32 [3, size, size] in [0, 1], contiguous."""
    return _scaled(cv2.resize(image[crop.slices], (size, size), interpolation=cv2.INTER_LINEAR))


def _scaled(image: np.ndarray) -> np.ndarray:
    """uint8 [S, S, 3] -> float32 [3, S, S] in [0, 1]."""
    return np.divide(np.stack(cv2.split(image)), np.float32(255), dtype=np.float32)
