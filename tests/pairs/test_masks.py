"""The mask chain: kernels against the NumPy oracle and OpenCV, the published vectors, shapes and values at the edge.

A hard mask is what the chain gives without feathering: at the mask's own size and with kernels of one pixel, it stays what it is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from oracles import masks
from oracles import operations as oracle

from fpg.common.landmarks import HULL_FAMILIES
from fpg.ops import mask_table
from fpg.ops.feathering import feather, feather_masks, refeather, refeather_reference
from fpg.ops.mask_table import MaskTable, gaussian_weights
from fpg.ops.ragged import RaggedBatch
from fpg.pairs import opencv
from fpg.pairs.draws import PairParams, draw_pair
from fpg.pairs.geometry import affine_matrix
from fpg.pairs.operations import soft_masks


class Batch:
    """Faces of different sizes, their draws, and the table that says so."""

    def __init__(self, count: int, vectors: Path, seed: int | None = None, wild: bool = False) -> None:
        rng = np.random.default_rng(seed)
        data = np.load(vectors / "hulls.npz")
        self.sizes, self.landmarks, self.params = [], [], [draw_pair(rng) for _ in range(count)]
        for index in range(count):
            height, width = map(int, data[f"shape{index % 3}"])
            marks, scale, angle = data[f"lm{index % 3}"], rng.uniform(0.4, 0.9), rng.normal(0, 0.2)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            marks = ((marks - marks.mean(0)) @ turn + marks.mean(0) + rng.normal(0, 2, marks.shape)) * scale
            height, width = int(height * scale), int(width * scale)
            if wild:
                height, width = (int(v) for v in rng.integers(1, 90, 2))
                marks = rng.uniform(-60, 150, (81, 2))
            self.sizes.append((height, width))
            self.landmarks.append(marks[: 68 if index % 4 == 3 else 81])
        self.table = MaskTable(self.sizes)
        self.table.set_hulls(self.landmarks, [p.family for p in self.params], [p.points for p in self.params])
        self.set_draws()

    def set_draws(self) -> None:
        geometry = [p.geometry for p in self.params]
        self.table.set_warp([g.scale for g in geometry], [g.translate for g in geometry], [g.noise_key for g in geometry])
        self.table.set_feather([feather_draws(p) for p in self.params], [p.ratio for p in self.params])


def feather_draws(params: PairParams) -> tuple[int, int, int, int, int]:
    f = params.feather
    return f.height, f.width, f.k1, f.k2, f.sigma


def hard_masks(table: MaskTable, device: str = "cpu", **elastic: float) -> RaggedBatch:
    """Masks {0, 1} of the table's hulls and warp."""
    rows = table._rows.copy()
    table.set_feather([(h, w, 1, 1, 1) for h, w in table.sizes])
    soft = soft_masks(table, device=device, **elastic)
    table._rows[:] = rows
    assert bool(((soft.data == 0) | (soft.data == 1)).all())
    return RaggedBatch(soft.data.to(torch.uint8), soft.offsets, soft.sizes, 1, soft.host_sizes)


def without_warp(table: MaskTable) -> MaskTable:
    """The same hulls where they are."""
    plain = MaskTable(table.sizes)
    for name in ("landmarks", "family", "points"):
        plain._rows[name] = table._rows[name]
    return plain


def blobs(rng: np.random.Generator, sizes: list[tuple[int, int]]) -> RaggedBatch:
    import cv2

    return RaggedBatch.from_list([(cv2.GaussianBlur(rng.random(s), (0, 0), 5) > 0.5).astype(np.uint8) for s in sizes])


@pytest.mark.parametrize("wild", [False, True])
def test_chain_matches_the_oracle(native: None, vectors: Path, wild: bool) -> None:
    batch = Batch(10, vectors, wild=wild)
    hulls = without_warp(batch.table)
    expected = [torch.from_numpy(masks.face(row)) for row in hulls._rows]
    assert torch.equal(hard_masks(hulls, alpha=0).data, torch.cat([mask.flatten() for mask in expected]))
    warped = hard_masks(batch.table)
    moved = [torch.from_numpy(masks.warp(row, masks.face(row), 50, 7)) for row in batch.table._rows]
    assert (warped.data != torch.cat([mask.flatten() for mask in moved])).sum() <= 3  # a coordinate that is a tie in float32
    soft = feather_masks(batch.table, warped)
    torch.testing.assert_close(soft.data, oracle.feather_masks(batch.table, warped).data, rtol=0, atol=1e-6)
    assert torch.equal(soft_masks(batch.table).data, soft.data)


def test_chain_matches_opencv(native: None, vectors: Path) -> None:
    batch = Batch(12, vectors)
    hard = hard_masks(without_warp(batch.table), alpha=0)
    warped = hard_masks(batch.table)
    soft = feather_masks(batch.table, warped)
    for index, (params, size) in enumerate(zip(batch.params, batch.sizes, strict=True)):
        mask = hard.item(index).numpy()
        expected = opencv.face_mask(batch.landmarks[index], params.family, *size, params.points)
        assert (mask & expected).sum() >= 0.999 * (mask | expected).sum()
        moved = opencv.warp_mask(mask, affine_matrix(params.geometry, *size))
        moved = opencv.deform_mask(moved, params.geometry.noise_key, 50, 7)
        assert (warped.item(index).numpy() != moved).sum() <= 3
        expected = feather(warped.item(index).numpy(), *feather_draws(params)) * np.float32(params.ratio)
        np.testing.assert_allclose(soft.item(index).numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("points", [81, 68])
@pytest.mark.parametrize("family", HULL_FAMILIES)
def test_hull_vectors(native: None, vectors: Path, family: str, points: int) -> None:
    data = np.load(vectors / "hulls.npz")
    cases = sorted(int(name[2:]) for name in data.files if name.startswith("lm"))
    table = MaskTable([tuple(map(int, data[f"shape{i}"])) for i in cases])
    table.set_hulls([data[f"lm{i}"] for i in cases], [family] * len(cases), [points] * len(cases))
    out = hard_masks(table, alpha=0)
    for index, i in enumerate(cases):
        mask, expected = out.item(index).numpy().astype(bool), data[f"{family}_{points}_{i}"] > 127
        assert (mask & expected).sum() >= 0.999 * (mask | expected).sum()


def test_feathering_vectors(native: None, vectors: Path) -> None:
    data = np.load(vectors / "feathering.npz")
    for case in [name[:-4] for name in data.files if name.endswith("_out")]:
        expected, draw = data[f"{case}_out"], [int(v) for v in data[f"{case}_draw"]]
        mask = np.unpackbits(data[f"{case}_in"])[: expected.size].reshape(expected.shape)
        if case.startswith("simple"):
            soft = refeather(torch.from_numpy(mask)[None], [draw])[0, 0]
        else:
            table = MaskTable([mask.shape])
            table.set_feather([draw])
            soft = feather_masks(table, RaggedBatch.from_list([mask])).item(0)
        np.testing.assert_allclose(soft.numpy(), expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("erosion", ["released", "intended"])
def test_refeather_matches_opencv(native: None, erosion: str) -> None:
    rng = np.random.default_rng(20261123)
    regions = torch.stack([blobs(rng, [(120, 131)]).item(0) for _ in range(5)])
    regions[3], regions[4] = 0, 1
    draws = [(12, 200, 210, 17, 21, 20), (14, 256, 192, 25, 25, 45), (10, 220, 230, 19, 17, 15), (10, 200, 200, 17, 17, 15)] * 2
    soft = refeather(regions, draws[:5], erosion)
    assert soft.shape == (5, 1, 120, 131)
    for region, draw, out in zip(regions.numpy(), draws, soft[:, 0].numpy(), strict=False):
        np.testing.assert_allclose(out, refeather_reference(region, *draw, erosion=erosion), atol=2e-3)  # type: ignore[arg-type]


def test_windows_are_parts_of_the_whole(native: None, vectors: Path) -> None:
    batch = Batch(8, vectors)
    whole = soft_masks(batch.table)
    rng = np.random.default_rng(20261123)
    windows = []
    for height, width in batch.sizes:
        y0, x0 = int(rng.integers(height)), int(rng.integers(width))
        windows.append((y0, x0, int(rng.integers(1, height - y0 + 1)), int(rng.integers(1, width - x0 + 1))))
    batch.table.set_windows(windows)
    parts = soft_masks(batch.table)
    for index, (y, x, h, w) in enumerate(windows):
        assert torch.equal(parts.item(index), whole.item(index)[y : y + h, x : x + w])


@pytest.mark.parametrize("count", [2, 3])
def test_same_bits_with_any_number_of_threads(native: None, threads: None, vectors: Path, count: int) -> None:
    batch = Batch(7, vectors)
    torch.set_num_threads(1)
    one = soft_masks(batch.table)
    torch.set_num_threads(count)
    assert torch.equal(soft_masks(batch.table).data, one.data)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (2, 2), (3, 300)])
def test_tiny_images(native: None, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    batch = RaggedBatch.from_list([np.zeros(size, np.uint8), np.ones(size, np.uint8), rng.integers(0, 2, size, dtype=np.uint8)])
    table = MaskTable([size] * 3)
    table.set_feather([(192, 256, 5, 25, 45), (1, 1, 5, 5, 5), (200, 3, 25, 7, 9)])
    torch.testing.assert_close(feather_masks(table, batch).data, oracle.feather_masks(table, batch).data, rtol=0, atol=1e-6)
    table.set_warp([(1, 1), (0.95, 1.05), (1.02, 0.97)], [(0, 0), (0.03, -0.015), (0, 0)], [1, 2, 3])
    table.set_hulls(list(rng.uniform(-2, max(size) + 2, (3, 81, 2))), ["facehull", "components", "dfl_full"], [81] * 3)
    torch.testing.assert_close(soft_masks(table).data, oracle.soft_masks(table).data, rtol=0, atol=1e-6)


def test_thin_masks_at_the_border(native: None) -> None:
    """Nothing survives the first blur whole here, and the mirrored border puts its maximum outside of the mask's box."""
    rng = np.random.default_rng(20261123)
    images = []
    for index in range(24):
        mask = np.zeros(rng.integers(20, 90, 2), np.uint8)
        height, width = mask.shape
        y, x = [(0, 1), (2, 5), (height - 3, width - 4), (height // 2, 0)][index % 4]
        mask[y : y + (height if index % 4 == 0 else 2), x : x + 1 + index % 3] = 1
        images.append(mask)
    thin = RaggedBatch.from_list(images)
    table = MaskTable(thin.host_sizes)
    sizes, kernels, sigmas = rng.integers(20, 257, (24, 2)), 2 * rng.integers(2, 13, (24, 2)) + 1, rng.integers(5, 46, (24, 1))
    table.set_feather(np.hstack([sizes, kernels, sigmas]))
    expected = oracle.feather_masks(table, thin)
    torch.testing.assert_close(feather_masks(table, thin).data, expected.data, rtol=0, atol=1e-6)


def test_other_elastic_fields(native: None, vectors: Path) -> None:
    table = Batch(2, vectors).table
    table.set_warp([(1, 1)] * 2, [(0, 0)] * 2, [5, 6])
    assert torch.equal(hard_masks(table, alpha=0).data, hard_masks(without_warp(table), alpha=0).data)
    for alpha, sigma in [(400, 7), (20, 1), (200, 32)]:
        expected = [masks.warp(row, masks.face(row), alpha, sigma) for row in table._rows]
        moved = hard_masks(table, alpha=alpha, sigma=sigma)
        assert sum(int((moved.item(i).numpy() != mask).sum()) for i, mask in enumerate(expected)) <= 3


def test_weights_are_opencvs() -> None:
    import cv2

    for side in range(1, 66, 2):
        for sigma in (0.0, 5.0, 33.0):
            half = cv2.getGaussianKernel(side, sigma, cv2.CV_32F)[side // 2 :, 0]
            np.testing.assert_allclose(gaussian_weights(side, sigma), half, rtol=2e-7)


def test_empty_batch_and_refusals(native: None) -> None:
    assert soft_masks(MaskTable([])).data.numel() == 0
    table = MaskTable([(10, 20)])
    with pytest.raises(ValueError, match="landmarks of item 0: expected finite"):
        table.set_hulls([np.full((68, 2), np.nan)], ["facehull"], [68])
    with pytest.raises(ValueError, match=r"landmarks of item 0: expected \[68 or 81, 2\], got \[5, 2\]"):
        table.set_hulls([np.zeros((5, 2))], ["facehull"], [68])
    with pytest.raises(ValueError, match="family of item 0: expected one of"):
        table.set_hulls([np.zeros((68, 2))], ["oval"], [68])
    with pytest.raises(ValueError, match="odd kernel sides"):
        table.set_feather([(200, 200, 4, 5, 5)])
    with pytest.raises(ValueError, match="window of item 0: expected one within 10 x 20"):
        table.set_windows([(5, 5, 6, 5)])
    with pytest.raises(ValueError, match="scale: expected more than 0"):
        table.set_warp([(0, 1)], [(0, 0)], [1])
    with pytest.raises(ValueError, match="sigma: expected"):
        soft_masks(table, sigma=50)
    with pytest.raises(ValueError, match="masks: expected sizes"):
        feather_masks(table, RaggedBatch.from_list([np.zeros((10, 21), np.uint8)]))
    with pytest.raises(ValueError, match="masks: expected flat uint8 with 1 channels"):
        feather_masks(table, RaggedBatch.from_list([np.zeros((10, 20), np.float32)]))


@pytest.mark.cuda
@pytest.mark.parametrize("wild", [False, True])
def test_cuda_matches_the_cpu(native: None, vectors: Path, wild: bool) -> None:
    batch = Batch(9, vectors, wild=wild)
    hulls = without_warp(batch.table)
    assert torch.equal(hard_masks(hulls, "cuda", alpha=0).data.cpu(), hard_masks(hulls, alpha=0).data)
    warped, moved = hard_masks(batch.table), hard_masks(batch.table, "cuda")
    assert (moved.data.cpu() != warped.data).sum() <= 3
    torch.testing.assert_close(
        feather_masks(batch.table, warped.to("cuda")).data.cpu(), feather_masks(batch.table, warped).data, rtol=0, atol=1e-5
    )
    assert torch.equal(feather_masks(batch.table, moved).data, soft_masks(batch.table, device="cuda").data)


@pytest.mark.cuda
@pytest.mark.parametrize("erosion", ["released", "intended"])
def test_cuda_refeather(native: None, erosion: str) -> None:
    regions = torch.stack([blobs(np.random.default_rng(i), [(120, 131)]).item(0) for i in range(3)])
    draws = [(12, 200, 210, 17, 21, 20), (14, 256, 192, 25, 25, 45), (10, 220, 230, 19, 17, 15)]
    cpu, gpu = refeather(regions, draws, erosion), refeather(regions.cuda(), draws, erosion)
    torch.testing.assert_close(gpu.cpu(), cpu, rtol=0, atol=1e-5)


@pytest.mark.cuda
@pytest.mark.parametrize("at_once", [1, 4])
def test_cuda_in_parts(native: None, vectors: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Batch(9, vectors).table
    together, hard = soft_masks(table, device="cuda").data, hard_masks(table, "cuda")
    feathered = feather_masks(table, hard).data
    monkeypatch.setattr(mask_table, "scratch_slots", lambda each, on_gpu: at_once)
    assert torch.equal(soft_masks(table, device="cuda").data, together)
    assert torch.equal(feather_masks(table, hard).data, feathered)


def test_scratch_memory_on_a_gpu_is_bounded() -> None:
    for each in (1, 3_000_000, mask_table.GPU_SCRATCH, 2 * mask_table.GPU_SCRATCH):
        slots = mask_table.scratch_slots(each, on_gpu=True)
        assert slots == 1 or slots * each <= mask_table.GPU_SCRATCH < (slots + 1) * each
    assert mask_table.scratch_slots(2 * mask_table.GPU_SCRATCH, on_gpu=True) == 1
    assert mask_table.scratch_slots(1, on_gpu=False) == torch.get_num_threads()
