"""Affine warp of ragged uint8 images, independent scales and a shift (SBI, CVPR 2022, the geometric step of a pair)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fpg.ops import reference_warp
from fpg.ops.launch import check_rows
from fpg.ops.ragged import RaggedBatch
from fpg.ops.windowed import apply_windowed, windowed_operator


def affine_fields(scale: tuple[float, float], translate: tuple[float, float], height: int, width: int) -> tuple[float, float, float, float]:
    """(scale x, shift x, scale y, shift y) of p' = c + S (p - c) + t about the image's centre c = (W/2 - 0.5, H/2 - 0.5).

    Args:
        scale: S for x and y.
        translate: t for x and y, as a share of width and height.
        height, width: of the full image, in pixels.
    """
    fields = []
    for side, factor, share in ((width, scale[0], translate[0]), (height, scale[1], translate[1])):
        centre = side / 2 - 0.5
        fields += [factor, centre - factor * centre + share * side]
    return fields[0], fields[1], fields[2], fields[3]


def input_windows(affine: np.ndarray, out_windows: np.ndarray, out_sizes: np.ndarray) -> np.ndarray:
    """The part of each full image that `warp` reads for a window: int64 [B, 4] = (y0, y1, x0, x1), half open, clipped, never empty.

    Args:
        affine: float64 [B, 4] from `affine_fields`.
        out_windows: int [B, 4] = (y0, x0, full height, full width).
        out_sizes: int [B, 2], height and width of the windows.
    """
    result = np.empty((len(affine), 4), np.int64)
    for axis, column in ((0, 2), (1, 0)):
        full = out_windows[:, 2 + axis].astype(np.int64)
        scale, shift = affine[:, column], affine[:, column + 1]
        low = np.floor((out_windows[:, axis] - shift) / scale) - 1
        high = np.floor((out_windows[:, axis] + out_sizes[:, axis] - 1 - shift) / scale) + 3
        result[:, 2 * axis] = np.clip(low, 0, full - 1)
        result[:, 2 * axis + 1] = np.maximum(np.clip(high, 0, full), result[:, 2 * axis] + 1)
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

    Within 1/255 of exact interpolation (weights have 11 bits); the same bits on every device and with any number of threads.

    Args:
        images: uint8, 3 channels, no item empty.
        affine: float64 [B, 4] = (scale x, shift x, scale y, shift y), scales positive, in pixels of the full image (`affine_fields`).
        windows: int32 [B, 4] = (y0, x0, full height, full width): where each item lies in its full image. By default items are images.
        out: a batch whose sizes the result gets (its data is not touched); by default that of `images`.
        out_windows: int32 [B, 4], the windows of the result; `input_windows` says what they need. Beyond the input window is zero.

    Returns:
        uint8, 3 channels, laid out as `out`.

    Raises:
        ValueError: wrong dtype, number of channels, shape, device, an empty item, or `out` without `out_windows`.

    Source: SBI (CVPR 2022), source-target augmentation.
    """
    affine = check_rows("affine", affine, images, 4, torch.float64)
    return apply_windowed(_warp, images, windows, out, out_windows, affine)


_warp = windowed_operator("warp", "affine", reference_warp.warp)
