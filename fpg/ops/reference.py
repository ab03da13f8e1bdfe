"""The operations in pure torch: what the kernels are compared with, and what runs when they are not built.

Written on its own, from the equations, in double precision; nothing here is shared with `csrc/`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def perception_statistics(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Threshold, size of the dominant region, size of the mask, remaining region. FPG (ACM MM 2024), shape refinement.

    Args:
        maps: float32 [B, H, W] in [0, 1]; NaN is not positive, what exceeds 1 counts as 1 in the mean.
        masks: float32 [B, H, W].

    Returns:
        threshold float32 [B], dominant int64 [B], masked int64 [B], remaining uint8 [B, H, W]; see
        `fpg.ops.perception.PerceptionStatistics`.
    """
    positive = maps > 0
    values = torch.where(positive, maps, torch.zeros_like(maps)).double().clamp(max=1.0)
    total = values.flatten(1).sum(1)
    count = positive.flatten(1).sum(1)
    threshold = torch.where(count > 0, total / count.clamp(min=1), torch.zeros_like(total)).float()
    above = maps > threshold[:, None, None]
    inside = masks > 0
    dominant = (above & inside).flatten(1).sum(1)
    return threshold, dominant, inside.flatten(1).sum(1), (inside & ~above).to(torch.uint8)
