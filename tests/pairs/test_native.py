"""The fused pair kernel of the CPU against the single operations, bit for bit; memory that is used again."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fpg.ops.memory import ALIGNMENT, BlockPool
from fpg.pairs import Pairs, PreparedBatch, SelfBlend, draw_pair
from fpg.pairs import native as op


def prepare(vectors: Path, count: int, rng: np.random.Generator) -> PreparedBatch:
    """Faces somewhere in noise."""
    shape = np.load(vectors / "hulls.npz")["lm0"]
    shape = (shape - shape.min(0)) / (shape.max(0) - shape.min(0))
    images, landmarks, boxes = [], [], []
    for height, width in rng.integers(20, 200, (count, 2)):
        corner, side = rng.uniform(-0.1, 0.4, 2) * (width, height), rng.uniform(0.4, 0.9, 2) * (width, height)
        images.append(rng.integers(0, 256, (height, width, 3), np.uint8))
        landmarks.append(shape * side + corner)
        boxes.append(np.concatenate([corner, corner + side]))
    return SelfBlend().prepare(images, landmarks, boxes, [draw_pair(rng) for _ in images])


def same(a: Pairs, b: Pairs) -> None:
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("nearest", [False, True])
def test_fused_is_the_operations_one_after_the_other(native: None, vectors: Path, nearest: bool) -> None:
    batch = prepare(vectors, 24, np.random.default_rng(20261123))
    args = (batch.windows, batch.records, batch.masks, 40, 50.0, 7.0, nearest)
    same(op._fused(*args), op._composed(*args))
    other = op._fused(*args[:-1], not nearest)
    assert bool((other.fake != op._fused(*args).fake).any())
    assert torch.equal(other.real, op._fused(*args).real)


@pytest.mark.parametrize("count", [2, 3])
def test_same_bits_with_any_number_of_threads(native: None, threads: None, vectors: Path, count: int) -> None:
    batch = prepare(vectors, 7, np.random.default_rng(20261123))
    torch.set_num_threads(1)
    expected = op.self_blend(batch.windows, batch.records, batch.masks, 24)
    torch.set_num_threads(count)
    same(op.self_blend(batch.windows, batch.records, batch.masks, 24), expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [("window", (-1, 4, 0, 5)), ("coded", (0, 0, 0, 4)), ("warped", (0, 999, 0, 4)), ("pixels", 1 << 40), ("quality", 101)],
)
def test_records_that_would_reach_outside_are_refused(native: None, vectors: Path, field: str, value: Any) -> None:
    batch = prepare(vectors, 3, np.random.default_rng(0))
    batch.records[field][1] = value
    with pytest.raises(ValueError, match="item 1: expected regions inside"):
        op.self_blend(batch.windows, batch.records, batch.masks, 16)


def test_as_many_records_and_masks_as_windows(vectors: Path) -> None:
    batch = prepare(vectors, 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="records, masks: expected 2 of each, got"):
        op.self_blend(batch.windows, batch.records[:1], batch.masks, 16)
    with pytest.raises(ValueError, match="size: expected at least 1"):
        op.self_blend(batch.windows, batch.records, batch.masks, 0)


def test_memory_comes_back_when_nobody_holds_it() -> None:
    pool = BlockPool()
    first = pool.empty((3, 50_000), torch.float32)
    address = first.data_ptr()
    assert address % ALIGNMENT == 0
    view = first[1]
    del first
    other = pool.empty((3, 50_000), torch.float32)
    assert other.data_ptr() != address  # a view still holds it
    view.fill_(1)
    del view
    again = pool.empty((2, 70_000), torch.float32)
    assert again.data_ptr() == address
    assert pool.empty((0, 4), torch.uint8).shape == (0, 4)


def test_idle_memory_is_limited() -> None:
    pool = BlockPool(limit=500_000)
    held = [pool.empty((200_000,), torch.uint8) for _ in range(5)]
    assert pool.idle_bytes == 0
    held.clear()
    gc.collect()
    assert 400_000 <= pool.idle_bytes <= 500_000
    pool.empty((900_000,), torch.uint8)  # alone more than the limit
    gc.collect()
    assert pool.idle_bytes <= 500_000


def test_the_default_device_of_the_process_does_not_matter(native: None, vectors: Path) -> None:
    """Addresses of memory on the CPU go to the kernels, whatever `torch.set_default_device` says."""
    faces = [np.load(vectors / "hulls.npz")["lm0"] for _ in range(2)]
    images = [np.full((200, 200, 3), 90, np.uint8) for _ in faces]
    landmarks = [(face - face.min(0)) / np.ptp(face, 0) * 120 + 40 for face in faces]
    boxes = [np.concatenate([face.min(0), face.max(0)]) for face in landmarks]
    expected = SelfBlend(size=16)(images, landmarks, boxes, np.random.default_rng(0))
    with torch.device("meta"):
        got = SelfBlend(size=16)(images, landmarks, boxes, np.random.default_rng(0))
    for a, b in zip(got, expected, strict=True):
        assert torch.equal(a, b)
