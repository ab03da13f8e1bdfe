"""Ragged batches: what goes in comes out, at the stated offsets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fpg.ops.ragged import RaggedBatch


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_round_trip(channels: int) -> None:
    rng = np.random.default_rng(channels)
    shapes = [(1, 1), (7, 3), (2, 9)]
    images = [rng.integers(0, 256, (*s, channels) if channels else s, dtype=np.uint8) for s in shapes]
    batch = RaggedBatch.from_list(images)
    assert len(batch) == 3
    assert batch.max_size == (7, 9)
    assert batch.sizes.tolist() == [list(s) for s in shapes]
    for index, image in enumerate(images):
        np.testing.assert_array_equal(batch.item(index).numpy(), image.squeeze(-1) if channels == 1 else image)
        assert batch.item(index).data_ptr() == batch.data.data_ptr() + batch.offsets[index].item()


def test_items_lie_where_the_offsets_say() -> None:
    offsets, sizes = torch.tensor([20, 0, 7]), torch.tensor([[2, 2], [1, 3], [2, 5]], dtype=torch.int32)
    batch = RaggedBatch(torch.arange(24, dtype=torch.uint8), offsets, sizes, 1, ((2, 2), (1, 3), (2, 5)))
    assert [batch.item(i).flatten().tolist() for i in range(3)] == [[20, 21, 22, 23], [0, 1, 2], list(range(7, 17))]
    assert batch.item(-1).shape == (2, 5)


def test_empty() -> None:
    mask = RaggedBatch.empty([(2, 3), (4, 1)], 1, torch.float32)
    assert mask.data.dtype == torch.float32
    assert mask.offsets.tolist() == [0, 6]
    assert len(RaggedBatch.empty([], 3)) == 0
    assert RaggedBatch.empty([], 3).sizes.shape == (0, 2)


@pytest.mark.parametrize(
    "images", [[], [np.zeros((2, 2), np.float64)], [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8)], [np.zeros(3, np.uint8)]]
)
def test_refuses(images: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="images: expected"):
        RaggedBatch.from_list(images)
