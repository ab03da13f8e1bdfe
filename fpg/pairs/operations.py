"""The operations of a pair on batches of images, with the compiled kernels, on the CPU or a GPU; the same bits on every device.

They are the steps of `fpg.pairs.opencv` (SBI, CVPR 2022, as FPG uses it) for many images at once. A wrong call is a `ValueError` that names
the argument; on a GPU the values of rows of parameters are not looked at, so that nothing waits for it. All raise
`MissingDependencyError` where there is no compiled module.

Some look at neighbours, and know windows: an item may be a part of a larger image, and where it lies there decides what they compute.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fpg.ops.backend import native, native_target
from fpg.ops.checks import check_batch, check_layout, check_rows, whole_images
from fpg.ops.mask_table import MaskTable, mask_chain
from fpg.ops.memory import to_device
from fpg.ops.ragged import RaggedBatch

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
    """
    check_batch("images", images, torch.uint8, 3, apart=True)
    changes = check_rows("changes", changes, images, COLOR_FIELDS, torch.float32)
    result = _laid_out_as(images)
    if result.data.numel():
        native.change_color(
            images=images.native(), changes=changes.data_ptr(), out=result.data.data_ptr(), target=native_target(images.data.device)
        )
    return result


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
        windows: int32 [B, 4], rows of `fpg.common.rectangles.Window`: where each item lies in its full image. By default items are images.
        out: a batch whose sizes the result gets (its data is not touched); by default that of `images`.
        out_windows: int32 [B, 4], the windows of the result; by default `windows`, which then are those of `out` too.
            Pixels beyond the input window (see `RESAMPLE_HALO`) are taken from its nearest pixel.

    Returns:
        uint8, 3 channels, laid out as `out`.

    Raises:
        ValueError: wrong dtype, number of channels, shape, device, an empty item, or `out` without `out_windows`.
    """
    changes = check_rows("changes", changes, images, RESAMPLE_FIELDS, torch.float32)
    result, windows, out_windows = _windowed(images, windows, out, out_windows)
    native.resample(
        images=images.native(),
        windows=windows.data_ptr(),
        out=result.native(),
        out_windows=out_windows.data_ptr(),
        changes=changes.data_ptr(),
        target=native_target(images.data.device),
    )
    return result


def warp(
    images: RaggedBatch,
    affine: Tensor,
    *,
    windows: Tensor | None = None,
    out: RaggedBatch | None = None,
    out_windows: Tensor | None = None,
) -> RaggedBatch:
    """Move the pixels at p to scale p + shift: bilinear, zero outside, rounded to uint8.

    Within 1/255 of exact interpolation (weights have 11 bits).

    Args:
        images: uint8, 3 channels, no item empty.
        affine: float64 [B, 4], rows of `geometry.affine_fields`: scales (positive) and shifts in pixels of the full image.
        windows, out, out_windows: as of `resample`; `plan.warp_region` says what input windows need. Beyond the input window is zero.

    Returns:
        uint8, 3 channels, laid out as `out`.

    Raises:
        ValueError: as `resample`.
    """
    affine = check_rows("affine", affine, images, 4, torch.float64)
    result, windows, out_windows = _windowed(images, windows, out, out_windows)
    native.warp(
        images=images.native(),
        windows=windows.data_ptr(),
        out=result.native(),
        out_windows=out_windows.data_ptr(),
        affine=affine.data_ptr(),
        target=native_target(images.data.device),
    )
    return result


def soft_masks(table: MaskTable, *, alpha: float = 50.0, sigma: float = 7.0, device: torch.device | str = "cpu") -> RaggedBatch:
    """From landmarks to soft masks: hulls, affine and elastic change, feathering. Computes only what reaches the windows.

    A pixel that a hull's outline touches belongs to the hull, and the filling rounds halves to the right (OpenCV's `fillConvexPoly`). The
    affine change is nearest, zero outside. After the elastic one the mask at p is the mask at p + `opencv.elastic_field`(p), nearest,
    mirrored at the border without the edge pixel. Feathering is `fpg.ops.feathering.feather`, times the ratio.

    Args:
        table: with hulls, warp and feathering set, and windows for a part of each mask.
        alpha, sigma: strength and standard deviation of the elastic field, pixels; sigma up to 32.
        device: where the masks are made.

    Returns:
        float32, 1 channel, in [0, 1], of the table's windows; ratio applied.

    Raises:
        ValueError: alpha or sigma out of range.
    """
    out = RaggedBatch.empty([w[2:] for w in table.windows], 1, torch.float32, device)
    chain, _kept = mask_chain(table, out.data.device, alpha, sigma)
    if len(table):
        native.soft_masks(chain=chain, out=out.native(), target=native_target(out.data.device))
    return out


def blend(source: RaggedBatch, background: RaggedBatch, masks: RaggedBatch, *, nearest: bool = False) -> RaggedBatch:
    """m s + (1 - m) b in float32, truncated to uint8, or rounded, halves up.

    Args:
        source, background: uint8, 3 channels, of the same sizes.
        masks: float32, 1 channel, of the same sizes; clipped to [0, 1], NaN counts as 0.
        nearest: round instead of truncating.

    Returns:
        uint8, 3 channels, laid out as `background`.

    Raises:
        ValueError: wrong dtype, number of channels, sizes or device.
    """
    check_batch("source", source, torch.uint8, 3)
    check_batch("background", background, torch.uint8, 3, source, apart=True)
    check_batch("masks", masks, torch.float32, 1, source)
    result = _laid_out_as(background)
    if result.data.numel():
        native.blend(
            source=source.native(),
            background=background.native(),
            masks=masks.native(),
            out=result.data.data_ptr(),
            nearest=nearest,
            target=native_target(source.data.device),
        )
    return result


def jpeg_round_trip(images: RaggedBatch, quality: Tensor) -> RaggedBatch:
    """What baseline JPEG with 4:2:0 chroma does to each image: compress and decompress, but for the entropy coding, which changes nothing.

    ITU-T T.81 and JFIF, with the arithmetic of libjpeg's accurate integer transform and its smooth chroma upsampling.

    Args:
        images: uint8, 3 channels (RGB), not empty images.
        quality: int32 [B] on the CPU, 1..100 as libjpeg scales its tables; 0 leaves that image as it is.

    Returns:
        A new batch of the same sizes, within 2/255 of libjpeg-turbo (bit-equal where its build follows the standard path).

    Raises:
        ValueError: another dtype, number of channels, batch size, or a quality outside 0..100.
    """
    check_batch("images", images, torch.uint8, 3, apart=True)
    if quality.dtype != torch.int32 or quality.shape != (len(images),) or quality.device.type != "cpu":
        raise ValueError(
            f"quality: expected int32 [{len(images)}] on the CPU, got {quality.dtype} {list(quality.shape)} on {quality.device}"
        )
    if len(images) and (int(quality.min()) < 0 or int(quality.max()) > 100):
        raise ValueError(f"quality: expected values in 0..100, got {int(quality.min())}..{int(quality.max())}")
    if any(h < 1 or w < 1 for h, w in images.host_sizes):
        raise ValueError("images: expected at least one pixel each")
    device = images.data.device
    out = RaggedBatch(images.data.clone(), images.offsets, images.sizes, 3, images.host_sizes)
    if len(images) == 0:
        return out
    units = np.array([((h + 15) // 16) * ((w + 15) // 16) * 384 for h, w in images.host_sizes], np.int64)
    starts = to_device(torch.from_numpy(np.cumsum(units) - units), device)
    planes = torch.empty(int(units.sum()), dtype=torch.uint8, device=device)
    on_device = to_device(quality.contiguous(), device)
    native.jpeg_round_trip(
        images=out.native(),
        quality=on_device.data_ptr(),
        planes=planes.data_ptr(),
        plane_offsets=starts.data_ptr(),
        target=native_target(device),
    )
    return out


def _laid_out_as(batch: RaggedBatch) -> RaggedBatch:
    """An uninitialised batch with the offsets and sizes of another."""
    return RaggedBatch(torch.empty_like(batch.data), batch.offsets, batch.sizes, batch.channels, batch.host_sizes)


def _windowed(
    images: RaggedBatch, windows: Tensor | None, out: RaggedBatch | None, out_windows: Tensor | None
) -> tuple[RaggedBatch, Tensor, Tensor]:
    """An uninitialised result of an operation that looks at neighbours, and the windows of input and result in full.

    Raises:
        ValueError: wrong dtype, number of channels, shape or device, an empty item, or `out` without `out_windows`.
    """
    check_batch("images", images, torch.uint8, 3, apart=out is None)
    if any(0 in size for size in images.host_sizes):
        raise ValueError(f"images: expected no empty item, got sizes {list(images.host_sizes)}")
    if out is not None and (out_windows is None or out.channels != 3 or len(out) != len(images)):
        given = "no out_windows" if out_windows is None else f"{len(out)} of {out.channels}"
        raise ValueError(f"out: expected {len(images)} items of 3 channels with their windows, got {given}")
    windows = whole_images(images) if windows is None else check_rows("windows", windows, images, 4, torch.int32)
    layout = images if out is None else out
    if out is not None:
        check_layout("out", out, apart=True)
    if layout.offsets.device != images.data.device:
        raise ValueError(f"out: expected device {images.data.device}, got {layout.offsets.device}")
    out_windows = windows if out_windows is None else check_rows("out_windows", out_windows, images, 4, torch.int32)
    return _laid_out_as(layout), windows, out_windows
