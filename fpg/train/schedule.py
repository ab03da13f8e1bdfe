"""The learning rate over a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from fpg.train.config import OptimConfig


def learning_rate(config: OptimConfig, epoch: int, epochs: int, step: int = 0, steps: int = 1) -> float:
    """Learning rate of a step: a function of the position alone, so that a resumed run has nothing to remember.

    `linear`, the method's (METHOD 4.6), is constant for `constant` of the epochs and then falls epoch by epoch, to reach 0 after the last
    one. `cosine` falls step by step along half a cosine (SGDR, ICLR 2017, without restarts), from the end of the warm-up to 0 after the
    last step. During the warm-up either is multiplied by the fraction of it that the step completes, so that no step has a rate of 0.

    Args:
        config: schedule, full rate, warm-up.
        epoch, epochs: 0-based, and how many there are.
        step, steps: 0-based within the epoch, and how many an epoch has.
    """
    done = epoch + step / steps
    warm = min(1.0, (done + 1 / steps) / config.warmup_epochs) if config.warmup_epochs else 1.0
    if config.schedule == "cosine":
        fraction = max(0.0, done - config.warmup_epochs) / (epochs - config.warmup_epochs)
        return config.lr * warm * (1 + math.cos(math.pi * fraction)) / 2
    start = int(epochs * config.constant)
    return config.lr * warm * min(1.0, (epochs - epoch) / max(1, epochs - start))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group of parameters its learning rate: `rate` times its `lr_scale` (layer decay), if it has one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
