"""Fused perception statistics: which part of a forgery the detector already responds to.

FPG (ACM MM 2024), shape refinement: with c a forgery's response map and m its mask,
threshold = mean of c over {c > 0}, D = {c > threshold} and {m > 0}, and what remains is {m > 0} minus D.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fpg.ops.backend import backend, native, native_target
from fpg.ops.checks import describe


class PerceptionStatistics(NamedTuple):
    """Per item of the batch, on the device of the maps."""

    threshold: Tensor
    """float32 [B]: mean of the map over {map > 0}; 0 where that is empty."""
    dominant: Tensor
    """int64 [B]: |D|, number of pixels of {map > threshold} and {mask > 0}."""
    masked: Tensor
    """int64 [B]: number of pixels of {mask > 0}."""
    remaining: Tensor
    """uint8 [B, H, W]: 1 in {mask > 0} minus D, else 0."""


def perception_statistics(maps: Tensor, masks: Tensor) -> PerceptionStatistics:
    """Threshold each map at its mean over its positive part and measure that region inside the mask.

    Two passes over the data, no wait for the GPU. Counts are integers and the mean's sum is fixed point (steps of 2^-36),
    so the compiled kernels give the same bits on every device and with any number of threads. No gradient flows.

    Args:
        maps: float32 [B, H, W], values in [0, 1], H W < 2^27. NaN is neither positive nor above the threshold; an element
            above 1 counts as 1 in the mean.
        masks: float32 [B, H, W] or [B, 1, H, W], on the same device; only `masks > 0` matters (NaN is not).

    Raises:
        ValueError: wrong shape, dtype or device, naming the argument, what was expected and what came.
        MissingDependencyError: `FPG_BACKEND=native` without kernels for this device (see `fpg.ops.backend`).

    Source: FPG (ACM MM 2024), shape refinement.
    """
    _check("maps", maps, "[B, H, W]", maps.dim() == 3)
    b, h, w = maps.shape
    _check("masks", masks, f"[{b}, {h}, {w}] or [{b}, 1, {h}, {w}]", masks.shape in ((b, h, w), (b, 1, h, w)))
    if masks.device != maps.device:
        raise ValueError(f"masks: expected device {maps.device}, got {masks.device}")
    if h * w >= 2**27:
        raise ValueError(f"maps: expected H * W < 2^27, got {list(maps.shape)}")
    maps, masks = maps.detach(), masks.detach().reshape(b, h, w)
    if backend(maps.device.type) == "reference":
        return perception_statistics_reference(maps, masks)
    return _native(maps.contiguous(), masks.contiguous())


def perception_statistics_reference(maps: Tensor, masks: Tensor) -> PerceptionStatistics:
    """The same in pure torch, in double precision: what the kernels are compared with, and what runs where they are not built.

    Args:
        maps, masks: float32 [B, H, W]; written from the equations, nothing here is shared with `csrc/`.
    """
    positive = maps > 0
    values = torch.where(positive, maps, torch.zeros_like(maps)).double().clamp(max=1.0)
    total = values.flatten(1).sum(1)
    count = positive.flatten(1).sum(1)
    threshold = torch.where(count > 0, total / count.clamp(min=1), torch.zeros_like(total)).float()
    above = maps > threshold[:, None, None]
    inside = masks > 0
    dominant = (above & inside).flatten(1).sum(1)
    return PerceptionStatistics(threshold, dominant, inside.flatten(1).sum(1), (inside & ~above).to(torch.uint8))


def _check(name: str, tensor: Tensor, shape: str, shape_fits: bool) -> None:
    if tensor.dtype != torch.float32 or not shape_fits:
        raise ValueError(f"{name}: expected float32 {shape}, got {describe(tensor)}")


def _native(maps: Tensor, masks: Tensor) -> PerceptionStatistics:
    batch = len(maps)
    outputs = PerceptionStatistics(
        threshold=maps.new_empty(batch),
        dominant=maps.new_empty(batch, dtype=torch.int64),
        masked=maps.new_empty(batch, dtype=torch.int64),
        remaining=torch.empty(maps.shape, dtype=torch.uint8, device=maps.device),
    )
    totals = maps.new_empty((2, batch), dtype=torch.int64)  # the fixed-point sums and the positive counts
    native.perception_statistics(
        maps=maps.data_ptr(),
        masks=masks.data_ptr(),
        batch=batch,
        height=maps.shape[1],
        width=maps.shape[2],
        threshold=outputs.threshold.data_ptr(),
        dominant=outputs.dominant.data_ptr(),
        masked=outputs.masked.data_ptr(),
        remaining=outputs.remaining.data_ptr(),
        sum=totals[0].data_ptr(),
        positive=totals[1].data_ptr(),
        target=native_target(maps.device),
    )
    return outputs
