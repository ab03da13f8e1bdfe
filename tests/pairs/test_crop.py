"""The detection crop: against fpg.common.crops and OpenCV, and the same bits everywhere."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from image_input import SIZES, random_batch

from fpg.common.crops import network_input
from fpg.common.rectangles import Crop
from fpg.ops.ragged import RaggedBatch
from fpg.pairs.operations import Crops, crop_resize


def random_crops(rng: np.random.Generator, sizes: list[tuple[int, int]]) -> list[Crop]:
    result = []
    for height, width in sizes:
        y0, x0 = int(rng.integers(height)), int(rng.integers(width))
        result.append(Crop(y0, int(rng.integers(y0 + 1, height + 1)), x0, int(rng.integers(x0 + 1, width + 1))))
    return result


def random_masks(rng: np.random.Generator, sizes: list[tuple[int, int]]) -> tuple[list[np.ndarray], RaggedBatch]:
    masks = [rng.random(size).astype(np.float32) for size in sizes]
    return masks, RaggedBatch.from_list(masks)


@pytest.mark.parametrize("size", [1, 12, 127, 130])
def test_matches_network_input(operations: Any, rng: np.random.Generator, size: int) -> None:
    inputs = [random_batch(rng) for _ in range(3)]
    masks, mask_batch = random_masks(rng, SIZES)
    crops = random_crops(rng, SIZES)
    result = operations.crop_resize([batch for _, batch in inputs], mask_batch, torch.tensor(crops, dtype=torch.int32), size)
    assert result.masks is not None
    for item, crop in enumerate(crops):
        for (images, _), output in zip(inputs, result.images, strict=True):
            np.testing.assert_array_equal(output[item].numpy(), network_input(images[item], crop, size))
        part = masks[item][crop.slices]
        soft = np.clip(cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR), 0, 1)
        np.testing.assert_allclose(result.masks[item, 0].numpy(), soft, atol=3e-5)


def test_mask_is_clipped_and_optional(operations: Any, rng: np.random.Generator) -> None:
    _, batch = random_batch(rng, [(4, 4)])
    crops = torch.tensor([[0, 4, 0, 4]], dtype=torch.int32)
    high = operations.crop_resize([batch], RaggedBatch.from_list([np.full((4, 4), 1.5, np.float32)]), crops, 5)
    assert high.masks is not None
    assert high.masks.unique().tolist() == [1.0]
    assert operations.crop_resize([batch], None, crops, 5).masks is None


def test_crops_that_stick_out_are_cut_off(operations: Any, rng: np.random.Generator) -> None:
    images, batch = random_batch(rng, [(9, 11)] * 4)
    crops = [(-5, 100, -3, 12), (4, 4, 5, 2), (-9, -4, 2, 9), (0, 9, 20, 30)]
    inside = [(0, 9, 0, 11), (4, 5, 5, 6), (0, 1, 2, 9), (0, 9, 10, 11)]
    result = operations.crop_resize([batch], None, torch.tensor(crops, dtype=torch.int32), 13)
    for index, crop in enumerate(inside):
        np.testing.assert_array_equal(result.images[0][index].numpy(), network_input(images[index], Crop(*crop), 13))


def run(rng: np.random.Generator, device: str = "cpu") -> Crops:
    batches = [random_batch(rng)[1].to(device) for _ in range(3)]
    masks = random_masks(rng, SIZES)[1].to(device)
    return crop_resize(batches, masks, torch.tensor(random_crops(rng, SIZES), dtype=torch.int32).to(device), 140)


def assert_same(actual: Crops, expected: Crops) -> None:
    assert actual.masks is not None
    assert expected.masks is not None
    for a, e in zip((*actual.images, actual.masks), (*expected.images, expected.masks), strict=True):
        assert torch.equal(a.cpu(), e)


@pytest.mark.parametrize("count", [2, 3])
def test_same_bits_with_any_number_of_threads(native: None, threads: None, rng: np.random.Generator, count: int) -> None:
    seed = int(rng.integers(1 << 32))
    torch.set_num_threads(1)
    one = run(np.random.default_rng(seed))
    torch.set_num_threads(count)
    assert_same(run(np.random.default_rng(seed)), one)


def test_errors_say_what_was_expected(native: None, rng: np.random.Generator) -> None:
    _, batch = random_batch(rng, [(2, 3)])
    _, other = random_batch(rng, [(3, 2)])
    crops = torch.tensor([[0, 2, 0, 3]], dtype=torch.int32)
    with pytest.raises(ValueError, match="images: expected 1 to 4 batches, got 0"):
        crop_resize([], None, crops, 8)
    with pytest.raises(ValueError, match="images: expected 1 items of sizes 2 x 3, got 1 of 3 x 2"):
        crop_resize([batch, other], None, crops, 8)
    with pytest.raises(ValueError, match="masks: expected flat float32 with 1 channels"):
        crop_resize([batch], other, crops, 8)
    with pytest.raises(ValueError, match=r"crops: expected int32 \[1, 4\], got int64"):
        crop_resize([batch], None, crops.long(), 8)
    with pytest.raises(ValueError, match="size: expected at least 1 pixel, got 0"):
        crop_resize([batch], None, crops, 0)


def test_empty_batch(operations: Any) -> None:
    empty = operations.crop_resize([RaggedBatch.empty([], 3)], None, torch.zeros(0, 4, dtype=torch.int32), 7)
    assert empty.images[0].shape == (0, 3, 7, 7)


@pytest.mark.cuda
def test_cuda_gives_the_bits_of_the_cpu(native: None, rng: np.random.Generator) -> None:
    seed = int(rng.integers(1 << 32))
    assert_same(run(np.random.default_rng(seed), "cuda"), run(np.random.default_rng(seed)))
