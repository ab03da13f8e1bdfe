"""What every call of the compiled image operations has in common: checks, descriptions of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fpg.ops.backend import native_module
from fpg.ops.ragged import RaggedBatch

Dense = tuple[int, tuple[int, int, int, int]]


def describe(tensor: Tensor) -> str:
    """dtype and shape, as error messages show them."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def check_batch(name: str, batch: RaggedBatch, dtype: torch.dtype, channels: int, like: RaggedBatch | None = None) -> None:
    """Refuse another dtype or number of channels, and, beside `like`, another device or other sizes.

    Raises:
        ValueError: naming the batch, what was expected and what came.
    """
    if batch.data.dtype != dtype or batch.data.dim() != 1 or batch.channels != channels:
        kind = str(dtype).removeprefix("torch.")
        raise ValueError(f"{name}: expected flat {kind} with {channels} channels, got {describe(batch.data)} with {batch.channels}")
    if like is None:
        return
    if batch.data.device != like.data.device:
        raise ValueError(f"{name}: expected device {like.data.device}, got {batch.data.device}")
    if batch.host_sizes != like.host_sizes:
        raise ValueError(f"{name}: expected {len(like)} items of sizes {_brief(like)}, got {len(batch)} of {_brief(batch)}")


def _brief(batch: RaggedBatch) -> str:
    shown = ", ".join(f"{h} x {w}" for h, w in batch.host_sizes[:4])
    return shown + (", ..." if len(batch) > 4 else "")


def check_rows(name: str, rows: Tensor, batch: RaggedBatch, columns: int, dtype: torch.dtype) -> Tensor:
    """One row of parameters per item, contiguous.

    Raises:
        ValueError: another shape, dtype or device.
    """
    if rows.dtype != dtype or rows.shape != (len(batch), columns):
        raise ValueError(f"{name}: expected {str(dtype).removeprefix('torch.')} {[len(batch), columns]}, got {describe(rows)}")
    if rows.device != batch.data.device:
        raise ValueError(f"{name}: expected device {batch.data.device}, got {rows.device}")
    return rows.contiguous()


def whole_images(batch: RaggedBatch) -> Tensor:
    """Windows of items that are images of their own: int32 [B, 4] = (0, 0, height, width)."""
    return torch.cat([torch.zeros_like(batch.sizes), batch.sizes], dim=1)


def flat_sizes(batch: RaggedBatch) -> list[int]:
    """Heights and widths as a custom operator takes them: h0, w0, h1, w1, ..."""
    return [side for size in batch.host_sizes for side in size]


def ragged(data: Tensor, offsets: Tensor, sizes: Tensor, channels: int, host_sizes: Sequence[int]) -> Any:
    """A ragged batch for the compiled module, from what custom operators take."""
    pointers = data.data_ptr(), offsets.data_ptr(), sizes.data_ptr()
    heights, widths = host_sizes[0::2], host_sizes[1::2]
    return native_module().Ragged(*pointers, len(heights), channels, max(heights, default=0), max(widths, default=0))


def dense(tensor: Tensor) -> Dense:
    """A contiguous [B, C, H, W] for the compiled module."""
    b, c, h, w = tensor.shape
    return tensor.data_ptr(), (b, c, h, w)


def views(data: Tensor, offsets: Tensor, host_sizes: Sequence[int], channels: int) -> list[Tensor]:
    """The items as views [H, W, C] (reads the offsets: waits for a GPU)."""
    items = zip(offsets.tolist(), host_sizes[0::2], host_sizes[1::2], strict=True)
    return [data[start : start + h * w * channels].view(h, w, channels) for start, h, w in items]
