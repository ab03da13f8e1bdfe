"""Fused perception statistics: which part of a forgery the detector already responds to.

FPG (ACM MM 2024), shape refinement: with c a forgery's response map and m its mask,
threshold = mean of c over {c > 0}, D = {c > threshold} and {m > 0}, and what remains is {m > 0} minus D.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fpg.ops import reference
from fpg.ops.backend import backend, native_module, native_target


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
    return PerceptionStatistics(*_operation(maps.detach(), masks.detach().reshape(b, h, w)))


def _check(name: str, tensor: Tensor, shape: str, shape_fits: bool) -> None:
    if tensor.dtype != torch.float32 or not shape_fits:
        came = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
        raise ValueError(f"{name}: expected float32 {shape}, got {came}")


@torch.library.custom_op("fpg::perception_statistics", mutates_args=())
def _operation(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if backend(maps.device.type) == "reference":
        return reference.perception_statistics(maps, masks)
    return _native(maps.contiguous(), masks.contiguous())


@_operation.register_fake
def _(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _outputs(maps)


def _outputs(maps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch = maps.shape[0]
    return (
        maps.new_empty(batch),
        maps.new_empty(batch, dtype=torch.int64),
        maps.new_empty(batch, dtype=torch.int64),
        torch.empty(maps.shape, dtype=torch.uint8, device=maps.device),
    )


def _native(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    threshold, dominant, masked, remaining = outputs = _outputs(maps)
    totals = maps.new_empty((2, maps.shape[0]), dtype=torch.int64)  # the fixed-point sums and the positive counts
    native_module().perception_statistics(
        maps=maps.data_ptr(),
        masks=masks.data_ptr(),
        batch=maps.shape[0],
        height=maps.shape[1],
        width=maps.shape[2],
        threshold=threshold.data_ptr(),
        dominant=dominant.data_ptr(),
        masked=masked.data_ptr(),
        remaining=remaining.data_ptr(),
        sum=totals[0].data_ptr(),
        positive=totals[1].data_ptr(),
        target=native_target(maps.device),
    )
    return outputs
