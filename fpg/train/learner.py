"""What learns, with everything that changes while it does: network, optimiser, loss scaler, average of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fpg.guidance.perception import Perception
from fpg.models.detector import Detector, DetectorOutput
from fpg.train.config import TrainConfig
from fpg.train.ema import Ema
from fpg.train.optimizer import frozen_modules

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Learner:
    """All that a step changes and a checkpoint holds."""

    model: Detector
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Scales the loss for float16; without effect otherwise."""
    ema: Ema | None
    device: torch.device
    perception: Perception
    """Of the model, for guidance."""
    batch_statistics: str = "batch"
    """`TrainConfig.batch_statistics`."""

    def __post_init__(self) -> None:
        self._frozen = frozen_modules(self.model)
        if self.batch_statistics == "frozen":
            self._frozen += [module for module in self.model.modules() if isinstance(module, _BatchNorm)]

    @property
    def eval_model(self) -> Detector:
        """What is validated and saved: the average of the weights where there is one."""
        return self.model if self.ema is None else self.ema.model

    def train(self) -> None:
        """Training mode, except for what is frozen as a whole: its running statistics stay, and nothing in it is dropped."""
        self.model.train()
        for module in self._frozen:
            module.eval()

    def __call__(self, images: Tensor) -> DetectorOutput:
        """A training pass over N real faces, then their N forgeries.

        With unpaired statistics these are two passes of N images: the first half of the faces with the forgeries of the second half, and
        the other way round, so that batch normalisation never sees a face together with its own forgery.

        Args:
            images: float32 [2N, 3, S, S].
        """
        if self.batch_statistics != "unpaired":
            return self.model(images)
        n = len(images) // 2
        half = n // 2
        real, fake = images[:n], images[n:]
        first = self.model(torch.cat([real[:half], fake[half:]]))
        second = self.model(torch.cat([real[half:], fake[:half]]))
        return DetectorOutput(*(torch.cat([a[:half], b, a[half:]]) for a, b in zip(first, second, strict=True)))

    @property
    def synchronised(self) -> bool:
        """A forward pass in training mode waits for the other processes (SyncBatchNorm), so that all must make the same number."""
        return any(isinstance(module, nn.SyncBatchNorm) for module in self.model.modules())

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Of the checkpoint; how the optimiser computes stays this run's choice.

        Raises:
            RuntimeError, ValueError, KeyError, TypeError: a state of another network.
        """
        self.model.load_state_dict(state["model"])
        for ours, theirs in zip(self.optimizer.param_groups, state["optimizer"]["param_groups"], strict=True):
            theirs["fused"] = ours["fused"]
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The arithmetic of the network under `TrainConfig.precision`."""
    dtype = AUTOCAST[precision]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def memory_format(config: TrainConfig) -> torch.memory_format:
    """How images and weights lie in memory."""
    return torch.channels_last if config.channels_last else torch.contiguous_format
