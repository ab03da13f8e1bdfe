"""Faces of any size: what finer looks find, that they cost nothing where they cannot matter, and that they see nothing where nothing is."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from fpg.faces import FaceAnalyzer, default_analyzer
from fpg.faces.geometry import iou
from fpg.faces.mediapipe import BlazeFaceDetector, _tiles
from fpg.faces.sizes import MIN_FACE, face_size, too_small


@pytest.fixture(scope="module")
def first_look() -> FaceAnalyzer:
    """The whole frame and, where it shows nothing, tiles of half its side."""
    return default_analyzer(min_face=1e6)


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A picture without a face that is not flat."""
    coarse = rng.integers(40, 200, (height // 24 + 2, width // 24 + 2, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def pasted(
    rng: np.random.Generator, people: list[tuple[np.ndarray, np.ndarray]], size: int, frame: tuple[int, int], number: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A frame (height, width) with faces of this size at random places, and their boxes.

    Args:
        people: (image, box of its face) to choose from.
    """
    image, boxes = texture(rng, *frame), []
    cells = [(y, x) for y in range(frame[0] // (4 * size)) for x in range(frame[1] // (4 * size))]
    for cell in rng.choice(len(cells), number, replace=False):
        picture, box = people[int(rng.integers(len(people)))]
        shrink = size / face_size(box)
        small = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        middle, half = (box[:2] + box[2:]) / 2 * shrink, 0.95 * size
        x0, y0 = (max(0, int(v - half)) for v in middle)
        head = small[y0 : int(middle[1] + half), x0 : int(middle[0] + half)]
        y, x = (int(4 * size * c + rng.integers(0, 2 * size)) for c in cells[cell])
        image[y : y + head.shape[0], x : x + head.shape[1]] = head
        boxes.append(box * shrink + np.array([x - x0, y - y0, x - x0, y - y0]))
    return image, boxes


@pytest.fixture(scope="module")
def people(analyzer: FaceAnalyzer, astronaut: np.ndarray, hopper: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(image, analyzer(image)[0].box) for image in (astronaut, hopper)]


def hits(analyzer: FaceAnalyzer, image: np.ndarray, boxes: list[np.ndarray]) -> tuple[int, int]:
    """Boxes that were found, and faces that are none of them."""
    faces = analyzer(image)
    overlap = np.array([[iou(box, face.box[None])[0] for face in faces] for box in boxes]).reshape(len(boxes), len(faces)) > 0.4
    return int(overlap.any(1).sum()), int((~overlap.any(0)).sum())


@pytest.mark.parametrize("frame", [(1080, 1920), (1920, 1080), (2160, 3840)])
def test_faces_of_60_pixels_are_found(
    analyzer: FaceAnalyzer,
    first_look: FaceAnalyzer,
    people: list[tuple[np.ndarray, np.ndarray]],
    rng: np.random.Generator,
    frame: tuple[int, int],
) -> None:
    image, boxes = pasted(rng, people, 60, frame, 8)
    found, other = hits(analyzer, image, boxes)
    assert found >= 7
    assert other == 0
    if max(frame) > 3000:
        assert hits(first_look, image, boxes)[0] < 7, "finer looks are for nothing"


def test_a_face_of_40_pixels_is_found_beside_nothing_larger(
    analyzer: FaceAnalyzer, people: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator
) -> None:
    image, boxes = pasted(rng, people, 40, (1080, 1920), 8)
    found, other = hits(analyzer, image, boxes)
    assert found >= 6
    assert other == 0


class Counting:
    """A network that counts its calls."""

    def __init__(self, network: object) -> None:
        self.network, self.calls = network, 0

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        self.calls += 1
        return self.network(image)  # type: ignore[operator, no-any-return]


def test_a_large_face_is_found_in_one_look_with_the_same_box(first_look: FaceAnalyzer, astronaut: np.ndarray, hopper: np.ndarray) -> None:
    analyzer = default_analyzer()
    detector = analyzer.detector
    assert isinstance(detector, BlazeFaceDetector)
    network = Counting(detector._network)
    detector._network = network
    for image in (hopper, cv2.resize(astronaut, (1080, 1080), interpolation=cv2.INTER_CUBIC)):
        network.calls = 0
        (face,), (expected,) = analyzer(image), first_look(image)
        np.testing.assert_array_equal(face.box, expected.box)
        assert network.calls == 1
    assert not analyzer(np.full((1080, 1920, 3), 128, np.uint8))
    assert network.calls > 30


def test_faces_of_the_first_look_stay_as_they_are(
    analyzer: FaceAnalyzer, first_look: FaceAnalyzer, astronaut: np.ndarray, rng: np.random.Generator
) -> None:
    """A face that is found at once, and one of its size that only a finer look shows: the first keeps its box."""
    image = texture(rng, 1080, 1920)
    for x in range(100, 1700, 400):
        image[300:600, x : x + 300] = cv2.resize(astronaut[:300, 90:390], (300, 300), interpolation=cv2.INTER_AREA)
    before, now = first_look(image), analyzer(image)
    assert len(now) >= len(before) >= 1
    for face in before:
        assert any(np.array_equal(face.box, other.box) for other in now)


def test_nothing_is_seen_in_textures(analyzer: FaceAnalyzer, rng: np.random.Generator) -> None:
    for shape in ((720, 1280), (1080, 1920)):
        assert analyzer(texture(rng, *shape)) == []
        assert analyzer(rng.integers(0, 256, (*shape, 3), np.uint8)) == []


def test_tiles_cover_and_overlap(rng: np.random.Generator) -> None:
    for _ in range(200):
        side, overlap = int(rng.integers(2, 900)), float(rng.choice([0.25, 0.5]))
        length = int(rng.integers(1, 8000))
        tiles = _tiles(length, side, overlap)
        reach = tiles[0][1]
        assert (tiles[0][0], tiles[-1][1]) == (0, length)
        assert all(end - start == reach for start, end in tiles)
        assert reach <= side * (1 + 1 / 16) + 1
        assert all(b - a <= reach * (1 - overlap) + 1 for (a, _), (b, _) in itertools.pairwise(tiles))


def test_tiles_are_a_little_larger_where_that_saves_one() -> None:
    assert _tiles(704, 704, 0.25) == [(0, 704)]
    assert _tiles(720, 704, 0.25) == [(0, 720)]
    assert _tiles(748, 704, 0.25) == [(0, 748)]
    assert _tiles(749, 704, 0.25) == [(0, 704), (45, 749)]
    assert _tiles(1280, 704, 0.25) == [(0, 732), (548, 1280)]
    assert _tiles(1400, 704, 0.25) == [(0, 704), (348, 1052), (696, 1400)]


def test_how_fine_looks_become() -> None:
    detector = BlazeFaceDetector()
    assert detector.finer(1920, 230) is None, "a face that large is seen in the whole frame"
    assert detector.finer(1920, 32) == 640
    assert detector.finer(640, 32) == 384
    assert detector.finer(1280, 32) == 384, "no look at tiles that are hardly wider than the last ones"
    assert detector.finer(384, 32) is None
    assert detector.finer(3840, 1) == 1280
    assert detector.finer(500, 1) == 192, "tiles are not enlarged"
    assert detector.finer(192, 1) is None
    assert detector.finer(1920, 100.01) == detector.finer(1920, 100.05), "a face's last decimals do not move the tiles"
    assert BlazeFaceDetector(tiles=False).finer(3840, 32) is None


def test_sizes_in_words() -> None:
    assert face_size((10, 20, 41.9, 51.9)) == pytest.approx(31.9)
    assert too_small((10, 20, 41.9, 51.9), MIN_FACE) == "face too small to judge: 31 px (at least 32 are needed)"
    with pytest.raises(ValueError, match="min_face: expected >= 1, got 0"):
        default_analyzer(min_face=0)
