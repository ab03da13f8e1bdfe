"""One step in 1, 2 and 3 processes: the same losses and gradients for the same global batch, however it is divided."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from train_processes import in_world, run_processes
from whole_loss import fpg_loss

from fpg.guidance.config import GuidanceConfig
from fpg.guidance.draws import draw_guidance
from fpg.guidance.guide import refine
from fpg.guidance.quality import AnalyticQuality
from fpg.pairs import Pairs
from fpg.train.config import ModelConfig, TrainConfig
from fpg.train.distributed import ALONE, World
from fpg.train.learner import Learner
from fpg.train.pairs import Batch
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


def batch(seed: int, empty: tuple[int, ...] = (), samples: tuple[int, ...] = tuple(range(PAIRS))) -> Batch:
    """Pairs of noise with masks in the middle; those of `empty` have no mask at all. `samples` chooses some of the batch."""
    generator = torch.Generator().manual_seed(seed)
    images = {name: torch.rand(PAIRS, 3, SIZE, SIZE, generator=generator) for name in ("real", "source")}
    mask = torch.zeros(PAIRS, 1, SIZE, SIZE)
    mask[:, :, 10:50, 16:56] = torch.rand(PAIRS, 1, 40, 40, generator=generator).clamp(min=0.1)
    mask[list(empty)] = 0
    whole = Pairs(**images, mask=mask, fake=mask * images["source"] + (1 - mask) * images["real"])
    rows = list(samples)
    sizes = torch.rand(PAIRS, generator=generator) * 200
    pairs = whole.map(lambda tensor: tensor[rows])
    return Batch([100 + sample for sample in samples], torch.full((len(rows), 3), torch.nan), sizes[rows], [], pairs)


def one_step(world: World, config: TrainConfig, seed: int, empty: tuple[int, ...], division: str) -> tuple[StepResult, dict[str, Tensor]]:
    everything = tuple(range(PAIRS))
    mine = tuple(world.shard(everything)) if division == "even" or world.size == 1 else {0: everything, 1: ()}.get(world.rank, ())
    made = learner(config, world)
    found: dict[str, Tensor] = {}

    def keep(*_: object) -> None:
        found.update({name: p.grad.clone() for name, p in made.model.named_parameters()})  # type: ignore[union-attr]

    made.optimizer.register_step_pre_hook(keep)
    result = train_step(made, AnalyticQuality(), batch(seed, empty, mine), config, 2, 9, Path("unused"), world)
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


@pytest.mark.parametrize("empty", [(), (0, 4), (1, 2, 3, 5, 6)])
def test_one_process_takes_means_over_the_selected_pairs(tiny: Tiny, empty: tuple[int, ...]) -> None:
    """Against `fpg_loss` and its gradient, computed at once and without the machinery of a step."""
    seed = int(np.random.default_rng(20261123).integers(1 << 30))
    config = tiny(batch=2 * PAIRS, model=NO_BATCH_STATISTICS, guidance=GuidanceConfig(shape=False))
    result, found = one_step(ALONE, config, seed, empty, "even")
    model, value = learner(config).model, batch(seed, empty)
    refined = refine(model, value.pairs, draw_guidance(config.seed, 2, 9, value.samples, config.guidance), config.guidance).pairs
    target = AnalyticQuality()(refined.images(), value.pose.repeat(2, 1), value.face_size.repeat(2))
    model.train()
    losses = fpg_loss(model(refined.images()), refined.mask, target, config.loss)
    assert losses.total is not None
    assert int(losses.selected.sum()) == result.selected == PAIRS - len(empty)
    expected = [float(x.detach()) for x in losses[:4] if x is not None]
    assert list(result.losses.values()) == pytest.approx(expected, rel=1e-5)
    losses.total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        scale = float(parameter.grad.abs().max()) + 1e-6
        assert float((found[name] - parameter.grad).abs().max()) <= 2e-4 * scale, f"seed {seed}: {name}"


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(
    ("empty", "division"),
    [((), "even"), ((1, 4), "even"), ((1, 3, 5), "even"), ((), "all to one"), (tuple(range(PAIRS)), "even")],
    ids=["all", "nothing selected in 1 of 3", "nothing selected in 1 of 2", "processes without any pair", "nothing selected"],
)
def test_losses_and_gradients_are_those_of_one_process(tiny: Tiny, size: int, empty: tuple[int, ...], division: str) -> None:
    """7 pairs in 2 or 3 processes. Tolerance: 2e-4 of a gradient's largest element, 1e-6 of a loss."""
    seed = int(np.random.default_rng(20261123).integers(1 << 30))
    config = tiny(batch=2 * PAIRS, model=NO_BATCH_STATISTICS)
    alone = one_step(ALONE, config, seed, empty, division)
    assert alone[0].pairs == PAIRS
    assert alone[0].selected <= PAIRS - len(empty)
    assert alone[0].updated == (alone[0].selected > 0)
    together = run_processes(size, in_world, one_step, config, seed, empty, division)
    for result, error in together:
        assert error is None, f"seed {seed}: {error[3]}"
        compare(alone, result)
    for name, value in together[0][0][1].items():
        assert all(torch.equal(value, result[1][name]) for result, _ in together), name


def test_accumulated_passes_in_two_processes_are_those_of_one(tiny: Tiny) -> None:
    """7 pairs: process 0 goes through 4 and process 1 through 3, in 4 passes each, of which one stays empty."""
    config = tiny(batch=2 * PAIRS, model=NO_BATCH_STATISTICS)
    alone = one_step(ALONE, config, 11, (2,), "even")
    for result, error in run_processes(2, in_world, one_step, dataclasses.replace(config, accumulate=4), 11, (2,), "even"):
        assert error is None, error[3]
        compare(alone, result)


def step_with_batch_statistics(world: World, config: TrainConfig, samples: tuple[tuple[int, ...], ...]) -> dict[str, Tensor]:
    made = build_learner(config, torch.device("cpu"), world)
    value = batch(5, samples=samples[world.rank])
    train_step(made, AnalyticQuality(), value, config, 0, 0, Path("unused"), world)
    return {name: x.clone() for name, x in made.model.state_dict().items() if "num_batches" not in name}


def test_running_statistics_are_the_mean_over_processes(tiny: Tiny) -> None:
    """Each process normalises by its own part (there is no SyncBatchNorm on a CPU), yet all hold the same network after a step."""
    config = tiny(batch=8)
    shards = ((0, 1), (2, 3))
    both = run_processes(2, in_world, step_with_batch_statistics, config, shards)
    assert [error for _, error in both] == [None, None]
    single = [step_with_batch_statistics(ALONE, config, (shard,)) for shard in shards]
    statistics = [name for name in single[0] if "running" in name]
    assert statistics
    for name, value in both[0][0].items():
        assert torch.equal(value, both[1][0][name]), name
    for name in statistics:
        expected = (single[0][name] + single[1][name]) / 2
        assert torch.allclose(both[0][0][name], expected, rtol=1e-5, atol=1e-7), name
