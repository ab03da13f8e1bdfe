"""The affine warp of one image in torch: exact weights in float64, independent of `csrc/`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def warp(image: Tensor, window: Sequence[int], size: tuple[int, int], out_window: Sequence[int], affine: Sequence[float]) -> Tensor:
    """uint8 [h, w, 3] at `window` -> uint8 [*size, 3] at `out_window`; `affine` = (scale x, shift x, scale y, shift y)."""
    result = image.double()
    axes = ((1, window[1], out_window[1], affine[0:2]), (0, window[0], out_window[0], affine[2:4]))
    for axis, start, out_start, (scale, shift) in axes:
        pixels = torch.arange(size[axis], dtype=torch.float64, device=image.device) + out_start
        position = (pixels - shift) / scale - start
        low = position.floor()
        taps = []
        for index, weight in ((low, 1 - (position - low)), (low + 1, position - low)):
            inside = (index >= 0) & (index < image.shape[axis])
            kept = result.index_select(axis, index.clamp(0, image.shape[axis] - 1).long())
            taps.append(
                kept * torch.where(inside, weight, 0.0).view(-1, 1, 1)
                if axis == 0
                else kept * torch.where(inside, weight, 0.0).view(1, -1, 1)
            )
        result = taps[0] + taps[1]
    return result.round().to(torch.uint8)
