"""What calls of the compiled operations check before their arguments become addresses."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fpg.ops.ragged import RaggedBatch

Dense = tuple[int, tuple[int, int, int, int]]


def describe(tensor: Tensor) -> str:
    """dtype and shape, as error messages show them."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def check_batch(
    name: str, batch: RaggedBatch, dtype: torch.dtype, channels: int, like: RaggedBatch | None = None, *, apart: bool = False
) -> None:
    """Refuse another dtype or number of channels, items that reach beyond the data, and, next to `like`, another device or other sizes.

    `apart` also refuses items that overlap: a result is laid out as this batch. Where items lie is looked at on the CPU alone.

    Raises:
        ValueError: naming the batch, what was expected and what came.
    """
    if batch.data.dtype != dtype or batch.data.dim() != 1 or batch.channels != channels:
        kind = str(dtype).removeprefix("torch.")
        raise ValueError(f"{name}: expected flat {kind} with {channels} channels, got {describe(batch.data)} with {batch.channels}")
    check_layout(name, batch, apart=apart)
    if like is None:
        return
    if batch.data.device != like.data.device:
        raise ValueError(f"{name}: expected device {like.data.device}, got {batch.data.device}")
    if batch.host_sizes != like.host_sizes:
        raise ValueError(f"{name}: expected {len(like)} items of sizes {_brief(like)}, got {len(batch)} of {_brief(batch)}")


def check_layout(name: str, batch: RaggedBatch, *, apart: bool) -> None:
    """Offsets and sizes have their form; on the CPU also: every item lies in the data, and next to the others if `apart`.

    Raises:
        ValueError: naming the batch, what was expected and what came.
    """
    count = len(batch)
    if not batch.data.is_contiguous():
        raise ValueError(f"{name}: expected contiguous data, got strides {list(batch.data.stride())}")
    for part, rows, dtype, shape in (("offsets", batch.offsets, torch.int64, (count,)), ("sizes", batch.sizes, torch.int32, (count, 2))):
        if rows.dtype != dtype or rows.shape != shape or rows.device != batch.data.device or not rows.is_contiguous():
            kind = str(dtype).removeprefix("torch.")
            raise ValueError(
                f"{name}.{part}: expected contiguous {kind} {list(shape)} next to the data, got {describe(rows)} on {rows.device}"
            )
    if batch.data.device.type != "cpu" or count == 0:
        return
    offsets, sizes, host = batch.offsets.numpy(), batch.sizes.numpy(), np.array(batch.host_sizes, np.int64)
    if not np.array_equal(sizes, host) or host.min() < 0:
        raise ValueError(f"{name}: expected sizes {list(batch.host_sizes[:4])} in both places, got {sizes[:4].tolist()}")
    ends = offsets + host.prod(axis=1) * batch.channels
    if offsets.min() < 0 or ends.max() > batch.data.numel():
        raise ValueError(f"{name}: expected items within {batch.data.numel()} elements, got elements {offsets.min()} to {ends.max()}")
    order = np.argsort(offsets, kind="stable")
    if apart and (offsets[order][1:] < ends[order][:-1]).any():
        raise ValueError(f"{name}: expected items that do not overlap, got offsets {offsets[:4].tolist()}")


def _brief(batch: RaggedBatch) -> str:
    shown = ", ".join(f"{h} x {w}" for h, w in batch.host_sizes[:4])
    return shown + (", ..." if len(batch) > 4 else "")


def check_rows(name: str, rows: Tensor, batch: RaggedBatch, columns: int, dtype: torch.dtype) -> Tensor:
    """One row of parameters per item, contiguous. On a GPU their values are not looked at: nothing waits for it.

    Raises:
        ValueError: another shape, dtype or device, or numbers on the CPU that are not finite.
    """
    if rows.dtype != dtype or rows.shape != (len(batch), columns):
        raise ValueError(f"{name}: expected {str(dtype).removeprefix('torch.')} {[len(batch), columns]}, got {describe(rows)}")
    if rows.device != batch.data.device:
        raise ValueError(f"{name}: expected device {batch.data.device}, got {rows.device}")
    if rows.is_floating_point() and rows.device.type == "cpu" and not bool(torch.isfinite(rows).all()):
        raise ValueError(f"{name}: expected finite numbers, got {rows[~torch.isfinite(rows)][0].item()}")
    return rows.contiguous()


def whole_images(batch: RaggedBatch) -> Tensor:
    """Windows of items that are images of their own: int32 [B, 4] = (0, 0, height, width)."""
    return torch.cat([torch.zeros_like(batch.sizes), batch.sizes], dim=1)


def dense(tensor: Tensor) -> Dense:
    """A contiguous [B, C, H, W] for the compiled module."""
    b, c, h, w = tensor.shape
    return tensor.data_ptr(), (b, c, h, w)
