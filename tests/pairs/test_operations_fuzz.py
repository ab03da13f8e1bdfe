"""Whatever comes into an operation on the CPU: a clear ValueError, or the oracle's result; never memory that is not the batch's.

Shapes down to one pixel, items that overlap or lie apart in their buffer, windows and crops elsewhere, masks of all 0 and all 1, landmarks
outside the image, NaN and infinity. The examples are the same in every run; each makes its own data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import operations as oracle

from fpg.common.landmarks import HULL_FAMILIES
from fpg.ops.backend import native_built
from fpg.ops.crop import crop_resize
from fpg.ops.mask_table import MaskTable
from fpg.ops.perception import perception_statistics, perception_statistics_reference
from fpg.ops.ragged import RaggedBatch
from fpg.pairs import operations
from fpg.pairs.operations import change_color, jpeg_round_trip, resample, soft_masks, warp

pytestmark = pytest.mark.skipif(not native_built(), reason="fpg._C is not built")

fuzz = settings(max_examples=10, derandomize=True, deadline=None)
seeds = st.integers(0, 2**32 - 1)
SIDES = [1, 2, 3, 7, 8, 9, 16, 17, 33, 70]
ODD = [float("nan"), float("inf"), float("-inf"), 0.0, 1.0, -1.0, 1e-40, 3e38]


def both(call: Callable[[Any], Any]) -> list:
    """What the kernels give, and what the oracle gives."""
    return [call(operations), call(oracle)]


def sizes(rng: np.random.Generator) -> list[tuple[int, int]]:
    return [(int(rng.choice(SIDES)), int(rng.choice(SIDES))) for _ in range(rng.integers(1, 5))]


def scattered(rng: np.random.Generator, shapes: list[tuple[int, int]], channels: int, dtype: torch.dtype = torch.uint8) -> RaggedBatch:
    """Items anywhere in one buffer, on top of each other or apart, the last one often at its very end."""
    lengths = np.array([h * w * channels for h, w in shapes])
    total = int(lengths.max() + rng.integers(0, lengths.sum() + 1))
    offsets = np.array([rng.integers(0, total - n + 1) if rng.random() < 0.7 else total - n for n in lengths])
    if dtype == torch.uint8:
        data = torch.from_numpy(rng.integers(0, 256, total, dtype=np.uint8) if rng.random() < 0.7 else np.full(total, 255, np.uint8))
    else:
        data = torch.from_numpy(floats(rng, (total,)))
    return RaggedBatch(data, torch.from_numpy(offsets), torch.tensor(shapes, dtype=torch.int32), channels, tuple(shapes))


def floats(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All 0, all 1, in [0, 1], or that with NaN and infinities among it."""
    kind = rng.integers(0, 4)
    if kind < 2:
        return np.full(shape, kind, np.float32)
    values = rng.random(shape, dtype=np.float32)
    return np.where(rng.random(shape) < 0.1, rng.choice(np.array(ODD, np.float32), shape), values) if kind == 3 else values


def apart(rng: np.random.Generator, shapes: list[tuple[int, int]]) -> RaggedBatch:
    """Items with gaps between them, for operations that write where they read."""
    lengths = np.array([h * w * 3 for h, w in shapes])
    gaps = rng.integers(0, 9, len(shapes))
    offsets = np.cumsum(lengths + gaps) - lengths
    data = torch.from_numpy(rng.integers(0, 256, int(offsets[-1] + lengths[-1]), dtype=np.uint8))
    return RaggedBatch(data, torch.from_numpy(offsets), torch.tensor(shapes, dtype=torch.int32), 3, tuple(shapes))


def items(batch: RaggedBatch) -> list[np.ndarray]:
    pairs = zip(batch.offsets.tolist(), batch.host_sizes, strict=True)
    return [batch.data[start : start + h * w * batch.channels].numpy().reshape(h, w, -1) for start, (h, w) in pairs]


def assert_close(got: RaggedBatch, expected: RaggedBatch, levels: int) -> None:
    for a, b in zip(items(got), items(expected), strict=True):
        assert np.abs(a.astype(int) - b).max() <= levels


@fuzz
@given(seeds)
def test_colour(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = apart(rng, sizes(rng))
    rows = np.zeros((len(images), 9), np.float32)
    rows[:, 0:3] = rng.integers(-40, 41, (len(images), 3))
    rows[:, 3] = rng.integers(0, 2, len(images))
    rows[:, 4], rows[:, 5:7] = rng.integers(0, 180, len(images)), rng.integers(-3, 4, (len(images), 2))
    rows[:, 7:9] = rng.uniform(0.5, 1.5), rng.uniform(-80, 80)
    assert_close(*both(lambda ops: ops.change_color(images, torch.from_numpy(rows))), levels=0)
    change_color(images, torch.from_numpy(rng.uniform(-1e30, 1e30, rows.shape).astype(np.float32)))  # any numbers: no crash


def windows(rng: np.random.Generator, shapes: list[tuple[int, int]], inside: bool) -> torch.Tensor:
    full = [(h + int(rng.integers(0, 40)), w + int(rng.integers(0, 40))) if inside else tuple(rng.integers(1, 90, 2)) for h, w in shapes]
    low = [(0, 0) if inside else (-50, -50)] * len(shapes)
    starts = [
        (rng.integers(a, max(1, f[0] - s[0] + 1)), rng.integers(b, max(1, f[1] - s[1] + 1)))
        for f, s, (a, b) in zip(full, shapes, low, strict=True)
    ]
    return torch.tensor([[*map(int, start), *map(int, f)] for start, f in zip(starts, full, strict=True)], dtype=torch.int32)


@fuzz
@given(seeds)
def test_resampling(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = sizes(rng)
    images = apart(rng, shapes)
    frames = windows(rng, shapes, inside=True)
    rows = torch.tensor(
        [[rng.choice([0, 1, 2, 4, 50]), 0, 0] if rng.random() < 0.6 else [0, -0.3, 3.4] for _ in shapes], dtype=torch.float32
    )
    assert_close(*both(lambda ops: ops.resample(images, rows, windows=frames)), levels=1)
    out_shapes = [(int(rng.choice(SIDES)), int(rng.choice(SIDES))) for _ in shapes]
    elsewhere, there = windows(rng, shapes, inside=False), windows(rng, out_shapes, inside=False)
    images = scattered(rng, shapes, 3)
    result = resample(images, rows, windows=elsewhere, out=RaggedBatch.empty(out_shapes, 3), out_windows=there)
    assert result.data.numel() == sum(3 * h * w for h, w in out_shapes)


@fuzz
@given(seeds)
def test_warping(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = sizes(rng)
    images = scattered(rng, shapes, 3)
    frames, out_shapes = windows(rng, shapes, inside=False), [(int(rng.choice(SIDES)), int(rng.choice(SIDES))) for _ in shapes]
    there = windows(rng, out_shapes, inside=False)
    affine = torch.from_numpy(np.stack([rng.uniform(0.3, 3, len(shapes)), rng.uniform(-50, 50, len(shapes))] * 2, 1))
    layout = RaggedBatch.empty(out_shapes, 3)
    assert_close(*both(lambda ops: ops.warp(images, affine, windows=frames, out=layout, out_windows=there)), levels=1)
    # any numbers: no crash
    warp(images, affine * torch.from_numpy(10.0 ** rng.uniform(-300, 300, affine.shape)), windows=frames, out=layout, out_windows=there)


@fuzz
@given(seeds)
def test_crops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes, size = sizes(rng), int(rng.choice([1, 5, 64, 193]))
    images = [scattered(rng, shapes, 3) for _ in range(rng.integers(1, 5))]
    masks = scattered(rng, shapes, 1, torch.float32)
    masks = RaggedBatch(masks.data.nan_to_num(0.5, 1.0, 0.0).clamp(0, 1), masks.offsets, masks.sizes, 1, masks.host_sizes)
    corners = np.sort(rng.integers(-30, 240, (len(shapes), 2, 2)), axis=2).reshape(-1, 4)
    crops = torch.from_numpy(corners.astype(np.int32))
    native, reference = crop_resize(images, masks, crops, size), oracle.crop_resize(images, masks, crops, size)
    for a, b in zip([*native.images, native.masks], [*reference.images, reference.masks], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1.01 / 255 if a.shape[1] == 3 else 1e-4)


@fuzz
@given(seeds)
def test_blending(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = sizes(rng)
    source, background, masks = scattered(rng, shapes, 3), apart(rng, shapes), scattered(rng, shapes, 1, torch.float32)
    for nearest in (False, True):
        assert_close(*both(lambda ops, nearest=nearest: ops.blend(source, background, masks, nearest=nearest)), levels=0)


@fuzz
@given(seeds)
def test_jpeg(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = apart(rng, sizes(rng))
    smooth = RaggedBatch((torch.arange(len(images.data)) % 3 * 40 + images.data // 16).to(torch.uint8), *list(vars(images).values())[1:])
    quality = torch.from_numpy(rng.integers(0, 101, len(images)).astype(np.int32))
    for before, *after in zip(
        items(smooth), *(items(b) for b in both(lambda ops: ops.jpeg_round_trip(smooth, quality))), quality.tolist(), strict=True
    ):
        got, expected, q = after
        assert np.mean(np.abs(got.astype(int) - expected) > 2) <= 0.01
        assert q > 0 or np.array_equal(got, before)


@fuzz
@given(seeds)
def test_perception(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(0, 4)), int(rng.choice(SIDES)), int(rng.choice(SIDES)))
    maps, masks = torch.from_numpy(floats(rng, shape)), torch.from_numpy(floats(rng, shape[:1] + shape[:0:-1])).transpose(1, 2)
    native, reference = perception_statistics(maps, masks), perception_statistics_reference(maps, masks)
    torch.testing.assert_close(native.threshold, reference.threshold, rtol=1e-6, atol=1e-10)
    inexact = native.threshold != reference.threshold  # then a value may lie between the two
    for a, b in zip(native[1:], reference[1:], strict=True):
        torch.testing.assert_close(a[~inexact], b[~inexact], rtol=0, atol=0)


@fuzz
@given(seeds)
def test_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = sizes(rng)
    table = MaskTable(shapes)
    reach = rng.choice([10.0, 300.0, 3000.0])
    landmarks = [rng.uniform(-reach, reach, (81, 2)) if rng.random() < 0.8 else np.full((81, 2), 5.0) for _ in shapes]
    table.set_hulls(landmarks, list(rng.choice(HULL_FAMILIES, len(shapes))), [int(rng.choice([68, 81])) for _ in shapes])
    table.set_warp(
        rng.uniform(0.5, 2, (len(shapes), 2)), rng.uniform(-2, 2, (len(shapes), 2)), [int(v) for v in rng.integers(0, 2**62, len(shapes))]
    )
    ratios = rng.uniform(0, 1, len(shapes))
    hulls = MaskTable(shapes)
    hulls._rows[:] = table._rows
    hulls.set_warp(np.ones((len(shapes), 2)), np.zeros((len(shapes), 2)), [0] * len(shapes))
    hulls.set_feather([(h, w, 1, 1, 1) for h, w in shapes])  # a hard mask stays what it is
    draws = np.stack(
        [rng.integers(1, 70, len(shapes)) for _ in range(2)]
        + [rng.integers(0, 13, len(shapes)) * 2 + 1 for _ in range(2)]
        + [rng.integers(1, 46, len(shapes))],
        1,
    )
    table.set_feather(draws, ratios)
    hard, reference = both(lambda ops: ops.soft_masks(hulls, alpha=0))
    for a, b in zip(items(hard), items(reference), strict=True):
        assert np.mean(a != b) <= 0.02  # lines that leave the image
    for soft in items(soft_masks(table)):
        assert np.isfinite(soft).all()
        assert soft.min() >= 0
        assert soft.max() <= 1


@pytest.mark.parametrize("offset", [-1, 4])
def test_items_beyond_their_data_are_refused(offset: int) -> None:
    good = RaggedBatch.from_list([np.zeros((4, 5, 3), np.uint8)])
    bad = RaggedBatch(good.data, good.offsets + offset, good.sizes, 3, good.host_sizes)
    with pytest.raises(ValueError, match="images: expected items within 60 elements"):
        change_color(bad, torch.zeros(1, 9))
    with pytest.raises(ValueError, match="in both places"):
        jpeg_round_trip(RaggedBatch(good.data, good.offsets, good.sizes + 1, 3, good.host_sizes), torch.tensor([50], dtype=torch.int32))


def test_items_that_overlap_are_refused_where_the_result_would_lie_as_they_do() -> None:
    one = RaggedBatch.from_list([np.zeros((4, 5, 3), np.uint8)])
    twice = RaggedBatch(one.data, one.offsets.repeat(2), one.sizes.repeat(2, 1), 3, one.host_sizes * 2)
    with pytest.raises(ValueError, match="images: expected items that do not overlap"):
        change_color(twice, torch.zeros(2, 9))
    with pytest.raises(ValueError, match="images: expected items that do not overlap"):
        resample(twice, torch.zeros(2, 3))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    images = RaggedBatch.from_list([np.zeros((4, 5, 3), np.uint8)])
    with pytest.raises(ValueError, match="changes: expected finite numbers"):
        change_color(images, torch.full((1, 9), value))
    with pytest.raises(ValueError, match="affine: expected finite numbers"):
        warp(images, torch.full((1, 4), value, dtype=torch.float64))
    table = MaskTable([(4, 5)])
    with pytest.raises(ValueError, match="expected finite coordinates"):
        table.set_hulls([np.full((81, 2), value)], ["facehull"], [81])


@pytest.mark.parametrize("window", [(0, 0, 0, 5), (0, 0, 4, -1), (2**30, 0, 4, 5)])
def test_windows_of_no_image_are_refused(window: tuple[int, int, int, int]) -> None:
    images = RaggedBatch.from_list([np.zeros((4, 5, 3), np.uint8)])
    with pytest.raises(ValueError, match="windows: expected full images"):
        resample(images, torch.zeros(1, 3), windows=torch.tensor([window], dtype=torch.int32))
