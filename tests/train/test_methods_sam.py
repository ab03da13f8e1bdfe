"""A step of SAM: against the definition written out, and divided over passes and processes as one step alone."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from train_processes import in_world, run_processes

from fpg.pairs import Pairs
from fpg.train.config import ModelConfig, OptimConfig, TrainConfig
from fpg.train.distributed import ALONE, World
from fpg.train.methods import resolve_method
from fpg.train.pairs import Batch
from fpg.train.setup import build_learner
from fpg.train.step import NonFiniteLoss, train_step

PAIRS, SIZE, RHO = 5, 64, 0.2
PLAIN = ModelConfig(
    backbone="test_convnext", image_size=SIZE, pretrained=False, quality_width=16, attention_width=8, dropout=0.0, drop_connect=0.0
)
"""Without dropout; the quality head's batch normalisation is taken out below."""


def sam_config(tiny: Callable[..., TrainConfig], **changes: Any) -> TrainConfig:
    config = tiny(batch=2 * PAIRS, model=PLAIN, method="sbi-sam", optim=OptimConfig(lr=1e-3, sam_rho=RHO))
    return resolve_method(dataclasses.replace(config, **changes))


def batch(seed: int, chosen: list[int]) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    real, fake, source = (torch.rand(PAIRS, 3, SIZE, SIZE, generator=generator) for _ in range(3))
    pairs = Pairs(fake, real, source, torch.ones(PAIRS, 1, SIZE, SIZE)).map(lambda tensor: tensor[chosen])
    return Batch(chosen, torch.zeros(len(chosen), 3), torch.ones(len(chosen)), [], pairs)


def one_step(world: World, config: TrainConfig, seed: int) -> dict[str, Tensor]:
    """Gradients that reach the optimiser, by name."""
    learner = build_learner(config, torch.device("cpu"), world)
    learner.model.quality_features[2] = nn.Identity()
    found: dict[str, Tensor] = {}

    def keep(*_: object) -> None:
        found.update({name: p.grad.clone() for name, p in learner.model.named_parameters() if p.grad is not None})

    learner.optimizer.register_step_pre_hook(keep)
    chosen = world.shard(list(range(PAIRS)))
    train_step(learner, None, batch(seed, chosen), config, 0, 0, Path("unused"), world)
    return found


def close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Within rounding: over 900 draws tensors differ by up to 2e-5 of their largest gradient, but for the classifier's bias. Its gradient
    is a sum over equally many images of both classes that can all but cancel, and is known to 4e-8 of terms near 0.1 then."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert float((other[name] - value).abs().max()) <= 1e-4 * float(value.abs().max()) + 2e-7, name


def test_the_gradient_is_that_of_the_definition(tiny: Callable[..., TrainConfig], seed: int) -> None:
    config = sam_config(tiny)
    model = copy.deepcopy(build_learner(config, torch.device("cpu"), ALONE).model)
    model.quality_features[2] = nn.Identity()
    model.train()
    values = batch(seed, list(range(PAIRS)))
    images, labels = values.pairs.images(), values.pairs.labels()
    parameters = [p for name, p in model.named_parameters() if not name.startswith("quality.")]
    first = torch.autograd.grad(F.cross_entropy(model(images).logits, labels), parameters)
    norm = torch.cat([g.flatten() for g in first]).norm()
    with torch.no_grad():
        for p, g in zip(parameters, first, strict=True):
            p += RHO * g / norm
    expected = torch.autograd.grad(F.cross_entropy(model(images).logits, labels), parameters)
    names = [name for name, _ in model.named_parameters() if not name.startswith("quality.")]
    got = {name: value for name, value in one_step(ALONE, config, seed).items() if name in names}
    close(dict(zip(names, expected, strict=True)), got)


def test_passes_and_processes_do_not_matter(tiny: Callable[..., TrainConfig], seed: int) -> None:
    alone = one_step(ALONE, sam_config(tiny), seed)
    plain = one_step(ALONE, sam_config(tiny, method="sbi", optim=OptimConfig(lr=1e-3)), seed)
    assert any(float((plain[name] - value).abs().max()) > 0.01 * float(value.abs().max()) for name, value in alone.items())
    close(alone, one_step(ALONE, sam_config(tiny, accumulate=3), seed))
    for found, error in run_processes(2, in_world, one_step, sam_config(tiny, accumulate=2), seed):
        assert error is None, error[3]
        close(alone, found)


def test_a_loss_that_explodes_there_stops_the_run(tiny: Callable[..., TrainConfig], seed: int) -> None:
    with pytest.raises(NonFiniteLoss, match="at the weights of SAM"):
        one_step(ALONE, sam_config(tiny, optim=OptimConfig(lr=1e-3, sam=True, sam_rho=1e30)), seed)
