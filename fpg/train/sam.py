"""Sharpness-aware minimisation: the gradient is taken where the loss is worst nearby (SAM, Foret et al., ICLR 2021), for any optimiser."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def ascended(model: nn.Module, rho: float) -> Iterator[None]:
    """Within it the weights are w + rho g / |g|, with g the gradients that they have; afterwards they are w again, bit for bit.

    |g| is the norm over all parameters together. Buffers (the running statistics of batch normalisations) are restored as well, so that
    a second pass does not count twice. Gradients are left as they are; clear them before the second backward pass. Gradients that are not
    finite (float16 that overflowed) move nothing.

    Args:
        model: with gradients; parameters without one stay.
        rho: radius, >= 0.
    """
    moved: list[Tensor] = [p for p in model.parameters() if p.grad is not None]
    gradients = [p.grad for p in moved if p.grad is not None]
    norm = float(total_norm(gradients)) if gradients else 0.0
    with torch.no_grad():
        before = [p.clone() for p in moved]
        buffers = [(b, b.clone()) for b in model.buffers()]
        if 0 < norm < math.inf:
            torch._foreach_add_(moved, gradients, alpha=rho / norm)
    try:
        yield
    finally:
        with torch.no_grad():
            for p, w in zip(moved, before, strict=True):
                p.copy_(w)
            for b, value in buffers:
                b.copy_(value)


def total_norm(tensors: Iterable[Tensor]) -> Tensor:
    """Euclidean norm over all elements of some tensors, a float32 scalar."""
    return torch.stack([t.detach().float().norm() for t in tensors]).norm()
