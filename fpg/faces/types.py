"""What a face is, and what finds one: the protocols every detector and landmarker follows.

Coordinates are pixels, x to the right, y down, and integers lie at pixel centres (OpenCV's convention). They may lie
outside the image when a face is cut off by its border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

Pose = tuple[float, float, float]
"""(yaw, pitch, roll) in degrees, see `fpg.faces.geometry.pose_of_mesh` for axes and signs."""


@dataclass(frozen=True)
class Detection:
    """A detector's answer: where a face seems to be."""

    box: np.ndarray
    """The detector's own box, float32 [4] = (x0, y0, x1, y1)."""
    score: float
    """Confidence in [0, 1]."""
    points: np.ndarray
    """float32 [K, 2]; the first two are the eyes, the one further left in an upright image first."""


@dataclass(frozen=True)
class Face:
    """A face with its landmarks."""

    box: np.ndarray
    """Tight box around the landmarks (the mesh where there is one), float32 [4] = (x0, y0, x1, y1). Crops start from it."""
    score: float
    """The detector's confidence in [0, 1]."""
    landmarks: np.ndarray | None = None
    """float32 [81, 2] or [68, 2] in dlib's order: its 68 points, then 13 on the forehead."""
    mesh: np.ndarray | None = None
    """float32 [468, 3], MediaPipe's face mesh; z in the same unit as x, growing away from the camera."""
    pose: Pose | None = None
    detector_box: np.ndarray | None = None
    """The detector's own box, float32 [4]; it frames the face less tightly than `box`."""
    presence: float | None = None
    """The landmarker's confidence that it looked at a face, in [0, 1]."""

    @property
    def area(self) -> float:
        """Area of `box` in square pixels."""
        x0, y0, x1, y1 = (float(v) for v in self.box)
        return max(0.0, x1 - x0) * max(0.0, y1 - y0)


class FaceDetector(Protocol):
    """Finds faces."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Faces in an image, uint8 [H, W, 3] RGB, best score first."""
        ...

    def seen(self, image: np.ndarray, found: bool) -> int:
        """Side of the parts of the image that `detect` looked at last, when it `found` a face and when it did not."""
        ...

    def finer(self, side: int, wanted: float) -> int | None:
        """Side of the tiles to look at after those of `side` to find faces of `wanted` pixels; None when those were fine enough."""
        ...

    def detect_in_tiles(self, image: np.ndarray, side: int) -> list[Detection]:
        """As `detect`, in overlapping square tiles of the image."""
        ...


class Landmarker(Protocol):
    """Places landmarks on a detected face."""

    def landmarks(self, image: np.ndarray, detection: Detection) -> Face | None:
        """The face at `detection` in an image, uint8 [H, W, 3] RGB; None when there is none after all."""
        ...


def check_image(image: np.ndarray) -> None:
    """Raise ValueError unless `image` is a non-empty uint8 [H, W, 3]."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"image: expected non-empty uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
