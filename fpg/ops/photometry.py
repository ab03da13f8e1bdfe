"""Photometric changes of ragged uint8 images: colour, and resampling or sharpening (SBI, CVPR 2022, the two steps of a copy).

`change_color` is pointwise; `resample` looks at neighbours and therefore knows windows: an item may be part of a larger image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fpg.ops import reference_photometry
from fpg.ops.backend import backend, native_module, native_target
from fpg.ops.launch import check_batch, check_rows, flat_sizes, ragged, views
from fpg.ops.ragged import RaggedBatch
from fpg.ops.windowed import apply_windowed, windowed_operator

COLOR_FIELDS = 9
RESAMPLE_FIELDS = 3
RESAMPLE_HALO = 8
"""Pixels around the result that `resample` needs with factors 2 and 4 in images of at least 16 pixels per side; sharpening needs 1."""


def color_fields(
    rgb_shift: tuple[int, int, int] | None = None,
    hsv_shift: tuple[float, float, float] | None = None,
    contrast: tuple[float, float] | None = None,
) -> tuple[float, ...]:
    """One item's row of `change_color`'s parameters; None leaves a step out.

    Args:
        rgb_shift: added to R, G and B, of 255.
        hsv_shift: added to hue (of 180), saturation and value (of 255) in uint8 HSV, truncated: a fraction counts as its floor.
        contrast: (a, b) of v -> a v + 255 b.
    """
    red, green, blue = rgb_shift or (0, 0, 0)
    hue, saturation, value = (math.floor(v) for v in hsv_shift or (0, 0, 0))
    a, b = contrast or (1.0, 0.0)
    return (red, green, blue, float(hsv_shift is not None), hue % 180, saturation, value, float(np.float32(a)), float(np.float32(255 * b)))


def resample_fields(down_scale: int | None = None, sharpen: tuple[float, float] | None = None) -> tuple[float, float, float]:
    """One item's row of `resample`'s parameters: a factor, or (t, l) of v -> (1 - t) v + t K v with 8 + l amid K; or neither."""
    if down_scale is not None:
        return float(down_scale), 0.0, 0.0
    amount, lightness = sharpen or (0.0, 0.0)
    return 0.0, float(np.float32(-amount)), float(np.float32((1 - amount) + amount * (8 + lightness)))


def change_color(images: RaggedBatch, changes: Tensor) -> RaggedBatch:
    """RGB shift, HSV shift, contrast and brightness, each ending in uint8 as OpenCV's 8-bit arithmetic has it; one pass over memory.

    On the way back from HSV levels are truncated, as OpenCV's vectorised loop does; the last columns of a row, which OpenCV handles
    one by one (up to 31, depending on its build), it rounds instead, so that there it may be one level higher.

    Args:
        images: uint8, 3 channels, RGB.
        changes: float32 [B, 9], rows from `color_fields`. An item whose row changes nothing is copied.

    Returns:
        uint8, 3 channels, the same sizes and offsets.

    Raises:
        ValueError: wrong dtype, number of channels, shape or device.

    Source: SBI (CVPR 2022), source-target augmentation; OpenCV's documented 8-bit HSV.
    """
    check_batch("images", images, torch.uint8, 3, apart=True)
    changes = check_rows("changes", changes, images, COLOR_FIELDS, torch.float32)
    data = _change_color(images.data, images.offsets, images.sizes, flat_sizes(images), changes)
    return RaggedBatch(data, images.offsets, images.sizes, 3, images.host_sizes)


@torch.library.custom_op("fpg::change_color", mutates_args=())
def _change_color(data: Tensor, offsets: Tensor, sizes: Tensor, host_sizes: Sequence[int], changes: Tensor) -> Tensor:
    if backend(data.device.type) == "reference":
        result = torch.empty_like(data)
        pairs = zip(views(data, offsets, host_sizes, 3), views(result, offsets, host_sizes, 3), changes.tolist(), strict=True)
        for image, out, fields in pairs:
            out.copy_(reference_photometry.change_color(image, fields))
        return result
    data = data.contiguous()
    result = torch.empty_like(data)
    if data.numel() == 0:
        return result
    batch = ragged(data, offsets, sizes, 3, host_sizes)
    native_module().change_color(images=batch, changes=changes.data_ptr(), out=result.data_ptr(), target=native_target(data.device))
    return result


@_change_color.register_fake
def _(data: Tensor, offsets: Tensor, sizes: Tensor, host_sizes: Sequence[int], changes: Tensor) -> Tensor:
    return torch.empty_like(data, memory_format=torch.contiguous_format)


def resample(
    images: RaggedBatch,
    changes: Tensor,
    *,
    windows: Tensor | None = None,
    out: RaggedBatch | None = None,
    out_windows: Tensor | None = None,
) -> RaggedBatch:
    """Down by a factor (nearest) and back up (bilinear, 11-bit weights), or sharpen 3 x 3, or copy, per item; as OpenCV rounds uint8.

    Args:
        images: uint8, 3 channels, no item empty.
        changes: float32 [B, 3], rows from `resample_fields`.
        windows: int32 [B, 4] = (y0, x0, full height, full width): where each item lies in its full image. By default items are images.
        out: a batch whose sizes the result gets (its data is not touched); by default that of `images`.
        out_windows: int32 [B, 4], the windows of the result; by default `windows`, which then are those of `out` too.
            Pixels beyond the input window (see `RESAMPLE_HALO`) are taken from its nearest pixel.

    Returns:
        uint8, 3 channels, laid out as `out`.

    Raises:
        ValueError: wrong dtype, number of channels, shape, device, an empty item, or `out` without `out_windows`.

    Source: SBI (CVPR 2022), source-target augmentation.
    """
    changes = check_rows("changes", changes, images, RESAMPLE_FIELDS, torch.float32)
    return apply_windowed(_resample, images, windows, out, out_windows, changes)


_resample = windowed_operator("resample", "changes", reference_photometry.resample)
