"""Face masks: unions of convex hulls of landmarks, in four families (METHOD 2.3; SBI, CVPR 2022).

Indices are dlib's 68 points, "right" and "left" are the person's. Landmarks are truncated to integers before rasterising; a pixel
that a hull's outline touches belongs to the hull (`cv2.fillConvexPoly`).
"""

from __future__ import annotations

import cv2
import numpy as np

from fpg.common.landmarks import COORDINATE_LIMIT

FAMILIES = ("facehull", "dfl_full", "components", "extended")
"""The hull families, in the order of `PairParams.family`'s draw."""


def _span(*parts: int | tuple[int, int]) -> list[int]:
    """Indices from single points and inclusive ranges."""
    return [i for part in parts for i in (range(part[0], part[1] + 1) if isinstance(part, tuple) else (part,))]


DFL_FULL = (
    _span((0, 16), (48, 67), 0, 8, 16),  # jaw
    _span((27, 30), 33),  # nose
    _span((17, 26), 0, 27, 16, 33),  # eyes
)
COMPONENTS = (
    _span((0, 8), 17),  # right jaw
    _span((8, 16), 26),  # left jaw
    _span((17, 19), 8),  # right cheek
    _span((24, 26), 8),  # left cheek
    _span((19, 24), 8),  # nose ridge
    _span((17, 21), (27, 30), (31, 35), 8),  # right eye
    _span((22, 26), (27, 30), (31, 35), 8),  # left eye
    _span((27, 30), (31, 35)),  # nose
)


def face_mask(landmarks: np.ndarray, family: str, height: int, width: int, points: int = 81) -> np.ndarray:
    """The hard mask of a face.

    Args:
        landmarks: float [68 or 81, 2], (x, y) in pixels; may lie outside the image.
        family: one of `FAMILIES`.
        height, width: of the image, in pixels.
        points: 81 to use the forehead where there is one, 68 to leave it out. Only *facehull* looks at the forehead.

    Returns:
        uint8 [height, width], values {0, 1}.

    Raises:
        ValueError: unknown family, wrong shape, or coordinates that are not finite.
    """
    corners = integer_landmarks(landmarks)
    if family == "facehull":
        hulls = [corners[:points]]
    elif family == "dfl_full":
        hulls = [corners[indices] for indices in DFL_FULL]
    elif family in ("components", "extended"):
        corners = raise_eyebrows(corners) if family == "extended" else corners
        hulls = [corners[indices] for indices in COMPONENTS]
    else:
        raise ValueError(f"family: expected one of {', '.join(FAMILIES)}, got {family}")
    mask = np.zeros((height, width), np.uint8)
    for hull in hulls:
        cv2.fillConvexPoly(mask, cv2.convexHull(hull), 1)
    return mask


def integer_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Check landmarks and truncate them towards zero: float [68 or 81, 2] -> int32.

    Raises:
        ValueError: wrong shape, not finite, or farther out than rasterising can handle.
    """
    landmarks = np.asarray(landmarks)
    if landmarks.shape not in ((68, 2), (81, 2)):
        raise ValueError(f"landmarks: expected [68 or 81, 2], got {list(landmarks.shape)}")
    if landmarks.dtype.kind not in "iuf":
        raise ValueError(f"landmarks: expected numbers, got {landmarks.dtype}")
    if not np.isfinite(landmarks).all():
        raise ValueError("landmarks: expected finite coordinates, got NaN or infinity")
    if np.abs(landmarks).max() > COORDINATE_LIMIT:
        raise ValueError(f"landmarks: expected coordinates within +-{COORDINATE_LIMIT} pixels, got {np.abs(landmarks).max():.3g}")
    return landmarks.astype(np.int32)


def raise_eyebrows(corners: np.ndarray) -> np.ndarray:
    """Move both eyebrows away from the eye below by half their distance: the *extended* family (integer arithmetic, floor).

    Args:
        corners: int32 [68 or more, 2].

    Returns:
        A copy with points 17-21 and 22-26 moved.
    """
    quarter_right = (corners[36] + (corners[36] + corners[0]) // 2) // 2  # a quarter of the way from eye corner to jaw
    quarter_left = (corners[45] + (corners[16] + corners[45]) // 2) // 2
    arc_right = np.vstack([quarter_right, corners[[36, 37, 38, 39]]])
    arc_left = np.vstack([corners[[42, 43, 44, 45]], quarter_left])
    moved = corners.copy()
    moved[17:22] += (corners[17:22] - arc_right) // 2
    moved[22:27] += (corners[22:27] - arc_left) // 2
    return moved
