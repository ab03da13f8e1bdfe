"""One step in 1, 2 and 3 processes: the same losses and gradients for the same global batch, however it is divided."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from train_processes import in_world, run_processes

from fpg.guidance.quality import AnalyticQuality
from fpg.train import step as step_module
from fpg.train.config import ModelConfig, TrainConfig
from fpg.train.distributed import ALONE, World
from fpg.train.learner import Learner
from fpg.train.setup import build_learner
from fpg.train.step import StepResult, train_step

Tiny = Callable[..., TrainConfig]
PAIRS, SIZE = 7, 64
NO_BATCH_STATISTICS = ModelConfig(
    backbone="test_convnext", image_size=SIZE, pretrained=False, quality_width=16, attention_width=8, dropout=0.0, drop_connect=0.0
)


def learner(config: TrainConfig, world: World = ALONE) -> Learner:
    """With the quality head's batch normalisation taken out."""
    made = build_learner(config, torch.device("cpu"), world)
    assert isinstance(made.model.quality_features[2], nn.BatchNorm2d)
    made.model.quality_features[2] = nn.Identity()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in made.model.modules())
    return made


def batch(seed: int, empty: tuple[int, ...] = (), samples: tuple[int, ...] = tuple(range(PAIRS))) -> dict[str, Any]:
    """Pairs of noise with masks in the middle; those of `empty` have no mask at all. `samples` chooses some of the batch."""
    generator = torch.Generator().manual_seed(seed)
    images = {name: torch.rand(PAIRS, 3, SIZE, SIZE, generator=generator) for name in ("real", "source")}
    mask = torch.zeros(PAIRS, 1, SIZE, SIZE)
    mask[:, :, 10:50, 16:56] = torch.rand(PAIRS, 1, 40, 40, generator=generator).clamp(min=0.1)
    mask[list(empty)] = 0
    value: dict[str, Any] = {**images, "mask": mask, "fake": mask * images["source"] + (1 - mask) * images["real"]}
    value |= {"pose": torch.full((PAIRS, 3), torch.nan), "face_size": torch.rand(PAIRS, generator=generator) * 200}
    chosen = {name: tensor[list(samples)] for name, tensor in value.items()}
    return {**chosen, "samples": [100 + sample for sample in samples], "failures": []}


def one_step(world: World, config: TrainConfig, seed: int, empty: tuple[int, ...], division: str) -> tuple[StepResult, dict[str, Tensor]]:
    everything = tuple(range(PAIRS))
    mine = tuple(world.share(everything)) if division == "even" or world.size == 1 else {0: everything, 1: ()}.get(world.rank, ())
    made = learner(config, world)
    found: dict[str, Tensor] = {}
    update = step_module._update

    def keep(learner: Learner) -> bool:
        found.update({name: p.grad.clone() for name, p in learner.model.named_parameters()})  # type: ignore[union-attr]
        return update(learner)

    step_module._update = keep
    try:
        result = train_step(made, AnalyticQuality(), batch(seed, empty, mine), config, 2, 9, Path("unused"), world)  # type: ignore[arg-type]
    finally:
        step_module._update = update
    return result, {**found, **{f"after {name}": value for name, value in made.model.state_dict().items()}}


def compare(one: tuple[StepResult, dict[str, Tensor]], other: tuple[StepResult, dict[str, Tensor]]) -> None:
    a, b = one[0], other[0]
    assert b.losses == pytest.approx(a.losses, rel=1e-6)
    assert (a.pairs, a.selected, a.refined, a.kept_unrefined, a.updated) == (b.pairs, b.selected, b.refined, b.kept_unrefined, b.updated)
    assert one[1].keys() == other[1].keys()
    for name, value in one[1].items():
        if not name.startswith("after"):
            scale = float(value.abs().max()) + 1e-6
            assert float((other[1][name] - value).abs().max()) <= 2e-4 * scale, name


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(
    ("empty", "division"),
    [((), "even"), ((1, 4), "even"), ((1, 3, 5), "even"), ((), "all to one"), (tuple(range(PAIRS)), "even")],
    ids=["all", "nothing selected in 1 of 3", "nothing selected in 1 of 2", "processes without any pair", "nothing selected"],
)
def test_losses_and_gradients_are_those_of_one_process(tiny: Tiny, size: int, empty: tuple[int, ...], division: str) -> None:
    """7 pairs in 2 or 3 processes. Tolerance: 2e-4 of a gradient's largest element, 1e-6 of a loss."""
    seed = int(np.random.default_rng().integers(1 << 30))
    config = tiny(batch=2 * PAIRS, model=NO_BATCH_STATISTICS)
    alone = one_step(ALONE, config, seed, empty, division)
    assert alone[0].pairs == PAIRS
    assert alone[0].selected <= PAIRS - len(empty)
    assert alone[0].selected or len(empty) == PAIRS
    assert alone[0].updated == (len(empty) < PAIRS)
    together = run_processes(size, in_world, one_step, config, seed, empty, division)
    for result, error in together:
        assert error is None, f"seed {seed}: {error[3]}"
        compare(alone, result)
    for name, value in together[0][0][1].items():
        assert all(torch.equal(value, result[1][name]) for result, _ in together), name
