"""The aligned crop: five points onto GenD's template, upright, at scale 1.3; faces that cannot be cut so are turned away with a reason."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from fpg.common.crops import ALIGNED_POINTS, FaceRejected, aligned_square, cut_face, face_input, five_points

ENLARGED = (ALIGNED_POINTS - 0.5) / 1.3 + 0.5
"""Where the points come to lie in the crop, in units of its side."""


def placed(rng: np.random.Generator, side: float, centre: tuple[float, float], angle: float, noise: float = 0.0) -> np.ndarray:
    """Five points of a face whose crop has that side, centre and angle, float64 [5, 2]."""
    c, s = np.cos(angle), np.sin(angle)
    return (ENLARGED - 0.5) * side @ np.array([[c, s], [-s, c]]) + centre + rng.normal(0, noise * side, (5, 2))


def landmarks_of(points: np.ndarray) -> np.ndarray:
    """68 landmarks with those five points, float32."""
    found = np.zeros((68, 2), np.float32) + 1e6
    found[36:42] = points[0] + np.array([(-3, 0), (-1, -2), (1, -2), (3, 0), (1, 2), (-1, 2)])
    found[42:48] = points[1] + np.array([(-3, 0), (-1, -2), (1, -2), (3, 0), (1, 2), (-1, 2)])
    found[[30, 48, 54]] = points[2:]
    return found


def test_five_points_of_landmarks(rng: np.random.Generator) -> None:
    points = rng.uniform(0, 200, (5, 2))
    np.testing.assert_allclose(five_points(landmarks_of(points)), points, atol=1e-4)


def test_a_face_that_fits_the_template_is_found_exactly(rng: np.random.Generator) -> None:
    for _ in range(20):
        side, angle = rng.uniform(60, 300), rng.uniform(-3.1, 3.1)
        centre = (float(rng.uniform(200, 440)), float(rng.uniform(200, 280)))
        roi = aligned_square(placed(rng, side, centre, angle), 480, 640)
        assert roi == pytest.approx((*centre, side, angle), abs=1e-6)


def test_no_other_square_has_less_error(rng: np.random.Generator) -> None:
    points = placed(rng, 150, (320, 240), 0.4, noise=0.03)
    best = aligned_square(points, 480, 640)

    def error(x: float, y: float, side: float, angle: float) -> float:
        return float(((placed(rng, side, (x, y), angle) - points) ** 2).sum())

    for change in rng.normal(0, 1, (200, 4)) * (1, 1, 1, 0.01):
        assert error(*best) <= error(*(np.array(best) + change)) + 1e-9


@pytest.mark.parametrize("side", [90.0, 200.0, 420.0])
def test_as_gend_cuts(rng: np.random.Generator, side: float) -> None:
    """Its way, written down from its description: estimate, warp at the face's own size, shrink with antialiased cubic interpolation.

    But for half a pixel of the image: GenD takes the template for indices of pixels, fpg for places between their borders.
    """
    image = cv2.GaussianBlur(rng.integers(0, 256, (700, 900, 3), np.uint8), (0, 0), side / 40)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    points = placed(rng, side, (450, 350), float(rng.uniform(-0.6, 0.6)))
    own = round(side)
    matrix = cv2.estimateAffinePartial2D(points.astype(np.float32), (ENLARGED * own - 0.5).astype(np.float32), method=cv2.LMEDS)[0]
    warped = cv2.warpAffine(image, matrix, (own, own), flags=cv2.INTER_LINEAR)
    theirs = np.array(Image.fromarray(warped).resize((224, 224), Image.Resampling.BICUBIC), np.float32)
    ours = 255 * cut_face(image, (0, 0, 1, 1), landmarks_of(points), 224, "aligned").transpose(1, 2, 0)
    inner = np.abs(ours - theirs)[4:-4, 4:-4]
    assert inner.mean() < 3.0  # other filters
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


def test_the_points_come_to_lie_on_the_template(rng: np.random.Generator) -> None:
    points = placed(rng, 160, (320, 240), 0.7)
    image = np.zeros((480, 640, 3), np.uint8)
    for point in points:
        cv2.circle(image, tuple(round(16 * v) for v in point), 16 * 5, (255, 255, 255), cv2.FILLED, shift=4)
    cut = cut_face(image, (0, 0, 1, 1), landmarks_of(points), 224, "aligned")
    assert (cut.shape, cut.dtype, cut.flags.c_contiguous) == ((3, 224, 224), np.float32, True)
    for x, y in ENLARGED * 224 - 0.5:
        assert cut[0, round(y), round(x)] > 0.9
    assert cut.mean() < 0.1


def test_black_outside_the_image(rng: np.random.Generator) -> None:
    image = np.full((200, 200, 3), 255, np.uint8)
    cut = cut_face(image, (0, 0, 1, 1), landmarks_of(placed(rng, 180, (70, 100), 0)), 112, "aligned")
    assert cut[:, :, 0].max() == 0
    assert cut[:, 50:60, 60:].min() == 1


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ((40.0, (100, 100), 0.0), r"too small: its aligned crop is 40 px wide, at least 48 are needed"),
        ((150.0, (10, 100), 0.0), "cut off: the left eye lies outside the image"),
        ((150.0, (185, 100), 0.0), "cut off: the right eye lies outside"),
        ((150.0, (100, 175), 0.0), "cut off: the left corner of the mouth lies outside"),
        ((float("nan"), (100, 100), 0.0), "cut off: the left eye"),
    ],
)
def test_faces_that_are_turned_away(rng: np.random.Generator, points: tuple[float, tuple[float, float], float], reason: str) -> None:
    with pytest.raises(FaceRejected, match=reason):
        aligned_square(placed(rng, *points), 200, 200)


def test_rules(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (200, 200, 3), np.uint8)
    np.testing.assert_array_equal(cut_face(image, (50, 50, 120, 130), None, 64), face_input(image, (50, 50, 120, 130), 64))
    with pytest.raises(FaceRejected, match="has no landmarks, and the aligned crop needs"):
        cut_face(image, (50, 50, 120, 130), None, 64, "aligned")
