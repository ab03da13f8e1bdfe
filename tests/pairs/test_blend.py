"""The uint8 forgery: exactly OpenCV's, whatever the mask holds, and the same bits everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from image_input import SIZES, random_batch

from fpg.ops.ragged import RaggedBatch
from fpg.pairs.opencv import blend as blend_opencv
from fpg.pairs.operations import blend


def test_blend_matches_opencv_exactly(operations: Any, rng: np.random.Generator) -> None:
    (source, s), (background, b) = random_batch(rng), random_batch(rng)
    masks = [rng.random(size, dtype=np.float32) * (rng.random(size) > 0.3) for size in SIZES]
    masks = [np.where(rng.random(m.shape) > 0.8, 1, m).astype(np.float32) for m in masks]
    result = operations.blend(s, b, RaggedBatch.from_list(masks))
    for index, mask in enumerate(masks):
        np.testing.assert_array_equal(result.item(index).numpy(), blend_opencv(source[index], background[index], mask))


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
    assert torch.equal(blend(s.to("cuda"), b.to("cuda"), masks.to("cuda")).data.cpu(), blend(s, b, masks).data)
