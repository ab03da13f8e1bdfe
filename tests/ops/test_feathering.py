"""Feathering: where it is zero, its range, its erosions, and what it does with masks that are or become empty."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fpg.ops.feathering import feather
from fpg.ops.feathering import refeather_reference as refeather


def disc(height: int, width: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return ((y - height / 2) ** 2 + (x - width / 2) ** 2 < radius**2).astype(np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_range_and_interior(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = disc(int(rng.integers(120, 300)), int(rng.integers(120, 300)), float(rng.uniform(30, 60)))
    k1 = 2 * int(rng.integers(2, 13)) + 1
    soft = feather(mask, int(rng.integers(192, 257)), int(rng.integers(192, 257)), k1, 5, float(rng.integers(5, 46)))
    assert soft.dtype == np.float32
    assert soft.shape == mask.shape
    assert soft.min() >= 0
    assert 0.9 < soft.max() <= 1
    outside = cv2.erode(mask, np.ones((3, 3), np.uint8)) == 0
    assert soft[outside].max() < 0.6  # the second kernel of 5 reaches hardly farther than the first one took away


@pytest.mark.parametrize("k", range(5, 26, 2))
def test_the_interior_counts_as_one(k: int) -> None:
    """The comparison `blurred / max < 1` is made on floats: the bulk of the untouched interior has to survive it."""
    mask = disc(224, 224, 80)
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (k, k), 0)
    untouched = cv2.erode(mask, np.ones((k, k), np.uint8))
    survivors = (blurred / blurred.max() >= 1) & (untouched > 0)
    assert survivors.sum() > 0.9 * untouched.sum()


@pytest.mark.parametrize("erosion", ["released", "intended"])
def test_empty_stays_empty(erosion: str) -> None:
    zeros = np.zeros((50, 40), np.uint8)
    assert not feather(zeros, 200, 210, 5, 7, 9).any()
    assert not refeather(zeros, 10, 200, 210, 5, 7, 9, erosion).any()  # type: ignore[arg-type]


def test_what_the_erosion_removes_gives_zeros() -> None:
    small = np.zeros((60, 60), np.uint8)
    small[20:28, 20:28] = 1
    assert not refeather(small, 10, 200, 200, 17, 17, 15, "intended").any()
    assert refeather(small, 10, 200, 200, 17, 17, 15, "released").max() > 0
    row = np.zeros((60, 60), np.uint8)
    row[30] = 1
    assert not refeather(row, 10, 200, 200, 17, 17, 15, "released").any()


def test_released_erosion_takes_one_row_off_the_top() -> None:
    mask = disc(100, 100, 30)
    eroded = mask & np.vstack([mask[:1], mask[:-1]])  # 2 x 1 at OpenCV's anchor (1, 0): a pixel and the one above
    draws = (210, 230, 19, 21, 20)
    np.testing.assert_array_equal(refeather(mask, 12, *draws), feather(eroded, *draws))


def test_thin_and_tiny_masks_are_finite() -> None:
    for shape in [(1, 1), (2, 2), (3, 200), (380, 380)]:
        mask = np.zeros(shape, np.uint8)
        mask[0, 0] = 1
        soft = feather(mask, 192, 256, 25, 25, 45)
        assert np.isfinite(soft).all()
        assert soft.min() >= 0
        assert soft.max() <= 1


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"mask: expected \[H, W\], not empty, got \[1, 4, 4\]"):
        feather(np.ones((1, 4, 4)), 200, 200, 5, 5, 5)
    with pytest.raises(ValueError, match="erosion: expected released or intended, got both"):
        refeather(np.ones((4, 4)), 10, 200, 200, 5, 5, 5, "both")  # type: ignore[arg-type]
