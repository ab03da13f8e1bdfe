"""Colour and resampling kernels: against OpenCV, against the reference, on windows, and the same bits everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from image_input import SIZES, cut, difference, random_batch, random_image
from oracles import photometry as oracle

from fpg.ops.crop import blend_taps, linear_taps
from fpg.ops.ragged import RaggedBatch
from fpg.pairs import opencv
from fpg.pairs.draws import ColorParams, ResampleParams
from fpg.pairs.operations import RESAMPLE_HALO, change_color, color_fields, resample, resample_fields


def random_color(rng: np.random.Generator) -> ColorParams:
    coins = rng.random(3) < 0.7
    shift = tuple(int(v) for v in rng.integers(-30, 31, 3))
    hsv = tuple(float(v) for v in rng.uniform(-0.3, 0.3, 3) * rng.choice([1, 30]))
    contrast = float(rng.uniform(0.7, 1.3)), float(rng.uniform(-0.3, 0.3))
    return ColorParams(*(v if c else None for v, c in zip((shift, hsv, contrast), coins, strict=True)))  # type: ignore[arg-type]


def color_rows(params: list[ColorParams]) -> torch.Tensor:
    return torch.tensor([color_fields(p.rgb_shift, p.hsv_shift, p.contrast) for p in params])


def random_resample(rng: np.random.Generator) -> ResampleParams:
    kind = rng.integers(4)
    if kind == 3:
        return ResampleParams(None, None)
    sharpen = float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.5, 1))
    return ResampleParams(None, sharpen) if kind == 2 else ResampleParams(2 + 2 * int(kind), None)


def resample_rows(params: list[ResampleParams]) -> torch.Tensor:
    return torch.tensor([resample_fields(p.down_scale, p.sharpen) for p in params])


def test_color_matches_reference(native: None, rng: np.random.Generator) -> None:
    images, batch = random_batch(rng, SIZES * 3)
    rows = color_rows([random_color(rng) for _ in images])
    result = change_color(batch, rows)
    for index, image in enumerate(images):
        expected = oracle.change_color(torch.from_numpy(image), rows[index].tolist())
        assert torch.equal(result.item(index), expected)


def test_every_color_survives_hsv_as_in_opencv(operations: Any) -> None:
    """All 2^24 / 27 colours on a grid; OpenCV's vectorised columns (its last width % 32 round instead of truncating)."""
    levels = np.arange(0, 256, 3, dtype=np.uint8)[:86]
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
    image = np.ascontiguousarray(grid[: len(grid) // 256 * 256].reshape(-1, 256, 3))
    result = operations.change_color(RaggedBatch.from_list([image]), torch.tensor([color_fields(None, (0.2, -0.2, -0.1))])).item(0).numpy()
    largest, fraction = difference(result, opencv.shift_hsv(image, (0.2, -0.2, -0.1)))
    assert largest <= 1
    assert fraction < 0.002


@pytest.mark.parametrize("shift", [(0.3, 0.3, 0.3), (-0.3, -0.3, -0.3), (17.5, -40.2, 12.9), (-200.0, 300.0, -300.0), (0.0, 0.0, 0.0)])
def test_hsv_shift_matches_opencv(native: None, rng: np.random.Generator, shift: tuple[float, float, float]) -> None:
    image = rng.integers(0, 256, (60, 320, 3), dtype=np.uint8)
    result = change_color(RaggedBatch.from_list([image]), torch.tensor([color_fields(None, shift)])).item(0).numpy()
    largest, fraction = difference(result, opencv.shift_hsv(image, shift))
    assert largest <= 1
    assert fraction < 0.01


def test_color_matches_opencv(native: None, rng: np.random.Generator) -> None:
    """HSV within 1 before the contrast, which can make 2 of it; without HSV exactly."""
    images, batch = random_batch(rng, [(31, 128), (16, 320), (50, 64)] * 4)
    params = [random_color(rng) for _ in images]
    result = change_color(batch, color_rows(params))
    for index, (image, p) in enumerate(zip(images, params, strict=True)):
        largest, fraction = difference(result.item(index).numpy(), opencv.change_color(image, p))
        assert largest <= (0 if p.hsv_shift is None else 1 if p.contrast is None else 2)
        assert fraction <= 0.01


def test_color_in_any_width_stays_within_one_level_of_opencv(native: None, rng: np.random.Generator) -> None:
    images, batch = random_batch(rng)
    result = change_color(batch, torch.tensor([color_fields((5, -9, 3), (-0.1, 0.1, -0.2))] * len(images)))
    for index, image in enumerate(images):
        expected = opencv.shift_hsv(opencv.shift_rgb(image, (5, -9, 3)), (-0.1, 0.1, -0.2))
        assert difference(result.item(index).numpy(), expected)[0] <= 1


def test_neutral_rows_copy(operations: Any, rng: np.random.Generator) -> None:
    images, batch = random_batch(rng)
    colored = operations.change_color(batch, torch.tensor([color_fields()] * len(images)))
    resampled = operations.resample(batch, torch.tensor([resample_fields()] * len(images)))
    for index, image in enumerate(images):
        np.testing.assert_array_equal(colored.item(index).numpy(), image)
        np.testing.assert_array_equal(resampled.item(index).numpy(), image)
    assert colored.data.data_ptr() != batch.data.data_ptr()


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_scaling_matches_opencv_exactly(operations: Any, rng: np.random.Generator, factor: int) -> None:
    images, batch = random_batch(rng)
    result = operations.resample(batch, torch.tensor([resample_fields(factor)] * len(images)))
    for index, image in enumerate(images):
        np.testing.assert_array_equal(result.item(index).numpy(), opencv.scale_down_and_up(image, factor), err_msg=str(image.shape))


def test_sharpening_matches_opencv(operations: Any, rng: np.random.Generator) -> None:
    images, batch = random_batch(rng)
    draws = [(float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.5, 1))) for _ in images]
    result = operations.resample(batch, torch.tensor([resample_fields(None, d) for d in draws]))
    for index, (image, draw) in enumerate(zip(images, draws, strict=True)):
        largest, fraction = difference(result.item(index).numpy(), opencv.sharpen(image, *draw))
        assert largest <= 1
        assert fraction <= 0.01 or fraction * image.size <= 1


def test_windows_give_what_the_full_image_gives(operations: Any, rng: np.random.Generator) -> None:
    parts, in_rows, out_rows, sizes, expected, params = [], [], [], [], [], []
    for _ in range(10):
        height, width = (int(v) for v in rng.integers(20, 120, 2))
        image = random_image(rng, height, width)
        y0, x0 = int(rng.integers(0, height - 1)), int(rng.integers(0, width - 1))
        y1, x1 = int(rng.integers(y0 + 1, height + 1)), int(rng.integers(x0 + 1, width + 1))
        a, b = max(0, y0 - RESAMPLE_HALO), max(0, x0 - RESAMPLE_HALO)
        parts.append(cut(image, (a, min(height, y1 + RESAMPLE_HALO), b, min(width, x1 + RESAMPLE_HALO))))
        in_rows.append((a, b, height, width))
        out_rows.append((y0, x0, height, width))
        sizes.append((y1 - y0, x1 - x0))
        params.append(random_resample(rng))
        full = operations.resample(RaggedBatch.from_list([image]), resample_rows(params[-1:])).item(0).numpy()
        expected.append(cut(full, (y0, y1, x0, x1)))
    windows = [torch.tensor(r, dtype=torch.int32) for r in (in_rows, out_rows)]
    out = RaggedBatch.empty(sizes, 3)
    result = operations.resample(RaggedBatch.from_list(parts), resample_rows(params), windows=windows[0], out=out, out_windows=windows[1])
    for index, part in enumerate(expected):
        np.testing.assert_array_equal(result.item(index).numpy(), part)


def test_windows_that_are_too_small_repeat_their_edge(native: None, rng: np.random.Generator) -> None:
    """Nothing is read outside, whatever the windows say; the oracle agrees."""
    images, batch = random_batch(rng, [(5, 6), (1, 1), (3, 9)] * 4)
    params = [random_resample(rng) for _ in images]
    windows = torch.from_numpy(rng.integers(0, 40, (12, 4)).astype(np.int32))
    windows[:, 2:] += 50
    out_windows = windows.clone()
    out_windows[:, :2] = torch.from_numpy(rng.integers(0, 40, (12, 2)).astype(np.int32))
    sizes = [(9, 140), (3, 2), (1, 5)] * 4
    result = resample(batch, resample_rows(params), windows=windows, out=RaggedBatch.empty(sizes, 3), out_windows=out_windows)
    for i, image in enumerate(images):
        rows = resample_rows(params)[i].tolist()
        expected = oracle.resample(torch.from_numpy(image), windows[i].tolist(), sizes[i], out_windows[i].tolist(), rows)
        assert difference(result.item(i).numpy(), expected.numpy())[0] <= (1 if rows[1] else 0)


def run_all(batch: RaggedBatch, rows: tuple[torch.Tensor, torch.Tensor]) -> list[torch.Tensor]:
    return [change_color(batch, rows[0]).data, resample(batch, rows[1]).data]


@pytest.mark.parametrize("count", [2, 3])
def test_same_bits_with_any_number_of_threads(native: None, threads: None, rng: np.random.Generator, count: int) -> None:
    images, batch = random_batch(rng)
    rows = color_rows([random_color(rng) for _ in images]), resample_rows([random_resample(rng) for _ in images])
    torch.set_num_threads(1)
    one = run_all(batch, rows)
    torch.set_num_threads(count)
    assert all(torch.equal(a, b) for a, b in zip(run_all(batch, rows), one, strict=True))


def test_empty_batches_and_items(operations: Any) -> None:
    none = RaggedBatch.empty([], 3)
    assert operations.change_color(none, torch.zeros(0, 9)).data.numel() == 0
    assert operations.resample(none, torch.zeros(0, 3)).data.numel() == 0
    assert operations.change_color(RaggedBatch.empty([(0, 4), (3, 0)], 3), torch.zeros(2, 9)).data.numel() == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: change_color(b, torch.zeros(1, 8)), r"changes: expected float32 \[1, 9\], got float32 \[1, 8\]"),
        (lambda b: change_color(b, torch.zeros(2, 9)), r"changes: expected float32 \[1, 9\], got float32 \[2, 9\]"),
        (lambda b: change_color(b, torch.zeros(1, 9).double()), r"got float64 \[1, 9\]"),
        (lambda b: change_color(b, torch.zeros(1, 9, device="meta")), "changes: expected device cpu, got meta"),
        (
            lambda b: change_color(RaggedBatch.empty(b.host_sizes, 1), torch.zeros(1, 9)),
            r"images: expected flat uint8 with 3 channels, got uint8 \[4\] with 1",
        ),
        (lambda b: resample(RaggedBatch.empty(b.host_sizes, 3, torch.float32), torch.zeros(1, 3)), "images: expected flat uint8"),
        (lambda b: resample(RaggedBatch.empty([(0, 3)], 3), torch.zeros(1, 3)), "images: expected no empty item"),
        (lambda b: resample(b, torch.zeros(1, 3), out=b), "out: expected 1 items of 3 channels with their windows, got no out_windows"),
        (lambda b: resample(b, torch.zeros(1, 3), windows=torch.zeros(1, 4)), r"windows: expected int32 \[1, 4\], got float32"),
    ],
)
def test_errors_say_what_was_expected(native: None, call: Callable[[RaggedBatch], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(RaggedBatch.from_list([np.zeros((2, 2, 3), np.uint8)]))


def test_opencv_resizes_as_assumed(rng: np.random.Generator) -> None:
    """The reference itself: this OpenCV's 8-bit bilinear resize is the fixed-point one that the kernels reproduce."""
    image = random_image(rng, 23, 41)
    taps = [linear_taps(torch.arange(n), n, m) for n, m in ((50, 23), (77, 41))]
    first, second, weights = ([t[i] for t in taps] for i in range(3))
    ours = blend_taps(lambda y, x: torch.from_numpy(image).long()[y][:, x], first, second, weights)
    np.testing.assert_array_equal(ours.numpy(), cv2.resize(image, (77, 50), interpolation=cv2.INTER_LINEAR))


@pytest.mark.cuda
def test_cuda_gives_the_bits_of_the_cpu(native: None, rng: np.random.Generator) -> None:
    images, batch = random_batch(rng, SIZES * 2)
    rows = color_rows([random_color(rng) for _ in images]), resample_rows([random_resample(rng) for _ in images])
    expected = run_all(batch, rows)
    actual = run_all(batch.to("cuda"), (rows[0].cuda(), rows[1].cuda()))
    for a, e in zip(actual, expected, strict=True):
        assert a.is_cuda
        assert torch.equal(a.cpu(), e)
