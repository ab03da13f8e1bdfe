"""Guidance of one batch: perceive the forgeries, refine their shape, then their magnitude (FPG, ACM MM 2024).

Cost, in forward passes F of the whole batch (a pass over the forgeries is half of one): 0.5 F for the response map and the
probability together, and, when the coin says so, 1 F for the magnitude gradient (half a forward and half a backward to the
input). Against 3 F of the training step itself that makes 4 F on average.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from fpg.guidance.config import GuidanceConfig
from fpg.guidance.draws import GuidanceDraws
from fpg.guidance.magnitude import magnitude_refinement
from fpg.guidance.perception import Perception
from fpg.guidance.response_map import Perceiver
from fpg.guidance.shape import Feathering, kernel_feathering, opencv_feathering, shape_refinement
from fpg.ops.backend import backend
from fpg.ops.memory import to_device
from fpg.pairs.pairs import Pairs


class Refined(NamedTuple):
    """A guided batch and how it came about; nothing in it carries a gradient."""

    pairs: Pairs
    """Refined forgeries and masks; reals and sources are those that came in."""
    maps: Tensor | None
    """Response maps of the forgeries before refinement, float32 [N, S, S] in [0, 1]; None without shape refinement."""
    probability: Tensor | None
    """Probability of "fake" of the forgeries before refinement, float32 [N]; None without shape refinement."""
    refined: Tensor
    """bool [N]: the shape was refined."""
    kept_unrefined: Tensor
    """int64 scalar: forgeries kept as they were because refinement would have left nothing of their mask."""
    direction: Tensor
    """int64 [N]: +1 blended more, -1 blended less, 0 no magnitude step in this batch."""


def refine(
    model: Perceiver,
    pairs: Pairs,
    draws: GuidanceDraws,
    config: GuidanceConfig | None = None,
    perception: Perception | None = None,
) -> Refined:
    """Shape refinement, then magnitude refinement of what it left; all perception in evaluation mode.

    The model is left as it was: modes, BN statistics, `requires_grad`, `.grad`; on errors too. With the compiled kernels nothing here
    waits for a GPU or copies from it.

    Args:
        model: a detector (see `fpg.guidance.response_map.Perceiver`), not wrapped for distributed training.
        pairs: N >= 1 pairs; not changed.
        draws: of `draw_guidance` for the same N pairs.
        config: constants; the released ones by default.
        perception: of the same model, where its passes are captured (`fpg.guidance.perception`).

    Raises:
        ValueError: no pairs, or draws for another number of pairs.
    """
    config = config or GuidanceConfig()
    perception = perception or Perception(model)
    n, device = len(pairs), pairs.fake.device
    if n == 0 or n != len(draws.refine_u) or n != len(draws.refeather):
        raise ValueError(f"draws: expected those of {n} >= 1 pairs, got {len(draws.refine_u)} and {len(draws.refeather)}")

    maps = probability = None
    refined = torch.zeros(n, dtype=torch.bool, device=device)
    direction = torch.zeros(n, dtype=torch.int64, device=device)
    kept_unrefined = torch.zeros((), dtype=torch.int64, device=device)
    if config.shape:
        maps, probability = perception.response_map(pairs.fake)
        shape = shape_refinement(
            pairs.real,
            pairs.fake,
            pairs.mask,
            maps,
            probability,
            to_device(torch.from_numpy(draws.refine_u), device),
            _feathering(draws, config, device),
            threshold=config.threshold,
            certainty=config.certainty,
        )
        refined, kept_unrefined = shape.refined, shape.emptied.sum()
        pairs = replace(pairs, fake=shape.fake.detach(), mask=shape.mask.detach())
    if config.magnitude and draws.step_coin and config.eps > 0:
        gradient = perception.input_gradient(pairs.fake)
        magnitude = magnitude_refinement(pairs.source, pairs.real, pairs.fake, pairs.mask, gradient, config.eps)
        direction = magnitude.direction
        pairs = replace(pairs, fake=magnitude.fake)
    return Refined(pairs, maps, probability, refined, kept_unrefined, direction)


def _feathering(draws: GuidanceDraws, config: GuidanceConfig, device: torch.device) -> Feathering:
    if backend(device.type) != "native":
        return opencv_feathering(draws.refeather, config.erosion)
    return kernel_feathering(draws.refeather, config.erosion, only_wanted=device.type == "cpu")
