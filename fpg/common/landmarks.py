"""What is known of landmarks by their number, for faces and augmentation alike: dlib's 68 points, then 13 on the forehead.

The 13 follow the 81-point model that SBI (CVPR 2022) used.
"""

from __future__ import annotations

import numpy as np

COORDINATE_LIMIT = 32767
"""Largest landmark coordinate and image side that OpenCV's and fpg's rasterising and warping can handle, in pixels."""
FOREHEAD_ALONG_HULL = (77, 75, 76, 68, 69, 70, 71, 80, 72, 73, 79, 74, 78)
"""The forehead points in the order in which the outline of the face meets them, from the left temple (in the image) to the right."""
HULL_FAMILIES = ("facehull", "dfl_full", "components", "extended")
"""Families of face masks, unions of convex hulls of landmarks, in the order in which draws and kernels number them (SBI, CVPR 2022)."""


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
