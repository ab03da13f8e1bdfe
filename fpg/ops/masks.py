"""The mask chain of a pair: hulls of landmarks, affine and elastic change, feathering; apart or fused.

METHOD 2.3, 2.5, 2.6 and feather' of 4.2: SBI (CVPR 2022), mask generation; FPG (ACM MM 2024), shape refinement. `soft_masks` goes from
landmarks to the soft mask without any full-size mask leaving the cache, and computes only what reaches its window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fpg.ops import reference_masks
from fpg.ops.backend import backend, native_module, native_target
from fpg.ops.mask_table import MaskTable, gaussian_weights
from fpg.ops.memory import to_device
from fpg.ops.ragged import RaggedBatch

ELASTIC_RADIUS = 64
"""Largest radius of the elastic field's Gaussian, in grid steps of 2 pixels: sigma up to 32 pixels."""


def face_masks(table: MaskTable, device: torch.device | str = "cpu") -> RaggedBatch:
    """Hard masks of faces: unions of convex hulls of landmarks (METHOD 2.3; SBI, CVPR 2022).

    A pixel that a hull's outline touches belongs to the hull; the outline is the 8-connected line between the truncated landmarks, and
    the filling between the edges rounds halves to the right (OpenCV's `fillConvexPoly`).

    Args:
        table: with hulls set.
        device: where the masks are made.

    Returns:
        uint8, 1 channel, values {0, 1}, of the table's sizes.

    Raises:
        MissingDependencyError: `FPG_BACKEND=native` without kernels for this device.
    """
    out = RaggedBatch.empty(table.sizes, 1, torch.uint8, device)
    _face_masks(to_device(table.records(), out.data.device), out.data, out.offsets, out.sizes, table.limits())
    return out


def warp_masks(table: MaskTable, masks: RaggedBatch, *, alpha: float = 50.0, sigma: float = 7.0) -> RaggedBatch:
    """Affine change of hard masks (nearest, zero outside), then the elastic one (METHOD 2.5; SBI, CVPR 2022).

    The mask at p becomes the mask at p + d(p), looked up at the nearest pixel, mirrored at the border without the edge pixel; d is
    `fpg.augment.warp.elastic_field`.

    Args:
        table: with the warp set.
        masks: uint8, 1 channel, values {0, 1}, of the table's sizes.
        alpha, sigma: strength and deviation of the elastic field, pixels; sigma up to 32.

    Returns:
        uint8 masks of the same sizes.

    Raises:
        ValueError: masks of another kind or other sizes, alpha or sigma out of range.
    """
    _check_masks(table, masks)
    out = masks.like()
    elastic = [alpha, sigma]
    weights = _elastic_weights(alpha, sigma)
    records = to_device(table.records(), masks.data.device)
    _warp_masks(records, masks.data, out.data, out.offsets, out.sizes, table.limits(), elastic, weights)
    return out


def feather_masks(table: MaskTable, masks: RaggedBatch) -> RaggedBatch:
    """Soften hard masks (METHOD 2.6; SBI, CVPR 2022), after an erosion if one is set.

    Resize, blur, keep what the blur left untouched, blur, resize back, times the ratio, with OpenCV's float32 arithmetic.

    Args:
        table: with the feathering set, and erosion and windows if there are any.
        masks: uint8, 1 channel, values {0, 1}, of the table's sizes.

    Returns:
        float32, 1 channel, in [0, 1], of the table's windows. A mask without a pixel, before or after any step, gives zeros.

    Raises:
        ValueError: masks of another kind or other sizes.
    """
    _check_masks(table, masks)
    out = RaggedBatch.empty([w[2:] for w in table.windows], 1, torch.float32, masks.data.device)
    records = to_device(table.records(), masks.data.device)
    _feather_masks(records, masks.data, masks.offsets, masks.sizes, out.data, out.offsets, out.sizes, table.limits())
    return out


def refeather(regions: Tensor, draws: Sequence[Sequence[float]], erosion: str = "released") -> Tensor:
    """feather' of shape refinement for a batch of equal sizes: erode, then feather (FPG, ACM MM 2024).

    Args:
        regions: uint8 [N, H, W], values {0, 1}.
        draws: N of (k_erode, height, width, k1, k2, sigma).
        erosion: "released" takes 2 rows x 1 column, "intended" k_erode x k_erode.

    Returns:
        float32 [N, 1, H, W] in [0, 1], on the device of the regions.

    Raises:
        ValueError: a wrong shape, dtype, number of draws or erosion.
    """
    if regions.dtype != torch.uint8 or regions.ndim != 3:
        raise ValueError(f"regions: expected uint8 [N, H, W], got {str(regions.dtype).removeprefix('torch.')} {list(regions.shape)}")
    if erosion not in ("released", "intended"):
        raise ValueError(f"erosion: expected released or intended, got {erosion}")
    count, height, width = regions.shape
    values = np.asarray(draws, np.float64).reshape(-1, 6)
    table = MaskTable([(height, width)] * count)
    table.set_feather(values[:, 1:])
    table.set_erosion(np.tile([[2, 1]], (count, 1)) if erosion == "released" else values[:, [0, 0]])
    batch = RaggedBatch.empty(table.sizes, 1, torch.uint8, regions.device)
    masks = RaggedBatch(regions.contiguous().view(-1), batch.offsets, batch.sizes, 1, batch.host_sizes)
    return feather_masks(table, masks).data.view(count, 1, height, width)


def soft_masks(table: MaskTable, *, alpha: float = 50.0, sigma: float = 7.0, device: torch.device | str = "cpu") -> RaggedBatch:
    """From landmarks to soft masks in one operation: `face_masks`, `warp_masks`, `feather_masks`, with the same results.

    Args:
        table: with hulls, warp and feathering set, and windows for a part of each mask.
        alpha, sigma: of the elastic field, see `warp_masks`.
        device: where the masks are made.

    Returns:
        float32, 1 channel, in [0, 1], of the table's windows; ratio applied.

    Raises:
        ValueError: alpha or sigma out of range.
        MissingDependencyError: `FPG_BACKEND=native` without kernels for this device.
    """
    out = RaggedBatch.empty([w[2:] for w in table.windows], 1, torch.float32, device)
    weights = _elastic_weights(alpha, sigma)
    records = to_device(table.records(), out.data.device)
    _soft_masks(records, out.data, out.offsets, out.sizes, table.limits(), [alpha, sigma], weights)
    return out


def mask_chain(records: Tensor, limits: Sequence[int], alpha: float, sigma: float) -> Any:
    """Records on the CPU and the elastic field as the compiled module takes them, for an operation that has scratch memory of its own."""
    _check_records(records)
    return native_module().MaskChain(records.data_ptr(), len(records), limits, alpha / 2, _elastic_weights(alpha, sigma), 0, 0)


def _elastic_weights(alpha: float, sigma: float) -> list[float]:
    """The Gaussian that `fpg.augment.warp.elastic_blur` asks for, from the middle outwards."""
    grid_sigma = float(np.sqrt(max(0.0, (sigma / 2) ** 2 - 3 / 16)))
    radius = int(4 * grid_sigma + 0.5)
    if not (sigma > 0 and radius <= ELASTIC_RADIUS):
        raise ValueError(f"sigma: expected more than 0 and at most 32 pixels, got {sigma}")
    if not 0 <= alpha <= 2**15:
        raise ValueError(f"alpha: expected 0 to {2**15} pixels, got {alpha}")
    return [1.0] if radius == 0 else [float(w) for w in gaussian_weights(2 * radius + 1, grid_sigma)]


def _check_masks(table: MaskTable, masks: RaggedBatch) -> None:
    if masks.data.dtype != torch.uint8 or masks.channels != 1:
        raise ValueError(f"masks: expected uint8 with 1 channel, got {masks.data.dtype} with {masks.channels}")
    if masks.host_sizes != table.sizes:
        raise ValueError(f"masks: expected sizes {list(table.sizes[:4])}..., got {list(masks.host_sizes[:4])}...")


@torch.library.custom_op("fpg::face_masks", mutates_args=("out",))
def _face_masks(records: Tensor, out: Tensor, offsets: Tensor, sizes: Tensor, limits: list[int]) -> None:
    if backend(out.device.type) == "reference":
        return reference_masks.face_masks(records, out, offsets, sizes)
    if len(records):
        chain = _chain(records, limits, 0.0, [1.0])
        native_module().face_masks(chain=chain[0], out=_ragged(out, offsets, sizes, limits[:2]), target=native_target(out.device))
    return None


@torch.library.custom_op("fpg::warp_masks", mutates_args=("out",))
def _warp_masks(
    records: Tensor,
    masks: Tensor,
    out: Tensor,
    offsets: Tensor,
    sizes: Tensor,
    limits: list[int],
    elastic: list[float],
    weights: list[float],
) -> None:
    if backend(out.device.type) == "reference":
        return reference_masks.warp_masks(records, masks, out, offsets, sizes, elastic)
    if len(records):
        chain = _chain(records, limits, elastic[0] / 2, weights)
        native_module().warp_masks(
            chain=chain[0],
            masks=_ragged(masks, offsets, sizes, limits[:2]),
            out=_ragged(out, offsets, sizes, limits[:2]),
            target=native_target(out.device),
        )
    return None


@torch.library.custom_op("fpg::feather_masks", mutates_args=("out",))
def _feather_masks(
    records: Tensor,
    masks: Tensor,
    mask_offsets: Tensor,
    mask_sizes: Tensor,
    out: Tensor,
    offsets: Tensor,
    sizes: Tensor,
    limits: list[int],
) -> None:
    if backend(out.device.type) == "reference":
        return reference_masks.feather_masks(records, masks, mask_offsets, mask_sizes, out, offsets, sizes)
    if len(records):
        chain = _chain(records, limits, 0.0, [1.0])
        native_module().feather_masks(
            chain=chain[0],
            masks=_ragged(masks, mask_offsets, mask_sizes, limits[:2]),
            out=_ragged(out, offsets, sizes, limits[4:]),
            target=native_target(out.device),
        )
    return None


@torch.library.custom_op("fpg::soft_masks", mutates_args=("out",))
def _soft_masks(
    records: Tensor, out: Tensor, offsets: Tensor, sizes: Tensor, limits: list[int], elastic: list[float], weights: list[float]
) -> None:
    if backend(out.device.type) == "reference":
        return reference_masks.soft_masks(records, out, offsets, sizes, elastic)
    if len(records):
        chain = _chain(records, limits, elastic[0] / 2, weights)
        native_module().soft_masks(chain=chain[0], out=_ragged(out, offsets, sizes, limits[4:]), target=native_target(out.device))
    return None


@_face_masks.register_fake
@_warp_masks.register_fake
@_feather_masks.register_fake
@_soft_masks.register_fake
def _(*args: object) -> None:
    """They only write into `out`."""


def _ragged(data: Tensor, offsets: Tensor, sizes: Tensor, largest: Sequence[int]) -> object:
    return native_module().Ragged(data.data_ptr(), offsets.data_ptr(), sizes.data_ptr(), len(offsets), 1, *largest)


def _chain(records: Tensor, limits: Sequence[int], amplitude: float, weights: Sequence[float]) -> tuple[object, Tensor]:
    """The arguments that all operations share, and the scratch memory that has to outlive the call."""
    native = native_module()
    _check_records(records)
    slots = len(records) if records.is_cuda else min(len(records), torch.get_num_threads())
    scratch = torch.empty(slots * native.mask_scratch_bytes(limits, amplitude, weights), dtype=torch.uint8, device=records.device)
    chain = native.MaskChain(records.data_ptr(), len(records), limits, amplitude, weights, scratch.data_ptr(), slots)
    return chain, scratch


def _check_records(records: Tensor) -> None:
    expected = native_module().MASK_ITEM_BYTES
    if records.shape[1] != expected:
        raise RuntimeError(f"fpg._C: expected records of {expected} bytes, got {records.shape[1]}; build it again")
