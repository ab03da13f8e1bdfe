"""Faces drawn on their image: box, landmarks, head axes, score."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fpg.common.landmarks import FOREHEAD_ALONG_HULL
from fpg.faces.types import Face, Pose, check_image

_LINES = (
    (range(17), False),
    (range(17, 22), False),
    (range(22, 27), False),
    (range(27, 31), False),
    (range(31, 36), False),
    (range(36, 42), True),
    (range(42, 48), True),
    (range(48, 60), True),
    (range(60, 68), True),
)
_BOX, _DETECTOR, _LANDMARK, _FOREHEAD = (90, 220, 90), (150, 150, 150), (255, 210, 60), (255, 140, 60)
_AXES = ((255, 70, 70), (70, 220, 70), (80, 140, 255))
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


def draw_faces(image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
    """A copy of the image with its faces drawn on it.

    Args:
        image: uint8 [H, W, 3] RGB.
        faces: boxes in green (the detector's in grey), landmarks in yellow, the forehead in orange; the head's axes start
            at the nose: right red, down green, out of the face blue.

    Returns:
        uint8 [H, W, 3] RGB.
    """
    check_image(image)
    canvas = np.ascontiguousarray(image).copy()
    for face in faces:
        thick = max(1, round(np.sqrt(max(face.area, 1)) / 160))
        if face.detector_box is not None:
            _rectangle(canvas, face.detector_box, _DETECTOR, thick)
        _rectangle(canvas, face.box, _BOX, thick)
        if face.landmarks is not None:
            _landmarks(canvas, face.landmarks, thick)
            if face.pose is not None:
                _axes(canvas, face.landmarks[30], face.pose, 0.35 * float(np.sqrt(max(face.area, 1))), thick + 1)
        _caption(canvas, face, thick)
    return canvas


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(np.clip(np.asarray(points, np.float64), -30000, 30000) * (1 << _SHIFT)).astype(np.int32)


def _rectangle(canvas: np.ndarray, box: np.ndarray, color: tuple[int, int, int], thick: int) -> None:
    x0, y0, x1, y1 = (int(v) for v in _fixed(box))
    cv2.rectangle(canvas, (x0, y0), (x1, y1), color, thick, cv2.LINE_AA, _SHIFT)


def _landmarks(canvas: np.ndarray, points: np.ndarray, thick: int) -> None:
    fixed = _fixed(points)
    for indices, closed in _LINES:
        cv2.polylines(canvas, [fixed[list(indices)].reshape(-1, 1, 2)], closed, _LANDMARK, thick, cv2.LINE_AA, _SHIFT)
    if len(points) == 81:
        outline = fixed[[0, *FOREHEAD_ALONG_HULL, 16]]
        cv2.polylines(canvas, [outline.reshape(-1, 1, 2)], False, _FOREHEAD, thick, cv2.LINE_AA, _SHIFT)


def _axes(canvas: np.ndarray, start: np.ndarray, pose: Pose, length: float, thick: int) -> None:
    yaw, pitch, roll = np.radians(pose)
    ry = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    rx = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    rz = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    rotation = rz @ ry @ rx
    for axis, color in zip((rotation[:, 0], rotation[:, 1], -rotation[:, 2]), _AXES, strict=True):
        a, b = _fixed(start), _fixed(start + length * axis[:2])
        cv2.line(canvas, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), color, thick, cv2.LINE_AA, _SHIFT)


def _caption(canvas: np.ndarray, face: Face, thick: int) -> None:
    """Score, and pose where the box is wide enough for it, on a dark strip above the box."""
    scale = 0.4 * thick
    x, y = int(max(0, face.box[0])), int(max(12 * thick, face.box[1] - 4))
    text = f"{face.score:.2f}"
    if face.pose is not None:
        longer = text + " yaw {:+.0f} pitch {:+.0f} roll {:+.0f}".format(*face.pose)
        (width, _), _ = cv2.getTextSize(longer, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        text = longer if width <= 1.5 * (face.box[2] - face.box[0]) else text
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    cv2.rectangle(canvas, (x, y - height - 2), (x + width + 2, y + below), (20, 20, 20), cv2.FILLED)
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thick, cv2.LINE_AA)
