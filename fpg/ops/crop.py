"""The detection crop of several images and their mask at once: cut, resize, scale to [0, 1] (SBI, CVPR 2022, as FPG uses it)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fpg.ops import reference_crop
from fpg.ops.backend import backend, native_module, native_target
from fpg.ops.launch import check_batch, check_rows, describe, flat_sizes, ragged, views
from fpg.ops.ragged import RaggedBatch

MAX_IMAGES = 4


class Crops(NamedTuple):
    """What the detector sees."""

    images: tuple[Tensor, ...]
    """float32 [B, 3, S, S] in [0, 1] each."""
    masks: Tensor | None
    """float32 [B, 1, S, S] in [0, 1]."""


def crop_resize(images: Sequence[RaggedBatch], masks: RaggedBatch | None, crops: Tensor, size: int, *, out: Crops | None = None) -> Crops:
    """Cut the same rectangle out of every image and its mask and resize it to S x S.

    Images: OpenCV's 8-bit bilinear resize, rounded to uint8, then / 255, as `fpg.common.crops.network_input`. Masks: bilinear in
    float32, clipped to [0, 1].

    Args:
        images: 1 to 4 batches, uint8, 3 channels, of the same sizes (forgery, background, source).
        masks: float32, 1 channel, of the same sizes; or None.
        crops: int32 [B, 4] = (y0, y1, x0, x1), half open, not empty and inside its item (what sticks out is cut off).
        size: S, in pixels.
        out: written and returned instead of new tensors, contiguous. On a CPU fresh memory costs more than the operation itself:
            a loop that keeps its buffers is several times faster.

    Raises:
        ValueError: wrong number of images, dtype, number of channels, sizes, shape or device, or an empty item.
    """
    if not 1 <= len(images) <= MAX_IMAGES:
        raise ValueError(f"images: expected 1 to {MAX_IMAGES} batches, got {len(images)}")
    if size < 1:
        raise ValueError(f"size: expected at least 1 pixel, got {size}")
    first = images[0]
    for batch in images:
        check_batch("images", batch, torch.uint8, 3, first)
    if any(0 in item for item in first.host_sizes):
        raise ValueError(f"images: expected no empty item, got sizes {list(first.host_sizes)}")
    if masks is not None:
        check_batch("masks", masks, torch.float32, 1, first)
    crops = check_rows("crops", crops, first, 4, torch.int32)
    batches = [*images] if masks is None else [*images, masks]
    inputs = [b.data for b in batches], [b.offsets for b in batches], first.sizes, flat_sizes(first), crops
    if out is None:
        results = _crop_resize(*inputs, size, masks is not None)
    else:
        results = _check_out(out, len(images), masks is not None, crops, size)
        _crop_resize_out(results, *inputs)
    return Crops(tuple(results[: len(images)]), None if masks is None else results[-1])


def _check_out(out: Crops, count: int, masked: bool, crops: Tensor, size: int) -> list[Tensor]:
    results = [*out.images, *([] if out.masks is None else [out.masks])]
    if len(out.images) != count or (out.masks is not None) != masked:
        raise ValueError(f"out: expected {count} images and {int(masked)} masks, got {len(out.images)} and {int(out.masks is not None)}")
    for result, channels in zip(results, [3] * count + [1] * masked, strict=True):
        shape = (crops.shape[0], channels, size, size)
        if result.dtype != torch.float32 or result.shape != shape or not result.is_contiguous() or result.device != crops.device:
            raise ValueError(f"out: expected contiguous float32 {list(shape)} on {crops.device}, got {describe(result)} on {result.device}")
    return results


@torch.library.custom_op("fpg::crop_resize", mutates_args=())
def _crop_resize(
    data: Sequence[Tensor], offsets: Sequence[Tensor], sizes: Tensor, host_sizes: Sequence[int], crops: Tensor, size: int, masked: bool
) -> list[Tensor]:
    results = _outputs(data, crops, size, masked)
    _run(results, data, offsets, sizes, host_sizes, crops)
    return results


@torch.library.custom_op("fpg::crop_resize_out", mutates_args=("results",))
def _crop_resize_out(
    results: Sequence[Tensor], data: Sequence[Tensor], offsets: Sequence[Tensor], sizes: Tensor, host_sizes: Sequence[int], crops: Tensor
) -> None:
    _run(results, data, offsets, sizes, host_sizes, crops)


@_crop_resize_out.register_fake
def _(
    results: Sequence[Tensor], data: Sequence[Tensor], offsets: Sequence[Tensor], sizes: Tensor, host_sizes: Sequence[int], crops: Tensor
) -> None:
    return None


def _run(
    results: Sequence[Tensor], data: Sequence[Tensor], offsets: Sequence[Tensor], sizes: Tensor, host_sizes: Sequence[int], crops: Tensor
) -> None:
    if backend(crops.device.type) == "reference":
        for result, flat, start in zip(results, data, offsets, strict=True):
            items = views(flat, start, host_sizes, result.shape[1])
            for out, item, crop in zip(result, items, crops.tolist(), strict=True):
                out.copy_(reference_crop.crop_resize(item, crop, result.shape[3]))
        return
    kept = [flat.contiguous() for flat in data]
    batches = [ragged(f, o, sizes, r.shape[1], host_sizes) for f, o, r in zip(kept, offsets, results, strict=True)]
    count = sum(result.shape[1] == 3 for result in results)
    native_module().crop_resize(
        images=batches[:count],
        masks=batches[count] if count < len(batches) else None,
        crops=crops.data_ptr(),
        out=[r.data_ptr() for r in results[:count]],
        masks_out=results[count].data_ptr() if count < len(batches) else 0,
        side=results[0].shape[3],
        target=native_target(crops.device),
    )


def _outputs(data: Sequence[Tensor], crops: Tensor, size: int, masked: bool) -> list[Tensor]:
    channels = [3] * (len(data) - masked) + [1] * masked
    return [crops.new_empty((crops.shape[0], c, size, size), dtype=torch.float32) for c in channels]


@_crop_resize.register_fake
def _(
    data: Sequence[Tensor], offsets: Sequence[Tensor], sizes: Tensor, host_sizes: Sequence[int], crops: Tensor, size: int, masked: bool
) -> list[Tensor]:
    return _outputs(data, crops, size, masked)
