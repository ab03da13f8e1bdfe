"""The uint8 forgery: exactly OpenCV's, whatever the mask holds, and the same bits everywhere."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from image_input import SIZES, random_batch

from fpg.ops.ragged import RaggedBatch
from fpg.pairs.draws import BlendRounding
from fpg.pairs.opencv import blend as blend_opencv
from fpg.pairs.operations import blend


@pytest.mark.parametrize("rounding", get_args(BlendRounding))
def test_blend_matches_opencv_exactly(operations: Any, rng: np.random.Generator, rounding: BlendRounding) -> None:
    (source, s), (background, b) = random_batch(rng), random_batch(rng)
    masks = [rng.random(size, dtype=np.float32) * (rng.random(size) > 0.3) for size in SIZES]
    masks = [np.where(rng.random(m.shape) > 0.8, 1, m).astype(np.float32) for m in masks]
    result = operations.blend(s, b, RaggedBatch.from_list(masks), nearest=rounding == "nearest")
    for index, mask in enumerate(masks):
        np.testing.assert_array_equal(result.item(index).numpy(), blend_opencv(source[index], background[index], mask, rounding))


def test_the_nearest_level_is_no_darker_and_truncation_is_half_a_level(operations: Any, rng: np.random.Generator) -> None:
    """Against exact arithmetic: masks are whole multiples of 1/64, so that every product is exact."""
    source, background = (rng.integers(0, 256, (90, 70, 3), np.uint8) for _ in range(2))
    parts = rng.integers(0, 65, (90, 70))
    exact = parts[..., None] * source.astype(int) + (64 - parts[..., None]) * background.astype(int)  # in 1/64 levels
    batches = [RaggedBatch.from_list([image]) for image in (source, background, (parts / 64).astype(np.float32))]
    truncated, nearest = (operations.blend(*batches, nearest=flag).item(0).numpy() for flag in (False, True))
    np.testing.assert_array_equal(truncated, exact // 64)
    np.testing.assert_array_equal(nearest, (exact + 32) // 64)
    blended = (parts > 0) & (parts < 64)
    assert -0.5 < (truncated - exact / 64)[blended].mean() < -0.42
    assert abs((nearest - exact / 64)[blended].mean()) < 0.06  # halves go up


def test_blend_keeps_senseless_masks_in_range(operations: Any) -> None:
    source = RaggedBatch.from_list([np.full((1, 6, 3), 200, np.uint8)])
    background = RaggedBatch.from_list([np.full((1, 6, 3), 100, np.uint8)])
    mask = np.array([[np.nan, np.inf, -np.inf, 7, -7, 1]], np.float32)
    result = operations.blend(source, background, RaggedBatch.from_list([mask])).item(0)
    assert result[0, :, 0].tolist() == [100, 200, 100, 200, 100, 200]


@pytest.mark.cuda
def test_cuda_gives_the_bits_of_the_cpu(native: None, rng: np.random.Generator) -> None:
    (_, s), (_, b) = random_batch(rng), random_batch(rng)
    masks = RaggedBatch.from_list([rng.random(size, dtype=np.float32) for size in SIZES])
    for nearest in (False, True):
        on_gpu = blend(s.to("cuda"), b.to("cuda"), masks.to("cuda"), nearest=nearest)
        assert torch.equal(on_gpu.data.cpu(), blend(s, b, masks, nearest=nearest).data)
