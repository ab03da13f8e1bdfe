"""Geometry around faces: boxes, the letterbox, upright crops, head pose. Coordinates as in `fpg.faces.types`."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fpg.common.area import shrink
from fpg.common.upright import Roi
from fpg.faces.types import Detection, Pose


def tight_box(points: np.ndarray) -> np.ndarray:
    """Box around points [N, >= 2]: float32 [4] = (x0, y0, x1, y1)."""
    return np.concatenate([points[:, :2].min(0), points[:, :2].max(0)]).astype(np.float32)


def iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box [4] with boxes [N, 4]: float64 [N]."""
    a, b = np.asarray(box, np.float64), np.asarray(boxes, np.float64).reshape(-1, 4)
    overlap = np.clip(np.minimum(a[2:], b[:, 2:]) - np.maximum(a[:2], b[:, :2]), 0, None).prod(1)
    union = (a[2:] - a[:2]).prod() + (b[:, 2:] - b[:, :2]).prod(1) - overlap
    return overlap / np.maximum(union, 1e-12)


def suppress(detections: list[Detection], threshold: float) -> list[Detection]:
    """Weighted non-maximum suppression: overlapping detections become one, averaged by score (BlazeFace, arXiv 1907.05047).

    Args:
        detections: in any order.
        threshold: boxes whose intersection over union with the best one exceeds it are merged into it.

    Returns:
        Merged detections, best score first; each keeps the best score of its group.
    """
    if not detections:
        return []
    ordered = sorted(detections, key=lambda d: -d.score)
    boxes, points = np.stack([d.box for d in ordered]), np.stack([d.points for d in ordered])
    scores = np.array([d.score for d in ordered])
    rest, merged = np.arange(len(ordered)), []
    while len(rest):
        close = iou(boxes[rest[0]], boxes[rest]) > threshold
        close[0] = True
        group = rest[close]
        weights = scores[group]
        box = (boxes[group] * weights[:, None]).sum(0) / weights.sum()
        mean = (points[group] * weights[:, None, None]).sum(0) / weights.sum()
        merged.append(Detection(box.astype(np.float32), ordered[group[0]].score, mean.astype(np.float32)))
        rest = rest[~close]
    return merged


def letterbox(image: np.ndarray, size: int, fill: float = 1.0) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Fit an image into a black square of `size`, centred, aspect ratio kept.

    Args:
        image: uint8 [H, W, 3].
        size: side of the square.
        fill: fraction of the square's side that the image's longer side takes.

    Returns:
        uint8 [size, size, 3], and a function from points [..., 2] in units of the square's side to pixels of the image.
    """
    height, width = image.shape[:2]
    scale = fill * size / max(height, width)
    inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - inner_w) // 2, (size - inner_h) // 2
    square = np.zeros((size, size, 3), np.uint8)
    inner = square[top : top + inner_h, left : left + inner_w]
    if scale < 1:
        shrink(image, inner_h, inner_w, out=inner)
    else:
        inner[...] = cv2.resize(image, (inner_w, inner_h), interpolation=cv2.INTER_LINEAR)

    def to_image(points: np.ndarray) -> np.ndarray:
        return (points * size - (left, top)) * (width / inner_w, height / inner_h) - 0.5

    return square, to_image


def roi_around(box: np.ndarray, left_eye: np.ndarray, right_eye: np.ndarray, scale: float) -> Roi:
    """The square about a box's centre with `scale` times its longer side, upright by the line between the eyes.

    Args:
        box: [4] = (x0, y0, x1, y1).
        left_eye, right_eye: [2], left and right as seen in an upright image.
    """
    dx, dy = np.asarray(right_eye, np.float64) - np.asarray(left_eye, np.float64)
    x0, y0, x1, y1 = (float(v) for v in box)
    return Roi((x0 + x1) / 2, (y0 + y1) / 2, scale * max(x1 - x0, y1 - y0), float(np.arctan2(dy, dx)))


_ACROSS = ((33, 263), (133, 362), (127, 356), (234, 454), (61, 291), (58, 288))
_DOWN = ((10, 152), (151, 175), (168, 2))


def pose_of_mesh(mesh: np.ndarray) -> Pose:
    """Head pose from the 3-d mesh, by its axes (pairs of points left-right and forehead-chin).

    With x to the right, y down and z away from the camera the head's rotation is R = Rz(roll) Ry(-yaw) Rx(-pitch):

    - yaw is positive when the nose points to the right of the image;
    - pitch is positive when the nose points up;
    - roll is positive when the head is turned clockwise as seen in the image. Turning the image changes roll alone.

    Args:
        mesh: float [468, 3].

    Returns:
        (yaw, pitch, roll) in degrees; yaw and pitch in [-90, 90], roll in (-180, 180].
    """
    points = np.asarray(mesh, np.float64)
    across = sum(points[b] - points[a] for a, b in _ACROSS)
    down = sum(points[b] - points[a] for a, b in _DOWN)
    x_axis = across / np.linalg.norm(across)
    y_axis = down - (down @ x_axis) * x_axis
    y_axis /= np.linalg.norm(y_axis)
    z_axis = np.cross(x_axis, y_axis)
    yaw = np.arctan2(x_axis[2], np.hypot(x_axis[0], x_axis[1]))
    pitch = -np.arctan2(y_axis[2], z_axis[2])
    roll = np.arctan2(x_axis[1], x_axis[0])
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))
