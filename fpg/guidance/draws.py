"""All randomness of guidance, drawn before anything is applied (FPG, ACM MM 2024: shape and magnitude refinement)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fpg.augment.feathering import RefeatherParams, draw_refeather
from fpg.common.rng import stream
from fpg.guidance.config import GuidanceConfig


@dataclass(frozen=True)
class GuidanceDraws:
    """What chance decides in one step, for N pairs."""

    step_coin: bool
    """A magnitude step is taken; one coin for the whole batch, the same in every process."""
    refine_u: np.ndarray
    """float64 [N], uniform in [0, 1): a candidate for shape refinement is refined if this is below its probability of fake."""
    refeather: tuple[RefeatherParams, ...]
    """N sets of parameters of feather', whether or not they will be needed."""


def draw_guidance(
    seed: int, epoch: int, step: int, sample_ids: Sequence[int] | np.ndarray, config: GuidanceConfig | None = None
) -> GuidanceDraws:
    """Draw for one batch. The coin is keyed by (seed, epoch, step), what belongs to a pair by (seed, epoch, sample).

    So a pair's draws do not depend on the batch, the process or the order it comes in.

    Args:
        seed: the run's seed, >= 0.
        epoch, step: counters, >= 0; steps are counted over the whole run or within the epoch.
        sample_ids: a number >= 0 for every pair of the batch, unique within the epoch.
        config: constants; the released ones by default.
    """
    config = config or GuidanceConfig()
    coin = bool(stream(seed, "magnitude", epoch, step).random() < config.step_probability)
    ranges = {
        "size": config.feather_size,
        "kernel": config.feather_kernel,
        "sigma": config.feather_sigma,
        "erosion": config.erosion_kernel,
    }
    uniforms, feathers = np.empty(len(sample_ids)), []
    for index, sample in enumerate(sample_ids):
        rng = stream(seed, "shape", epoch, int(sample))
        uniforms[index] = rng.random()
        feathers.append(draw_refeather(rng, **ranges))
    return GuidanceDraws(coin, uniforms, tuple(feathers))
