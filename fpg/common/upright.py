"""Turned squares in an image, cut out upright: for the face networks and for aligned crops. Coordinates as in `fpg.faces.types`."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from fpg.common.area import shrink


class Roi(NamedTuple):
    """A square in the image, turned by `angle` (radians, clockwise as seen, because y points down)."""

    x: float
    y: float
    side: float
    angle: float

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 2 or 3] in units of the side, from the square's corner, to pixels (z is scaled alike)."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        centred = (points[:, :2] - 0.5) * self.side
        out = np.array(points, np.float64)
        out[:, :2] = centred @ np.array([[c, s], [-s, c]]) + (self.x, self.y)
        out[:, 2:] *= self.side
        return out


def crop_upright(image: np.ndarray, roi: Roi, size: int, *, black: bool = False) -> np.ndarray | None:
    """Cut a turned square out of an image; outside of it the image's border is repeated, or all is `black`.

    A square much larger than `size` is shrunk by area first, so that fine detail does not alias; only the part of the
    image under the square is touched, so huge images cost no more than small ones.

    Returns:
        uint8 [size, size, 3], or None when the square is degenerate or does not meet the image.
    """
    height, width = image.shape[:2]
    if not (np.isfinite(roi).all() and roi.side > 1):
        return None
    reach = roi.side / np.sqrt(2) + 2
    x0, x1 = max(0, int(roi.x - reach)), min(width, int(roi.x + reach) + 1)
    y0, y1 = max(0, int(roi.y - reach)), min(height, int(roi.y + reach) + 1)
    if x0 >= x1 or y0 >= y1:
        return None
    part = image[y0:y1, x0:x1]
    fx = fy = 1.0
    if (scale := size / roi.side) < 0.75:
        inner_w, inner_h = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
        fx, fy = inner_w / part.shape[1], inner_h / part.shape[0]
        part = shrink(part, inner_h, inner_w)
    corners = np.array([[0, 0], [size - 1, 0], [0, size - 1]], np.float64)
    source = (roi.to_image((corners + 0.5) / size) + 0.5 - (x0, y0)) * (fx, fy) - 0.5
    matrix = cv2.getAffineTransform(corners.astype(np.float32), source.astype(np.float32))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(part, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT if black else cv2.BORDER_REPLICATE)
