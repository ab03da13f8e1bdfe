"""Training batches of noise, for tests of what a step does with them."""

from __future__ import annotations

import torch

from fpg.pairs import Pairs
from fpg.train.pairs import Batch


def noise_batch(pairs: int, seed: int) -> Batch:
    """A training batch of `pairs` pairs of noise at 64 px, with soft masks."""
    generator = torch.Generator().manual_seed(seed)
    real, source = (torch.rand(pairs, 3, 64, 64, generator=generator) for _ in range(2))
    mask = torch.zeros(pairs, 1, 64, 64)
    mask[:, :, 8:56, 8:56] = torch.rand(pairs, 1, 48, 48, generator=generator)
    made = Pairs(real=real, source=source, mask=mask, fake=mask * source + (1 - mask) * real)
    return Batch(list(range(pairs)), torch.zeros(pairs, 3), torch.full((pairs,), 90.0), [], made)
