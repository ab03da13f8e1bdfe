"""The affine warp: against OpenCV, against exact weights, on windows, and the same bits everywhere."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from image_input import SIZES, cut, difference, random_batch, random_image
from oracles import warp as oracle

from fpg.common.rectangles import Crop
from fpg.ops.ragged import RaggedBatch
from fpg.pairs.draws import GeometryParams
from fpg.pairs.geometry import affine_fields, affine_matrix
from fpg.pairs.opencv import warp_image
from fpg.pairs.operations import warp
from fpg.pairs.plan import warp_region


def random_geometry(rng: np.random.Generator, spread: float = 1.0) -> GeometryParams:
    scale = tuple(float(v) for v in rng.uniform(0.95, 1 / 0.95, 2) ** spread)
    return GeometryParams(scale, (float(rng.uniform(-0.03, 0.03) * spread), float(rng.uniform(-0.015, 0.015) * spread)), 0)  # type: ignore[arg-type]


def rows(params: list[GeometryParams], sizes: list[tuple[int, int]]) -> torch.Tensor:
    fields = [affine_fields(p, *size) for p, size in zip(params, sizes, strict=True)]
    return torch.tensor(fields, dtype=torch.float64)


def test_fields_are_those_of_the_matrix(rng: np.random.Generator) -> None:
    p = random_geometry(rng)
    sx, tx, sy, ty = affine_fields(p, 123, 77)
    np.testing.assert_allclose(affine_matrix(p, 123, 77), [[sx, 0, tx], [0, sy, ty]], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spread", [1.0, 12.0])
def test_within_one_level_of_opencv(operations: Any, rng: np.random.Generator, spread: float) -> None:
    sizes = SIZES * 3
    images, batch = random_batch(rng, sizes)
    params = [random_geometry(rng, spread) for _ in images]
    result = operations.warp(batch, rows(params, sizes))
    for index, (image, p) in enumerate(zip(images, params, strict=True)):
        assert difference(result.item(index).numpy(), warp_image(image, affine_matrix(p, *image.shape[:2])))[0] <= 1


def test_within_one_level_of_exact_weights(native: None, rng: np.random.Generator) -> None:
    images, batch = random_batch(rng)
    affine = rows([random_geometry(rng, 5) for _ in images], SIZES)
    result = warp(batch, affine)
    differing = 0.0
    for index, image in enumerate(images):
        h, w = image.shape[:2]
        exact = oracle.warp(torch.from_numpy(image), (0, 0, h, w), (h, w), (0, 0, h, w), affine[index].tolist())
        largest, fraction = difference(result.item(index).numpy(), exact.numpy())
        assert largest <= 1
        differing += fraction * image.size
    assert differing < 0.25 * sum(image.size for image in images)  # over all: a few pixels alone prove nothing


def test_identity_and_whole_shifts_are_exact(operations: Any, rng: np.random.Generator) -> None:
    image = random_image(rng, 20, 30)
    affine = torch.tensor([[1, 0, 1, 0], [1, 4, 1, -3]], dtype=torch.float64)
    result = operations.warp(RaggedBatch.from_list([image, image]), affine)
    np.testing.assert_array_equal(result.item(0).numpy(), image)
    moved = cv2.warpAffine(image, np.array([[1, 0, 4], [0, 1, -3.0]]), (30, 20))
    np.testing.assert_array_equal(result.item(1).numpy(), moved)
    assert moved[:, :4].max() == 0


def test_windows_give_what_the_full_image_gives(operations: Any, rng: np.random.Generator) -> None:
    sizes, affine, out_rows, out_sizes, images = [], [], [], [], []
    for _ in range(12):
        height, width = (int(v) for v in rng.integers(2, 150, 2))
        y0, x0 = int(rng.integers(0, height)), int(rng.integers(0, width))
        out_sizes.append((int(rng.integers(1, height - y0 + 1)), int(rng.integers(1, width - x0 + 1))))
        images.append(random_image(rng, height, width))
        sizes.append((height, width))
        affine.append(affine_fields(GeometryParams(random_geometry(rng, 6).scale, (0.1, -0.1), 0), height, width))
        out_rows.append((y0, x0, height, width))
    wanted = [Crop(y0, y0 + h, x0, x0 + w) for (y0, x0, _, _), (h, w) in zip(out_rows, out_sizes, strict=True)]
    needed = [warp_region(fields, crop, *size) for fields, crop, size in zip(affine, wanted, sizes, strict=True)]
    parts = [cut(image, crop) for image, crop in zip(images, needed, strict=True)]
    windows = torch.tensor([(crop.y0, crop.x0, *size) for crop, size in zip(needed, sizes, strict=True)], dtype=torch.int32)
    rows_ = torch.tensor(affine, dtype=torch.float64)
    out_windows = torch.tensor(out_rows, dtype=torch.int32)
    result = operations.warp(
        RaggedBatch.from_list(parts), rows_, windows=windows, out=RaggedBatch.empty(out_sizes, 3), out_windows=out_windows
    )
    full = operations.warp(RaggedBatch.from_list(images), rows_)
    for index, ((y0, x0, _, _), (h, w)) in enumerate(zip(out_rows, out_sizes, strict=True)):
        np.testing.assert_array_equal(result.item(index).numpy(), full.item(index).numpy()[y0 : y0 + h, x0 : x0 + w])


def test_senseless_parameters_read_nothing_outside(native: None, rng: np.random.Generator) -> None:
    _, batch = random_batch(rng, [(4, 5)] * 6)
    values = [[1e-9, 0, 1, 0], [1, 1e12, 1, 0], [1, -1e12, 1, 0], [0, 0, 0, 0], [1e-310, 0, 1, 0], [1, 1e308, 1, 0]]
    result = warp(batch, torch.tensor(values, dtype=torch.float64))
    assert result.item(1).max() == 0
    assert result.item(2).max() == 0


@pytest.mark.parametrize("count", [2, 3])
def test_same_bits_with_any_number_of_threads(native: None, threads: None, rng: np.random.Generator, count: int) -> None:
    _, batch = random_batch(rng)
    affine = rows([random_geometry(rng) for _ in SIZES], SIZES)
    torch.set_num_threads(1)
    one = warp(batch, affine).data
    torch.set_num_threads(count)
    assert torch.equal(warp(batch, affine).data, one)


def test_errors_say_what_was_expected(native: None) -> None:
    batch = RaggedBatch.from_list([np.zeros((2, 2, 3), np.uint8)])
    with pytest.raises(ValueError, match=r"affine: expected float64 \[1, 4\], got float32 \[1, 4\]"):
        warp(batch, torch.zeros(1, 4))
    with pytest.raises(ValueError, match="no out_windows"):
        warp(batch, torch.zeros(1, 4).double(), out=batch)


@pytest.mark.cuda
def test_cuda_gives_the_bits_of_the_cpu(native: None, rng: np.random.Generator) -> None:
    sizes = SIZES * 2
    _, batch = random_batch(rng, sizes)
    affine = rows([random_geometry(rng) for _ in sizes], sizes)
    assert torch.equal(warp(batch.to("cuda"), affine.cuda()).data.cpu(), warp(batch, affine).data)
