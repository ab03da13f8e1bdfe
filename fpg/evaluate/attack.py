"""A gradient attack on one's own detector, of a stated budget: projected gradient descent (Madry et al., ICLR 2018) in the maximum norm.

It says how far somebody who has the weights could move a score with a change that nobody sees, on the network's input image itself. It is
stronger than what survives a crop, a resize and a codec; a detector that falls to it is not thereby weak on ordinary videos, and one that
stands up to it is not proven robust. Nothing is written: attacked images exist only on their way to the network.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fpg.common.errors import UsageError
from fpg.common.spec import EngineSpec
from fpg.data.manifest import FAKE
from fpg.engines.base import Engine, EngineOutput

STEPS = 10
"""Of the descent; each moves every value by a quarter of the budget."""


def require_gradients(engine: Engine) -> None:
    """Make sure that an engine can be attacked.

    Raises:
        UsageError: it gives no gradients.
    """
    if not hasattr(engine, "input_gradient"):
        raise UsageError(
            f"robustness: the attack takes gradients, which {engine.spec.backend} engines do not give: "
            "name the trained weights (model.safetensors) instead"
        )


def attacked(engine: Any, images: np.ndarray, label: int, budget: float) -> np.ndarray:
    """Images whose score is moved away from their label, within `budget` of each value and within [0, 1].

    Args:
        engine: gives `input_gradient` (of the logit of fake minus that of real).
        images: float32 [B, 3, S, S] in [0, 1].
        label: of all of them: fakes are made to look real, real ones fake.
        budget: the largest change of a value, a whole number of levels / 255; changes are whole levels, so that 8-bit images stay such.
    """
    direction = np.float32(-1 if label == FAKE else 1)
    low, high = np.maximum(images - np.float32(budget), 0), np.minimum(images + np.float32(budget), 1)
    moved = images
    for _ in range(STEPS if len(images) else 0):
        gradient = engine.input_gradient(moved)
        moved = np.clip(moved + direction * np.float32(budget / 4) * np.sign(gradient, dtype=np.float32), low, high)
    change = np.rint((moved - images) * np.float32(255)) / np.float32(255)
    return np.asarray(np.clip(images + change, 0, 1), np.float32)


class AttackedEngine:
    """An engine that sees attacked images.

    Args:
        engine: what is attacked.
        label: of the video that it judges.
        budget: as in `attacked`.
    """

    def __init__(self, engine: Engine, label: int, budget: float) -> None:
        self._engine, self._label, self._budget = engine, label, budget

    @property
    def spec(self) -> EngineSpec:
        """Of the engine that is attacked."""
        return self._engine.spec

    @property
    def device(self) -> str:
        """Of the engine that is attacked."""
        return self._engine.device

    def __call__(self, images: np.ndarray) -> EngineOutput:
        """See `Engine`."""
        return self._engine(attacked(self._engine, images, self._label, self._budget))
