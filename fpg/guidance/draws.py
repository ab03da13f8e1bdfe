"""All randomness of guidance, drawn before anything is applied (FPG, ACM MM 2024: shape and magnitude refinement)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fpg.common.rng import odd_integer, stream
from fpg.guidance.config import GuidanceConfig


class RefeatherParams(NamedTuple):
    """The draws of one feather' (METHOD 4.2), in the order in which `fpg.ops.feathering` takes them."""

    k_erode: int
    """Side of the erosion kernel in pixels; only `erosion="intended"` looks at it."""
    height: int
    width: int
    """Size at which the mask is blurred."""
    k1: int
    k2: int
    """Odd sides of the two blur kernels."""
    sigma: int
    """Standard deviation of the second blur, in pixels of the blurred size."""


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
    uniforms, feathers = np.empty(len(sample_ids)), []
    for index, sample in enumerate(sample_ids):
        rng = stream(seed, "shape", epoch, int(sample))
        uniforms[index] = rng.random()
        feathers.append(draw_refeather(rng, config))
    return GuidanceDraws(coin, uniforms, tuple(feathers))


def draw_refeather(rng: np.random.Generator, config: GuidanceConfig | None = None) -> RefeatherParams:
    """Draw the parameters of one feather' (six draws, always) from the ranges of `config`, which include both ends."""
    c = config or GuidanceConfig()
    return RefeatherParams(
        k_erode=odd_integer(rng, *c.erosion_kernel),
        height=int(rng.integers(c.feather_size[0], c.feather_size[1] + 1)),
        width=int(rng.integers(c.feather_size[0], c.feather_size[1] + 1)),
        k1=odd_integer(rng, *c.feather_kernel),
        k2=odd_integer(rng, *c.feather_kernel),
        sigma=int(rng.integers(c.feather_sigma[0], c.feather_sigma[1] + 1)),
    )
