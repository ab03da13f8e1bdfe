"""Random images for the tests of the image operations."""

from __future__ import annotations

import cv2
import numpy as np

from fpg.ops.ragged import RaggedBatch

SIZES = [(37, 64), (1, 1), (1, 7), (9, 1), (2, 2), (130, 259), (64, 128)]


def random_image(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3]: noise, or something smooth, or few levels."""
    kind = rng.integers(3)
    if kind == 0:
        return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(image if kind == 1 else image // 128 * 255)


def random_batch(rng: np.random.Generator, sizes: list[tuple[int, int]] | None = None) -> tuple[list[np.ndarray], RaggedBatch]:
    images = [random_image(rng, h, w) for h, w in sizes or SIZES]
    return images, RaggedBatch.from_list(images)


def cut(image: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    """A copy of image[y0:y1, x0:x1]."""
    y0, y1, x0, x1 = window
    return np.ascontiguousarray(image[y0:y1, x0:x1])


def difference(actual: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Largest difference, and the fraction of values that differ at all."""
    gap = np.abs(actual.astype(np.float64) - expected)
    return float(gap.max(initial=0)), float((gap > 0).mean()) if gap.size else 0.0
