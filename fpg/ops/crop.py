"""The detection crop of several images and their mask at once: cut, resize, scale to [0, 1] (SBI, CVPR 2022, as FPG uses it)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fpg.ops.backend import backend, native, native_target
from fpg.ops.checks import check_batch, check_rows
from fpg.ops.ragged import RaggedBatch

MAX_IMAGES = 4


class Crops(NamedTuple):
    """What the detector sees."""

    images: tuple[Tensor, ...]
    """float32 [B, 3, S, S] in [0, 1] each."""
    masks: Tensor | None
    """float32 [B, 1, S, S] in [0, 1]."""


def crop_resize(images: Sequence[RaggedBatch], masks: RaggedBatch | None, crops: Tensor, size: int) -> Crops:
    """Cut the same rectangle out of every image and its mask and resize it to S x S.

    Images: OpenCV's 8-bit bilinear resize, rounded to uint8, then / 255, as `fpg.common.crops.network_input`. Masks: bilinear in
    float32, clipped to [0, 1].

    Args:
        images: 1 to 4 batches, uint8, 3 channels, of the same sizes (forgery, background, source).
        masks: float32, 1 channel, of the same sizes; or None.
        crops: int32 [B, 4], rows of `fpg.common.rectangles.Crop`, not empty and inside its item (what sticks out is cut off).
        size: S, in pixels.

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
    if backend(crops.device.type) == "reference":
        cut = [crop_resize_reference(batch, crops, size) for batch in images]
        return Crops(tuple(cut), None if masks is None else crop_resize_reference(masks, crops, size))
    results = tuple(crops.new_empty((len(first), 3, size, size), dtype=torch.float32) for _ in images)
    soft = None if masks is None else crops.new_empty((len(first), 1, size, size), dtype=torch.float32)
    native.crop_resize(
        images=[batch.native() for batch in images],
        masks=None if masks is None else masks.native(),
        crops=crops.data_ptr(),
        out=[result.data_ptr() for result in results],
        masks_out=0 if soft is None else soft.data_ptr(),
        side=size,
        target=native_target(crops.device),
    )
    return Crops(results, soft)


def crop_resize_reference(batch: RaggedBatch, crops: Tensor, size: int) -> Tensor:
    """The same for one batch of images (uint8, 3 channels) or masks (float32, 1 channel) in torch, independent of `csrc/`."""
    parts = [_crop_resize(item, crop, size) for item, crop in zip(items(batch), crops.tolist(), strict=True)]
    return torch.stack(parts) if parts else batch.data.new_empty((0, batch.channels, size, size), dtype=torch.float32)


def items(batch: RaggedBatch) -> list[Tensor]:
    """The images of a batch as views [H, W, C] (reads the offsets: waits for a GPU)."""
    places = zip(batch.offsets.tolist(), batch.host_sizes, strict=True)
    return [batch.data[start : start + h * w * batch.channels].view(h, w, batch.channels) for start, (h, w) in places]


def _crop_resize(item: Tensor, crop: Sequence[int], size: int) -> Tensor:
    """uint8 [h, w, 3] -> float32 [3, size, size] in [0, 1], or float32 [h, w, 1] -> [1, size, size]."""
    y0, y1, x0, x1 = crop
    y0, x0 = min(max(y0, 0), item.shape[0] - 1), min(max(x0, 0), item.shape[1] - 1)
    part = item[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    if item.dtype != torch.uint8:
        planes = part.permute(2, 0, 1)[None]
        return interpolate(planes.double(), size=(size, size), mode="bilinear", align_corners=False)[0].clamp(0, 1).float()
    levels = part.long()
    pixels = torch.arange(size, device=item.device)
    taps = [linear_taps(pixels, size, n) for n in part.shape[:2]]
    first, second, weights = ([t[i] for t in taps] for i in range(3))
    resized = blend_taps(lambda y, x: levels[y][:, x], first, second, weights)
    return resized.permute(2, 0, 1).float() / 255


def linear_taps(pixels: Tensor, out_count: int, in_count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Both neighbours of each output pixel and the second one's weight of 2048, as OpenCV resizes: float32 positions."""
    position = ((pixels.double() + 0.5) * (1 / (out_count / in_count)) - 0.5).float()
    low = position.floor()
    weight = ((position - low) * 2048).round().long()
    low = low.long()
    return low.clamp(0, in_count - 1), (low + 1).clamp(0, in_count - 1), weight


def blend_taps(
    pixel_at: Callable[[Tensor, Tensor], Tensor], first: Sequence[Tensor], second: Sequence[Tensor], weights: Sequence[Tensor]
) -> Tensor:
    """OpenCV's 8-bit bilinear: columns with 11-bit weights, 4 bits dropped, rows with 16 bits dropped from each product, rounded."""
    wy, wx = weights[0][:, None, None], weights[1][None, :, None]
    top, bottom = ((pixel_at(y, first[1]) * (2048 - wx) + pixel_at(y, second[1]) * wx) >> 4 for y in (first[0], second[0]))
    return (((top * (2048 - wy) >> 16) + (bottom * wy >> 16) + 2) >> 2).to(torch.uint8)
