"""The operations of `fpg.pairs.operations` and `fpg.ops.feathering` in torch and NumPy, image after image, with the same arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fpg.common.codec import compress_jpeg
from fpg.ops.crop import Crops, crop_resize_reference, items
from fpg.ops.mask_table import MaskTable
from fpg.ops.ragged import RaggedBatch
from oracles import blend as blends
from oracles import masks, photometry
from oracles import warp as warps


def change_color(images: RaggedBatch, changes: Tensor) -> RaggedBatch:
    result = _laid_out_as(images)
    for image, out, fields in zip(items(images), items(result), changes.tolist(), strict=True):
        out.copy_(photometry.change_color(image, fields))
    return result


def resample(images: RaggedBatch, changes: Tensor, **windows: object) -> RaggedBatch:
    return _windowed(photometry.resample, images, changes, **windows)  # type: ignore[arg-type]


def warp(images: RaggedBatch, affine: Tensor, **windows: object) -> RaggedBatch:
    return _windowed(warps.warp, images, affine, **windows)  # type: ignore[arg-type]


def blend(source: RaggedBatch, background: RaggedBatch, masks: RaggedBatch, *, nearest: bool = False) -> RaggedBatch:
    result = _laid_out_as(background)
    for s, b, m, out in zip(*(items(batch) for batch in (source, background, masks, result)), strict=True):
        out.copy_(blends.blend(s, b, m, nearest))
    return result


def jpeg_round_trip(images: RaggedBatch, quality: Tensor) -> RaggedBatch:
    result = RaggedBatch(images.data.clone(), images.offsets, images.sizes, 3, images.host_sizes)
    for view, q in zip(items(result), quality.tolist(), strict=True):
        if q:
            view.copy_(torch.from_numpy(compress_jpeg(view.numpy(), q)))
    return result


def crop_resize(images: Sequence[RaggedBatch], masks: RaggedBatch | None, crops: Tensor, size: int) -> Crops:
    results = [crop_resize_reference(batch, crops, size) for batch in images]
    return Crops(tuple(results), None if masks is None else crop_resize_reference(masks, crops, size))


def soft_masks(table: MaskTable, *, alpha: float = 50.0, sigma: float = 7.0) -> RaggedBatch:
    out = RaggedBatch.empty([w[2:] for w in table.windows], 1, torch.float32)
    masks.soft_masks(table.records(), out.data, out.offsets, out.sizes, [alpha, sigma])
    return out


def feather_masks(table: MaskTable, hard: RaggedBatch) -> RaggedBatch:
    out = RaggedBatch.empty([w[2:] for w in table.windows], 1, torch.float32)
    masks.feather_masks(table.records(), hard.data, hard.offsets, hard.sizes, out.data, out.offsets, out.sizes)
    return out


def _laid_out_as(batch: RaggedBatch) -> RaggedBatch:
    return RaggedBatch(torch.empty_like(batch.data), batch.offsets, batch.sizes, batch.channels, batch.host_sizes)


def _windowed(
    one: Callable[..., Tensor],
    images: RaggedBatch,
    parameters: Tensor,
    windows: Tensor | None = None,
    out: RaggedBatch | None = None,
    out_windows: Tensor | None = None,
) -> RaggedBatch:
    windows = torch.cat([torch.zeros_like(images.sizes), images.sizes], 1) if windows is None else windows
    out_windows = windows if out_windows is None else out_windows
    result = _laid_out_as(images if out is None else out)
    rows = zip(items(images), items(result), windows.tolist(), out_windows.tolist(), parameters.tolist(), strict=True)
    for image, made, window, out_window, row in rows:
        made.copy_(one(image, window, (made.shape[0], made.shape[1]), out_window, row))
    return result
