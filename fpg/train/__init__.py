"""Training: configuration, batches of pairs, the step, the loop, checkpoints. `train(TrainConfig(...))` is `fpg-train`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpg.common.lazy import lazy

if TYPE_CHECKING:
    from fpg.train.config import TrainConfig
    from fpg.train.loop import train

__all__ = ["TrainConfig", "train"]
__getattr__, __dir__ = lazy(__name__, {"TrainConfig": "config", "train": "loop"})
