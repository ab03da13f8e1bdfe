"""Pairs: formula, determinism, independence of what is stored, ranges over many seeds, degenerate input, refusals."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from one_pair import OnePair, one_pair

from fpg.common.codec import compress_jpeg
from fpg.common.crops import context_crop, detection_crop, face_input, network_input
from fpg.common.rng import stream
from fpg.pairs.draws import AugmentConfig, PairParams, draw_pair
from fpg.pairs.opencv import blend, change_color, make_copies

SIZE = 48


@dataclasses.dataclass(frozen=True)
class Sample:
    image: np.ndarray
    landmarks: np.ndarray
    box: np.ndarray


@pytest.fixture(scope="module")
def face(vectors: Path) -> Sample:
    """A smooth picture of 320 x 300 with a face's landmarks in the middle."""
    landmarks = np.load(vectors / "hulls.npz")["lm0"]
    low, high = landmarks[:68].min(0), landmarks[:68].max(0)
    landmarks = (landmarks - low) / (high - low) * (100, 110) + (101.3, 125.7)
    noise = np.random.default_rng(5).integers(0, 256, (320, 300, 3), dtype=np.uint8)
    image = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    return Sample(image, landmarks, np.array([98.0, 100.0, 205.0, 238.0]))


def made(sample: Sample, params: PairParams, size: int = SIZE) -> OnePair:
    return one_pair(sample.image, sample.landmarks, sample.box, params, size=size)


def assert_same(a: OnePair, b: OnePair) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_over_many_seeds(face: Sample) -> None:
    for seed in range(40):
        pair = made(face, draw_pair(stream(seed, "pair")))
        for name, channels in (("fake", 3), ("real", 3), ("source", 3), ("mask", 1)):
            value = getattr(pair, name)
            assert value.shape == (channels, SIZE, SIZE)
            assert value.dtype == np.float32
            assert np.isfinite(value).all()
            assert value.min() >= 0
            assert value.max() <= 1
        assert pair.mask.max() > 0.2
        assert (pair.fake != pair.real).any()
        assert pair.fake.flags.c_contiguous


def test_same_params_same_pair_and_inputs_are_left_alone(face: Sample) -> None:
    params = [draw_pair(stream(1, i)) for i in range(6)]
    before = dataclasses.replace(face, image=face.image.copy(), landmarks=face.landmarks.copy(), box=face.box.copy())
    first = [made(face, p) for p in params]
    for p, pair in reversed(list(zip(params, first, strict=True))):
        assert_same(made(face, p), pair)
    for a, b in itertools.pairwise(first):
        assert (a.mask != b.mask).any()
        assert (a.fake != b.fake).any()
    for name in ("image", "landmarks", "box"):
        np.testing.assert_array_equal(getattr(face, name), getattr(before, name))


def test_every_draw_matters(face: Sample) -> None:
    base = draw_pair(stream(2, 0))
    base = dataclasses.replace(base, mirror=False, points=81, family="facehull", ratio=1.0, jpeg_quality=None)
    pair = made(face, base)
    geometry = dataclasses.replace(base.geometry, noise_key=base.geometry.noise_key ^ 1)
    for change in (
        {"mirror": True},
        {"points": 68},
        {"family": "components"},
        {"ratio": 0.5},
        {"geometry": geometry},
        {"feather": dataclasses.replace(base.feather, k1=25 if base.feather.k1 < 25 else 5)},
        {"crop": (0.1, 0.9, 0.3, 0.7)},
    ):
        assert (made(face, dataclasses.replace(base, **change)).mask != pair.mask).any(), change
    other = "background" if base.recolored == "source" else "source"
    for change in ({"recolored": other}, {"jpeg_quality": 40}):
        assert (made(face, dataclasses.replace(base, **change)).fake != pair.fake).any(), change


@pytest.mark.parametrize("seed", range(8))
def test_the_steps_one_after_the_other_on_the_whole_crop(face: Sample, seed: int) -> None:
    """Blend and photometric change of the whole context crop, in float64 and without any shortcut, give the pair."""
    params = dataclasses.replace(draw_pair(stream(seed, "whole")), mirror=False)
    y0, y1, x0, x1 = context_crop(face.landmarks, *face.image.shape[:2])
    image = np.ascontiguousarray(face.image[y0:y1, x0:x1])
    source, background, mask = make_copies(image, face.landmarks - (x0, y0), params, AugmentConfig())
    forgery = blend(source, background, mask)
    exact = mask[..., None].astype(float) * source + (1 - mask[..., None].astype(float)) * background
    assert ((exact - forgery > -1e-3) & (exact - forgery < 1 + 1e-3)).all()
    np.testing.assert_array_equal(forgery[mask == 0], background[mask == 0])
    np.testing.assert_array_equal(forgery[mask == 1], source[mask == 1])
    unchanged = background if params.recolored == "source" else None
    if unchanged is not None:
        np.testing.assert_array_equal(unchanged, image)

    crop = detection_crop(face.box - (x0, y0, x0, y0), *image.shape[:2], params.crop)
    pair = made(face, params)
    for whole, got in ((forgery, pair.fake), (background, pair.real), (source, pair.source)):
        changed = change_color(whole, params.photometric)
        if params.jpeg_quality is not None:
            changed = compress_jpeg(changed, params.jpeg_quality)
        expected = network_input(changed, crop, SIZE)
        if params.photometric.hsv_shift is None:
            np.testing.assert_array_equal(expected, got)
        else:  # OpenCV rounds the last columns of HSV images, up to 31, instead of truncating; the last of a part are others
            far = int(SIZE * (1 - (31 + 24) / crop.width))  # JPEG carries it to a block and its neighbour
            assert far > SIZE / 3
            np.testing.assert_array_equal(expected[..., :far], got[..., :far])
            assert np.abs(expected - got).mean() < 0.2 / 255
    np.testing.assert_allclose(cv2.resize(mask[crop.slices], (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), pair.mask[0], atol=1e-6)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_frame_and_its_stored_crop_give_the_same_pair(face: Sample, mirror: bool) -> None:
    """Preparation stores the context crop of the unmirrored frame; taking it again, mirrored or not, changes nothing."""
    y0, y1, x0, x1 = context_crop(face.landmarks, *face.image.shape[:2])
    stored = Sample(face.image[y0:y1, x0:x1], face.landmarks - (x0, y0), face.box - (x0, y0, x0, y0))
    assert stored.image.shape != face.image.shape
    for i in range(4):
        params = dataclasses.replace(draw_pair(stream(4, i)), mirror=mirror)
        assert_same(made(face, params), made(stored, params))


def test_an_empty_mask_gives_the_background(face: Sample) -> None:
    """Landmarks on one side of the face's box: the warp may carry the whole mask away; here the hull lies outside the picture."""
    params = dataclasses.replace(draw_pair(stream(0, 0)), family="components", points=68, mirror=False)
    landmarks = face.landmarks.copy()
    landmarks[:, 1] = -30 - np.abs(landmarks[:, 1]) % 7
    landmarks[60] = (150, 300)  # of no component: keeps the context crop on the picture
    pair = one_pair(face.image, landmarks, face.box, params, size=SIZE)
    assert not pair.mask.any()
    np.testing.assert_array_equal(pair.fake, pair.real)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (2, 30), (5, 3)])
def test_tiny_crops(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    landmarks = rng.random((81, 2)) * (shape[1], shape[0])
    for i in range(6):
        pair = one_pair(image, landmarks, np.array([0, 0, shape[1], shape[0]]), draw_pair(stream(i, "tiny")), size=SIZE)
        for value in pair:
            assert np.isfinite(value).all()
            assert value.min() >= 0
            assert value.max() <= 1


def test_landmarks_partly_outside(face: Sample) -> None:
    shifted = face.landmarks - (120, 150)
    pair = one_pair(face.image, shifted, face.box - (120, 150, 120, 150), draw_pair(stream(0, "out")), size=SIZE)
    assert np.isfinite(pair.fake).all()


def test_refusals(face: Sample) -> None:
    params = draw_pair(stream(0, 0))
    broken = face.landmarks.copy()
    broken[4, 1] = np.nan
    cases: list[tuple[np.ndarray, np.ndarray, np.ndarray, str]] = [
        (face.image, broken, face.box, "landmarks: expected finite"),
        (face.image, face.landmarks[:60], face.box, r"landmarks: expected \[68 or 81, 2\], got \[60, 2\]"),
        (face.image, face.landmarks * 1e300, face.box, r"landmarks: expected coordinates within"),
        (face.image, face.landmarks + 2000, face.box, "box: expected to meet the image"),
        (face.image, face.landmarks, face.box * np.nan, "box: expected finite"),
        (face.image, face.landmarks, face.box[:3], r"box: expected \[4\], got \[3\]"),
        (face.image, face.landmarks, face.box[[2, 1, 0, 3]], "box: expected finite x0 < x1"),
        (face.image.astype(np.float32), face.landmarks, face.box, r"image: expected uint8 \[H, W, 3\], not empty, got float32"),
        (face.image[..., 0], face.landmarks, face.box, r"image: expected uint8"),
        (face.image[:0], face.landmarks, face.box, r"image: expected uint8 \[H, W, 3\], not empty"),
    ]
    for image, landmarks, box, message in cases:
        with pytest.raises(ValueError, match=message):
            one_pair(image, landmarks, box, params)
    with pytest.raises(ValueError, match="size: expected at least 1"):
        made(face, params, size=0)


def test_68_points_are_enough(face: Sample) -> None:
    params = dataclasses.replace(draw_pair(stream(0, 1)), points=81, family="facehull")
    assert_same(one_pair(face.image, face.landmarks[:68], face.box, params, size=SIZE), made(face, dataclasses.replace(params, points=68)))


def test_evaluation_face_is_the_validation_crop(face: Sample) -> None:
    params = dataclasses.replace(draw_pair(stream(0, 2), training=False), recolored="source", jpeg_quality=None)
    params = dataclasses.replace(params, photometric=dataclasses.replace(params.photometric, rgb_shift=None, hsv_shift=None, contrast=None))
    np.testing.assert_array_equal(made(face, params).real, face_input(face.image, face.box, SIZE))
