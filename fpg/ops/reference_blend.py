"""Blending and the magnitude step in torch, independent of `csrc/`."""

from __future__ import annotations

import torch
from torch import Tensor


def blend(source: Tensor, background: Tensor, mask: Tensor) -> Tensor:
    """uint8 [H, W, 3] twice and float32 [H, W, 1] -> uint8 [H, W, 3], truncated."""
    mask = mask.nan_to_num(nan=0.0).clamp(0, 1)
    return (mask * source + (1 - mask) * background).to(torch.uint8)


def reblend(source: Tensor, background: Tensor, mask: Tensor) -> Tensor:
    """f = m s + (1 - m) b; [B, C, H, W] with the mask [B, 1, H, W]."""
    return mask * source + (1 - mask) * background


def reblend_backward(gradient: Tensor, source: Tensor, background: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of s, b and m from that of f."""
    return mask * gradient, (1 - mask) * gradient, (gradient * (source - background)).sum(1, keepdim=True)


def magnitude_vote(grad: Tensor, source: Tensor, background: Tensor) -> Tensor:
    """int64 [B]: elements of g (s - b) that are > 0 less those < 0."""
    growth = (grad * (source - background)).flatten(1)
    return (growth > 0).sum(1) - (growth < 0).sum(1)


def magnitude_step(source: Tensor, background: Tensor, fake: Tensor, mask: Tensor, votes: Tensor, eps: float) -> Tensor:
    """The blend with the mask moved by eps in the direction of the vote, plus the residual, clipped."""
    residual = fake - (source * mask + background * (1 - mask))
    direction = torch.where(votes > 0, 1, -1).to(mask.dtype).view(-1, 1, 1, 1)
    moved = (mask * (1 + eps * direction)).clamp(0, 1)
    return (source * moved + background * (1 - moved) + residual).clamp(0, 1)
