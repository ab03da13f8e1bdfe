"""Blending in torch, independent of `csrc/`."""

from __future__ import annotations

import torch
from torch import Tensor


def blend(source: Tensor, background: Tensor, mask: Tensor) -> Tensor:
    """uint8 [H, W, 3] twice and float32 [H, W, 1] -> uint8 [H, W, 3], truncated."""
    mask = mask.nan_to_num(nan=0.0).clamp(0, 1)
    return (mask * source + (1 - mask) * background).to(torch.uint8)
