"""A classical face reenactment: a person's own face, moved to another's expression by warping it.

Only for material to calibrate on: a kind of forgery that has nothing in common with swaps. No other person's skin is pasted and no outline
is blended: brows, eyelids, lips and chin are moved by a smooth field of displacements that ends next to the face, and where lips open that
were shut, the inside of the other's mouth is put between them (after Averbuch-Elor et al., Bringing Portraits to Life, SIGGRAPH Asia 2017).
What a detector can find is stretched texture and the mouth. No network is involved.
"""

from __future__ import annotations

import cv2
import numpy as np

from fpg.data.faceswap import Donor, edit_face
from fpg.faces import Face

_STEADY = (*range(5), *range(12, 17), *range(27, 36), 36, 39, 42, 45)
"""Landmarks that expressions hardly move (jaw next to the cheeks, nose, corners of the eyes): they bring one face onto the other."""
_BROWS, _EYES, _MOUTH = (slice(17, 22), slice(22, 27)), (slice(36, 42), slice(42, 48)), slice(48, 68)
_LOWER_LIP, _CHIN = slice(55, 60), slice(6, 11)
_INNER = slice(60, 68)
"""The inner border of the lips."""
_FARTHEST = 0.08
"""Largest movement of a landmark, by the width of the face: beyond it texture tears."""
_FIELD_STEP = 4
"""The field is computed at every such pixel, and interpolated."""


def reenact_face(image: np.ndarray, face: Face, driver: Donor, strength: float = 1.0) -> np.ndarray:
    """Give a face another's expression.

    Args:
        image: uint8 [H, W, 3] RGB.
        face: with 81 landmarks.
        driver: whose expression it gets.
        strength: 0 leaves the face as it is, 1 takes the whole expression over.

    Returns:
        uint8 [H, W, 3] RGB, unchanged further than a third of the face's width and 8 pixels from it.

    Raises:
        ValueError: a face without 81 landmarks.
    """
    return edit_face(image, face, lambda part, landmarks: _reenact(part, landmarks, driver, strength))


def _reenact(image: np.ndarray, landmarks: np.ndarray, driver: Donor, strength: float) -> np.ndarray:
    """`reenact_face` on the part of the image around the face."""
    start = landmarks.astype(np.float64)
    end = start + strength * _expression(start, driver.landmarks.astype(np.float64))
    height, width = image.shape[:2]
    ring = _ring(start)
    field = _field(np.vstack([end, ring]), np.vstack([start - end, np.zeros_like(ring)]), height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    moved = cv2.remap(image, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return _open_mouth(moved, start, end, driver)


def _expression(start: np.ndarray, driver: np.ndarray) -> np.ndarray:
    """How each landmark moves so that brows, eyes and mouth get the driver's shapes: float64 [81, 2].

    Where they lie in the face stays the person's own, but for half of how much higher the driver's brows are; the chin goes with the lip.
    """
    aligned = _aligned(driver, start)
    movement = np.zeros_like(start)
    for part in (*_BROWS, *_EYES, _MOUTH):
        shape = aligned[part] - start[part]
        movement[part] = shape - shape.mean(0) * ((1, 0.5) if part in _BROWS else 1)
    movement[_CHIN, 1] = movement[_LOWER_LIP, 1].mean()
    length = np.linalg.norm(movement, axis=1, keepdims=True)
    most = _FARTHEST * float(np.ptp(start[:, 0]))
    return movement * np.minimum(1, most / np.maximum(length, 1e-9))


def misfit(landmarks: np.ndarray, driver: np.ndarray) -> float:
    """How far nose, cheeks and corners of the eyes of two faces stay apart, by the width of the first: small where both look the same way.

    Args:
        landmarks, driver: [81, 2].
    """
    start, steady = landmarks.astype(np.float64), list(_STEADY)
    apart = (_aligned(driver.astype(np.float64), start) - start)[steady]
    return float(np.sqrt((apart**2).sum(1).mean()) / max(float(np.ptp(start[:, 0])), 1e-6))


def _aligned(driver: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The driver's landmarks, turned, scaled and moved so that what expressions leave alone fits."""
    steady = list(_STEADY)
    matrix, _ = cv2.estimateAffinePartial2D(driver[steady], start[steady], method=cv2.LMEDS)
    return start if matrix is None else driver @ matrix[:, :2].T + matrix[:, 2]


def _ring(landmarks: np.ndarray) -> np.ndarray:
    """Points around the face that stay where they are: float64 [N, 2]."""
    middle = landmarks.mean(0)
    hull = cv2.convexHull(landmarks.astype(np.float32))[:, 0].astype(np.float64)
    return np.vstack([middle + factor * (hull - middle) for factor in (1.15, 1.3)])


def _field(points: np.ndarray, values: np.ndarray, height: int, width: int) -> np.ndarray:
    """A smooth field that has these values at these points (thin-plate splines), and none beyond their hull: float32 [H, W, 2]."""
    from scipy.interpolate import RBFInterpolator

    scale = max(float(np.ptp(points[:, 0])), 1.0)
    spline = RBFInterpolator(points / scale, values, smoothing=1e-4)  # smoothed, so that points may lie on each other
    y, x = np.mgrid[: height + _FIELD_STEP : _FIELD_STEP, : width + _FIELD_STEP : _FIELD_STEP]
    coarse = spline(np.stack([x.ravel(), y.ravel()], 1) / scale).reshape(*x.shape, 2).astype(np.float32)
    rows, columns = np.mgrid[:height, :width].astype(np.float32) / _FIELD_STEP
    fine = cv2.remap(coarse, columns, rows, cv2.INTER_LINEAR)
    hull = cv2.convexHull(np.rint(points).astype(np.int32))  # of the ring: nothing moves beyond it
    inside = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(inside, hull, 1)
    near = cv2.distanceTransform(cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return fine * np.clip(near / (0.08 * scale), 0, 1)[..., None]


def _open_mouth(image: np.ndarray, start: np.ndarray, end: np.ndarray, driver: Donor) -> np.ndarray:
    """Put the inside of the driver's mouth between lips that the movement has opened."""
    before, after = (cv2.contourArea(points[_INNER].astype(np.float32)) for points in (start, end))
    if after < 1.3 * before + 4:
        return image
    size = (image.shape[1], image.shape[0])
    theirs = driver.landmarks[48:68].astype(np.float32)
    matrix, _ = cv2.estimateAffine2D(theirs, end[48:68].astype(np.float32), method=cv2.LMEDS)
    if matrix is None:
        return image
    mouth = cv2.warpAffine(driver.image, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(end[_INNER]).astype(np.int32)), 255)
    soft = (cv2.GaussianBlur(mask, (0, 0), max(0.6, float(np.ptp(end[:, 0])) / 120)) / 255.0)[..., None]
    lips = np.zeros_like(mask)
    cv2.polylines(lips, [np.rint(end[48:60]).astype(np.int32)], True, 1, 2)
    light = image[lips > 0].mean() / max(float(mouth[lips > 0].mean()), 1.0) if lips.any() else 1.0
    filled = np.clip(mouth * float(np.clip(light, 0.5, 2.0)), 0, 255)
    return np.rint(soft * filled + (1 - soft) * image).astype(np.uint8)
