"""Blending in torch, independent of `csrc/`."""

from __future__ import annotations

import torch
from torch import Tensor


def blend(source: Tensor, background: Tensor, mask: Tensor, nearest: bool = False) -> Tensor:
    """uint8 [H, W, 3] twice and float32 [H, W, 1] -> uint8 [H, W, 3], truncated or rounded."""
    mask = mask.nan_to_num(nan=0.0).clamp(0, 1)
    exact = mask * source + (1 - mask) * background
    return (torch.floor(exact + 0.5) if nearest else exact).to(torch.uint8)
