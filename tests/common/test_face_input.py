"""`face_input`: crop, bilinear resize with pixel centres, scale."""

from __future__ import annotations

import numpy as np
import pytest

from fpg.common.crops import detection_crop, face_input


def bilinear(image: np.ndarray, size: int) -> np.ndarray:
    """Slow bilinear resize in float64, pixel centres, edges repeated."""
    height, width = image.shape[:2]
    y = np.clip((np.arange(size) + 0.5) * height / size - 0.5, 0, height - 1)
    x = np.clip((np.arange(size) + 0.5) * width / size - 0.5, 0, width - 1)
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    y1, x1 = np.minimum(y0 + 1, height - 1), np.minimum(x0 + 1, width - 1)
    fy, fx = (y - y0)[:, None, None], (x - x0)[None, :, None]
    top = image[y0][:, x0] * (1 - fx) + image[y0][:, x1] * fx
    bottom = image[y1][:, x0] * (1 - fx) + image[y1][:, x1] * fx
    return top * (1 - fy) + bottom * fy


@pytest.mark.parametrize("seed", range(5))
def test_against_a_slow_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, size = (int(v) for v in rng.integers(40, 120, 3))
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    box = (width * 0.2, height * 0.3, width * 0.9, height * 0.8)
    draw = tuple(rng.random(4))
    out = face_input(image, box, size, draw)
    y0, y1, x0, x1 = detection_crop(box, height, width, draw)
    assert out.shape == (3, size, size)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    expected = bilinear(image[y0:y1, x0:x1].astype(float), size).transpose(2, 0, 1) / 255
    assert np.abs(out - expected).max() <= 1.01 / 255  # rounded to uint8 on the way, with OpenCV's fixed-point weights


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"image: expected uint8 \[H, W, 3\]"):
        face_input(np.zeros((4, 4, 3), np.float32), (0, 0, 2, 2), 8)
    with pytest.raises(ValueError, match="box: expected finite"):
        face_input(np.zeros((4, 4, 3), np.uint8), (2, 2, 2, 2), 8)
