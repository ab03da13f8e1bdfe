"""An exponential moving average of the weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from fpg.models.detector import Detector


class Ema:
    """A second detector that follows the first: after each update, average <- d average + (1 - d) weights.

    d = min(decay, (1 + n) / (10 + n)) at the n-th update, so that the first, untrained weights are soon forgotten. Running statistics
    are averaged likewise, counters are copied.

    Args:
        model: what to follow.
        decay: in (0, 1).
    """

    def __init__(self, model: Detector, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Follow one step."""
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        state = model.state_dict()
        ours, theirs = [], []
        for name, average in self.model.state_dict().items():
            if average.is_floating_point():
                ours.append(average)
                theirs.append(state[name])
            else:
                average.copy_(state[name])
        torch._foreach_lerp_(ours, theirs, weight)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"updates": self.updates, "model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Of the checkpoint."""
        self.model.load_state_dict(state["model"])
        self.updates = state["updates"]
