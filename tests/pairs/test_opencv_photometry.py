"""Photometric steps against slow references that spell out the rounding of each."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fpg.common.codec import compress_jpeg
from fpg.common.rectangles import Crop
from fpg.pairs.draws import ColorParams, ResampleParams
from fpg.pairs.opencv import change_color, change_contrast, resample, scale_down_and_up, sharpen, shift_hsv, shift_rgb
from fpg.pairs.plan import coded_region


def picture(seed: int, height: int = 37, width: int = 53) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(seed: int, height: int, width: int) -> np.ndarray:
    return cv2.normalize(cv2.GaussianBlur(picture(seed, height, width), (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]


def test_shift_rgb() -> None:
    image = picture(0)
    expected = np.clip(image.astype(int) + np.array([-20, 7, 20]), 0, 255)
    np.testing.assert_array_equal(shift_rgb(image, (-20, 7, 20)), expected)


@pytest.mark.parametrize("seed", range(6))
def test_shift_hsv_changes_by_0_or_minus_1(seed: int) -> None:
    image = picture(seed)
    shift = tuple(float(v) for v in np.random.default_rng(seed).uniform(-0.3, 0.3, 3))
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    slow = np.empty_like(hsv)
    for index, value in np.ndenumerate(hsv):
        delta = shift[index[2]]
        slow[index] = int((value + delta) % 180) if index[2] == 0 else int(min(max(value + delta, 0), 255))
    step = np.where(np.array(shift) < 0, -1, 0)
    stated = hsv.astype(int) + step
    stated[..., 0] %= 180
    np.testing.assert_array_equal(slow, np.clip(stated, 0, 255))
    np.testing.assert_array_equal(shift_hsv(image, shift), cv2.cvtColor(slow, cv2.COLOR_HSV2RGB))  # type: ignore[arg-type]


@pytest.mark.parametrize(("a", "b"), [(1.1, -0.1), (0.7, 0.3), (1.3, 0.3), (0.953, -0.0213), (1.0, 0.0)])
def test_contrast_truncates(a: float, b: float) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    out = change_contrast(levels, a, b).astype(float)
    exact = np.clip(a * levels + 255 * b, 0, 255)
    assert ((exact - out >= -1e-4) & (exact - out < 1 + 1e-4)).all()
    assert (change_contrast(levels, 1.0, 0.0) == levels).all()


@pytest.mark.parametrize("seed", range(4))
def test_sharpen(seed: int) -> None:
    image = picture(seed)
    t, lightness = np.random.default_rng(seed).uniform((0.2, 0.5), (0.5, 1.0))
    padded = np.pad(image.astype(float), [(1, 1), (1, 1), (0, 0)], mode="reflect")
    height, width = image.shape[:2]
    around = sum(padded[i : i + height, j : j + width] for i in range(3) for j in range(3)) - image
    exact = (1 - t) * image + t * ((8 + lightness) * image - around)
    assert np.abs(sharpen(image, float(t), float(lightness)) - np.clip(exact, 0, 255)).max() <= 0.501


@pytest.mark.parametrize("factor", [2, 4])
def test_scale_down_takes_the_nearest_and_comes_back_bilinear(factor: int) -> None:
    image = picture(factor)
    height, width = image.shape[:2]
    small_height, small_width = height // factor, width // factor
    rows = np.floor(np.arange(small_height) * height / small_height).astype(int)
    columns = np.floor(np.arange(small_width) * width / small_width).astype(int)
    small = image[rows][:, columns].astype(float)

    def weights(large: int, count: int) -> np.ndarray:
        position = np.clip((np.arange(large) + 0.5) * count / large - 0.5, 0, count - 1)
        return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(count)))

    exact = np.einsum("hy,wx,yxc->hwc", weights(height, small_height), weights(width, small_width), small)
    assert np.abs(scale_down_and_up(image, factor) - exact).max() <= 1.01


def test_order_of_the_steps() -> None:
    image = picture(9)
    params = ColorParams((10, -5, 3), (-0.1, 0.1, -0.2), (1.05, 0.02))
    expected = change_contrast(shift_hsv(shift_rgb(image, (10, -5, 3)), (-0.1, 0.1, -0.2)), 1.05, 0.02)
    np.testing.assert_array_equal(change_color(image, params), expected)
    assert (change_color(image, ColorParams(None, None, None)) == image).all()
    np.testing.assert_array_equal(resample(image, ResampleParams(None, (0.3, 0.7))), sharpen(image, 0.3, 0.7))
    np.testing.assert_array_equal(resample(image, ResampleParams(4, None)), scale_down_and_up(image, 4))


def test_jpeg_keeps_the_channels_in_place() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[...] = (200, 40, 90)
    assert np.abs(compress_jpeg(image, 95).astype(int) - image).max() <= 4
    rough, fine = (np.abs(compress_jpeg(smooth(1, 64, 80), q).astype(int) - smooth(1, 64, 80)).mean() for q in (40, 100))
    assert fine < rough


@pytest.mark.parametrize("seed", range(12))
def test_jpeg_of_the_coded_region_is_jpeg_of_everything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(v) for v in rng.integers(20, 200, 2))
    image = smooth(seed, height, width)
    y0, x0 = int(rng.integers(height - 1)), int(rng.integers(width - 1))
    y1, x1 = int(rng.integers(y0 + 1, height + 1)), int(rng.integers(x0 + 1, width + 1))
    if seed % 3 == 0:  # the last two columns of an image that ends with four in its last coding unit
        width = 16 * (width // 16) + 4
        image, x0, x1 = smooth(seed, height, width), width - 2, width
    top, bottom, left, right = coded_region(Crop(y0, y1, x0, x1), height, width)
    assert 0 <= top <= y0 < y1 <= bottom <= height
    assert 0 <= left <= x0 < x1 <= right <= width
    quality = int(rng.integers(40, 101))
    part = compress_jpeg(np.ascontiguousarray(image[top:bottom, left:right]), quality)[y0 - top : y1 - top, x0 - left : x1 - left]
    np.testing.assert_array_equal(part, compress_jpeg(image, quality)[y0:y1, x0:x1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2), (3, 1)])
def test_tiny_images(shape: tuple[int, int]) -> None:
    image = picture(0, *shape)
    for out in (sharpen(image, 0.3, 0.6), scale_down_and_up(image, 4), compress_jpeg(image, 50), shift_hsv(image, (-0.1, -0.1, -0.1))):
        assert out.shape == image.shape
        assert out.dtype == np.uint8
