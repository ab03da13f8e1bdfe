"""A classical face swap: another face, warped triangle by triangle, recoloured and blended in.

Only for test data: a kind of forgery that the trainer never makes itself (its forgeries blend a face with a copy of
itself), so that a score on it says something. No network is involved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np

from fpg.faces import Face

Blend = Literal["feather", "poisson"]


@dataclass(frozen=True)
class Donor:
    """A face to put onto others: its image, uint8 [H, W, 3] RGB, and its landmarks, float32 [81, 2]."""

    image: np.ndarray
    landmarks: np.ndarray

    @cached_property
    def triangles(self) -> np.ndarray:
        """Delaunay triangulation of the landmarks: int [T, 3], indices of landmarks."""
        x0, y0 = np.floor(self.landmarks.min(0)) - 2
        x1, y1 = np.ceil(self.landmarks.max(0)) + 2
        plane = cv2.Subdiv2D((int(x0), int(y0), int(x1 - x0), int(y1 - y0)))
        for x, y in self.landmarks:
            plane.insert((float(x), float(y)))
        corners = np.asarray(plane.getTriangleList(), np.float32).reshape(-1, 3, 2)
        distances = np.linalg.norm(corners[:, :, None] - self.landmarks[None, None], axis=-1)
        indices = distances.argmin(-1)[(distances.min(-1) < 0.01).all(1)]
        return indices[[len(set(t)) == 3 for t in indices.tolist()]]


def swap_face(image: np.ndarray, face: Face, donor: Donor, blend: Blend = "feather") -> np.ndarray:
    """Put the donor's face over a face.

    Args:
        image: uint8 [H, W, 3] RGB.
        face: with 81 landmarks.
        donor: whose face is put there.
        blend: `feather` mixes by a soft mask; `poisson` keeps the donor's gradients (Perez et al., SIGGRAPH 2003).

    Returns:
        uint8 [H, W, 3] RGB, unchanged further than a sixth of the face's width from it.
    """
    return edit_face(image, face, lambda part, landmarks: _swap(part, landmarks, donor, blend))


def edit_face(image: np.ndarray, face: Face, edit: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Change the part of an image around a face.

    Args:
        image: uint8 [H, W, 3] RGB.
        face: with 81 landmarks.
        edit: gets the part, a third of the face's width and 8 pixels larger than the landmarks on each side, and the landmarks in its
            pixels; gives it back changed.

    Returns:
        uint8 [H, W, 3] RGB; a copy where the face lies outside the image.

    Raises:
        ValueError: a face without 81 landmarks.
    """
    if face.landmarks is None or face.landmarks.shape != (81, 2):
        raise ValueError(f"face: expected 81 landmarks, got {None if face.landmarks is None else list(face.landmarks.shape)}")
    height, width = image.shape[:2]
    margin = int(np.ptp(face.landmarks[:, 0]) / 3) + 8
    x0, y0 = np.maximum(face.landmarks.min(0).astype(int) - margin, 0)
    x1, y1 = np.minimum(face.landmarks.max(0).astype(int) + margin, (width, height))
    result = image.copy()
    if x1 - x0 > 2 and y1 - y0 > 2:
        result[y0:y1, x0:x1] = edit(image[y0:y1, x0:x1], face.landmarks - np.array([x0, y0], np.float32))
    return result


def _swap(image: np.ndarray, landmarks: np.ndarray, donor: Donor, blend: Blend) -> np.ndarray:
    """`swap_face` on the part of the image around the face."""
    warped, covered = _warp(donor, landmarks, *image.shape[:2])
    mask = _mask(landmarks, covered)
    if mask.sum() < 16:
        return image
    matched = _match_colors(warped, image, mask)
    if blend == "poisson":
        return _poisson(matched, image, mask)
    sigma = max(0.6, float(np.ptp(landmarks[:, 0])) / 25)
    kernel = np.ones((3, 3), np.uint8)
    inner = cv2.erode(mask, kernel, iterations=max(1, round(sigma))).astype(np.float32)
    soft = cv2.GaussianBlur(inner, (0, 0), sigma)[..., None]
    return np.round(matched * soft + image * (1 - soft)).clip(0, 255).astype(np.uint8)


def _warp(donor: Donor, target: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The donor's image where the target's landmarks want it, and which pixels it covers (uint8 {0, 1})."""
    source, scale = _shrunk(donor, target)
    to, at = target[donor.triangles].astype(np.float64), donor.landmarks[donor.triangles].astype(np.float64) * scale
    labels = np.full((height, width), -1, np.int32)
    for index, corners in enumerate(np.round(to * 16).astype(np.int32)):
        cv2.fillConvexPoly(labels, corners, index, shift=4)
    homogeneous = np.concatenate([to, np.ones((len(to), 3, 1))], 2)
    homogeneous += 1e-6 * np.eye(3)  # a triangle that has become a line keeps a finite inverse
    matrices = np.linalg.solve(homogeneous, at)  # [T, 3, 2]: (x, y, 1) in the target to (x, y) in the donor
    y, x = np.nonzero(labels >= 0)
    field = np.full((height, width, 2), -1, np.float32)
    field[y, x] = np.einsum("nk,nkc->nc", np.stack([x, y, np.ones_like(x)], 1), matrices[labels[y, x]])
    warped = cv2.remap(source, field[..., 0], field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped, (labels >= 0).astype(np.uint8)


def _shrunk(donor: Donor, target: np.ndarray) -> tuple[np.ndarray, float]:
    """The donor's image near the target's resolution, so that sampling does not alias, and the scale of that."""
    scale = float(np.ptp(target[:, 0]) / np.ptp(donor.landmarks[:, 0]))
    if scale >= 0.75:
        return donor.image, 1.0
    return cv2.resize(donor.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


def _mask(landmarks: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Brows to chin: the hull of the first 68 landmarks drawn a little inwards, uint8 {0, 1}."""
    points = landmarks[:68]
    inward = points.mean(0) + 0.94 * (points - points.mean(0))
    mask = np.zeros(covered.shape, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(inward).astype(np.int32)), 1)
    return mask & covered


def _match_colors(warped: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Give the warped face the mean and standard deviation that the image has under the mask, in CIELAB (Reinhard et al., 2001)."""
    inside = mask.astype(bool)
    a, b = (cv2.cvtColor(x.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for x in (warped, image))
    gain = (b[inside].std(0) / np.maximum(a[inside].std(0), 1e-3)).clip(0.75, 1.3)
    a = (a - a[inside].mean(0)) * gain + b[inside].mean(0)
    return (cv2.cvtColor(a.astype(np.float32), cv2.COLOR_LAB2RGB) * 255).clip(0, 255)


def _poisson(matched: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Blend by gradients; the mask stays off the image's border, which the solver needs."""
    mask = mask.copy()
    mask[[0, -1]] = 0
    mask[:, [0, -1]] = 0
    x, y, w, h = cv2.boundingRect(mask)
    center = (x + w // 2, y + h // 2)
    return cv2.seamlessClone(np.round(matched).astype(np.uint8), image, mask * 255, center, cv2.NORMAL_CLONE)
