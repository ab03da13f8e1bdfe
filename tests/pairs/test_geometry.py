"""Geometry against slow NumPy references: mirror, affine warps, the elastic field."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from fpg.common.landmarks import FOREHEAD_ALONG_HULL
from fpg.common.philox import noise_field
from fpg.common.rectangles import Box
from fpg.pairs.draws import GeometryParams
from fpg.pairs.geometry import MIRROR_ORDER, affine_matrix, mirror_box, mirror_landmarks
from fpg.pairs.opencv import deform_mask, elastic_field, warp_image, warp_mask


def random_geometry(rng: np.random.Generator) -> GeometryParams:
    sx, sy = rng.uniform(0.95, 1 / 0.95, 2)
    return GeometryParams((sx, sy), (rng.uniform(-0.03, 0.03), rng.uniform(-0.015, 0.015)), int(rng.integers(1 << 63)))


def blobs(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return (cv2.GaussianBlur(rng.random((height, width)), (0, 0), 6) > 0.5).astype(np.uint8)


def looked_up(params: GeometryParams, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each output column and row comes from: p = c + (p' - c - t) / S."""
    cx, cy = width / 2 - 0.5, height / 2 - 0.5
    x = cx + (np.arange(width) - cx - params.translate[0] * width) / params.scale[0]
    y = cy + (np.arange(height) - cy - params.translate[1] * height) / params.scale[1]
    return x, y


@pytest.mark.parametrize("points", [68, 81])
def test_mirroring_twice_restores(points: int) -> None:
    landmarks = np.random.default_rng(points).uniform(0, 100, (points, 2))
    once = mirror_landmarks(landmarks, 90)
    assert once.shape == (points, 2)
    assert (once != landmarks).any()
    np.testing.assert_allclose(mirror_landmarks(once, 90), landmarks, atol=1e-12)
    box = Box(10.0, 20.0, 30.0, 50.0)
    assert mirror_box(box, 90) == Box(60, 20, 80, 50)
    assert mirror_box(mirror_box(box, 90), 90) == box


def test_points_keep_their_meaning(vectors: Path) -> None:
    """A symmetric face mirrored about its own axis is itself, point by point; a turned one has its eyes on the right sides."""
    assert sorted(MIRROR_ORDER) == list(range(81))
    assert sorted(FOREHEAD_ALONG_HULL) == list(range(68, 81))
    assert MIRROR_ORDER[[8, 27, 30, 33, 51, 57, 62, 66, 71]].tolist() == [8, 27, 30, 33, 51, 57, 62, 66, 71]
    assert MIRROR_ORDER[[77, 75, 76, 68, 69, 70]].tolist() == [78, 74, 79, 73, 72, 80]
    landmarks = np.array(json.loads((vectors / "crops.json").read_text())[0]["landmarks"])[:68]
    assert np.ptp(landmarks[[8, 27, 28, 29, 30, 33, 51, 57, 62, 66], 0]) < 2e-3  # this face is symmetric
    np.testing.assert_allclose(mirror_landmarks(landmarks, 2 * landmarks[27, 0]), landmarks, atol=2e-3)
    mirrored = mirror_landmarks(landmarks, 500)
    right_eye, left_eye = slice(36, 42), slice(42, 48)
    assert mirrored[right_eye, 0].mean() < mirrored[left_eye, 0].mean()
    np.testing.assert_allclose(mirrored[36], (500 - landmarks[45, 0], landmarks[45, 1]))
    np.testing.assert_allclose(mirrored[41], (500 - landmarks[46, 0], landmarks[46, 1]))


@pytest.mark.parametrize("seed", range(5))
def test_image_warp_is_bilinear_and_zero_outside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(v) for v in rng.integers(30, 90, 2))
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    params = random_geometry(rng)
    x, y = looked_up(params, height, width)
    weight_x = np.maximum(0, 1 - np.abs(x[:, None] - np.arange(width)))  # zero outside comes by itself
    weight_y = np.maximum(0, 1 - np.abs(y[:, None] - np.arange(height)))
    exact = np.einsum("hy,wx,yxc->hwc", weight_y, weight_x, image.astype(float))
    error = warp_image(image, affine_matrix(params, height, width)) - exact
    modern = int(cv2.__version__.split(".")[0]) >= 5  # OpenCV 4 rounds coordinates to 1/32 of a pixel
    assert np.abs(error).max() <= (0.52 if modern else 16)
    assert abs(error.mean()) < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_mask_warp_is_nearest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(v) for v in rng.integers(60, 200, 2))
    mask = blobs(rng, height, width)
    params = random_geometry(rng)
    x, y = (np.floor(v + 0.5).astype(int) for v in looked_up(params, height, width))
    padded = np.pad(mask, 20)
    expected = padded[y + 20][:, x + 20]
    assert (warp_mask(mask, affine_matrix(params, height, width)) != expected).sum() <= 2


@pytest.mark.parametrize("seed", range(6))
def test_elastic_change(seed: int) -> None:
    """The whole field by SciPy and an index lookup; ours computes the surroundings of the mask only."""
    rng = np.random.default_rng(seed)
    height, width = (int(v) for v in rng.integers(70, 260, 2))
    mask = blobs(rng, height, width)
    keep = rng.integers(0, [height // 2, width // 2])
    mask[: keep[0]] = 0
    mask[:, : keep[1]] = 0
    key = int(rng.integers(1 << 63))
    alpha = 50.0 if seed % 2 else 400.0  # large ones look beyond the border
    noise = noise_field(key, (0, (height + 1) // 2), (0, (width + 1) // 2)).astype(np.float64)
    y, x = np.mgrid[:height, :width]
    at = [np.clip((y - 0.5) / 2, 0, noise.shape[0] - 1), np.clip((x - 0.5) / 2, 0, noise.shape[1] - 1)]
    coarse = [alpha / 2 * gaussian_filter(noise[..., i], np.sqrt(3.5**2 - 3 / 16)) for i in (0, 1)]
    dx, dy = (map_coordinates(c, at, order=1) for c in coarse)

    def reflect(position: np.ndarray, count: int) -> np.ndarray:
        return (count - 1) - np.abs((count - 1) - np.rint(position).astype(int) % (2 * count - 2))

    expected = mask[reflect(y + dy, height), reflect(x + dx, width)]
    out = deform_mask(mask, key, alpha, 7.0)
    assert out.dtype == np.uint8
    assert (out != mask).any()
    assert (out != expected).sum() <= 3  # a coordinate that is a tie in float32


def test_elastic_field_is_distributed_like_the_method() -> None:
    """Deviation, correlation over distance and independence of x and y, against 50 x SciPy's Gaussian(7) of noise per pixel."""
    rng = np.random.default_rng(0)
    size, count = (260, 300), 24
    ours = np.stack([elastic_field(int(rng.integers(1 << 63)), 50, 7, *size, (0, size[0]), (0, size[1])) for _ in range(count)])
    theirs = np.stack([50 * gaussian_filter(rng.uniform(-1, 1, (*size, 2)), (7, 7, 0)) for _ in range(count)])

    def moments(field: np.ndarray) -> np.ndarray:
        def product(dy: int, dx: int) -> float:
            return float((field[:, dy:, dx:] * field[:, : size[0] - dy, : size[1] - dx]).mean())

        variance = product(0, 0)
        return np.array(
            [variance, *(product(*lag) / variance for lag in [(0, 1), (1, 0), (0, 7), (7, 0), (14, 0), (0, 14), (10, 10), (0, 30)])]
        )

    a, b = moments(ours), moments(theirs)
    assert abs(np.sqrt(a[0] / b[0]) - 1) < 0.03
    np.testing.assert_allclose(a[1:], b[1:], atol=0.03)
    assert abs(np.corrcoef(ours[..., 0].ravel(), ours[..., 1].ravel())[0, 1]) < 0.03
    borders = [np.sqrt((f[:, :6] ** 2).mean() / (f[:, 60:-60] ** 2).mean()) for f in (ours, theirs)]  # repeated edges: it moves more there
    assert abs(borders[0] / borders[1] - 1) < 0.12
    kurtosis = [(f**4).mean() / (f**2).mean() ** 2 for f in (ours, theirs)]
    assert abs(kurtosis[0] - kurtosis[1]) < 0.25


def test_any_part_of_the_field_is_that_part() -> None:
    whole = elastic_field(11, 50, 7, 81, 90, (0, 81), (0, 90))
    for rows, columns in [((13, 40), (20, 77)), ((0, 5), (60, 90)), ((70, 81), (1, 2))]:
        part = elastic_field(11, 50, 7, 81, 90, rows, columns)
        np.testing.assert_allclose(part, whole[slice(*rows), slice(*columns)], atol=1e-5)


def test_elastic_change_of_nothing_and_of_tiny_masks() -> None:
    assert not deform_mask(np.zeros((40, 30), np.uint8), 1, 50, 7).any()
    for shape in [(1, 1), (2, 2), (1, 5), (3, 2)]:
        assert deform_mask(np.ones(shape, np.uint8), 1, 50, 7).all()
