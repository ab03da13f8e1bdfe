"""What batch normalisation sees in training: with `unpaired` and `frozen` no face is judged together with its own forgery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from noise_pairs import noise_batch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from fpg.guidance.quality import AnalyticQuality
from fpg.train.config import TrainConfig
from fpg.train.distributed import ALONE
from fpg.train.learner import Learner
from fpg.train.setup import build_learner
from fpg.train.step import train_step

Tiny = Callable[..., TrainConfig]
CPU = torch.device("cpu")


def learner_of(config: TrainConfig) -> Learner:
    """In training mode, without dropout, so that a pass depends on images and statistics alone."""
    learner = build_learner(config, CPU, ALONE)
    learner.train()
    for module in learner.model.modules():
        if "Drop" in type(module).__name__:
            module.eval()
    return learner


def pairs(n: int) -> Tensor:
    generator = torch.Generator().manual_seed(int(np.random.default_rng(20261129).integers(1 << 30)))
    return torch.rand(2 * n, 3, 64, 64, generator=generator)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_images_keep_their_places(tiny: Tiny, n: int) -> None:
    """In evaluation mode two passes answer as one."""
    learner = learner_of(tiny(batch_statistics="unpaired"))
    learner.model.eval()
    images = pairs(n)
    for ours, theirs in zip(learner(images), learner.model(images), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("statistics", ["batch", "unpaired", "frozen"])
@pytest.mark.parametrize("n", [4, 5])
def test_a_face_is_judged_without_its_own_forgery(tiny: Tiny, statistics: str, n: int) -> None:
    """Another forgery of face i changes what is answered for that face only where both are in one batch."""
    learner = learner_of(tiny(batch_statistics=statistics))
    images = pairs(n)
    with torch.no_grad():
        before = learner(images).logits
        for i in range(n):
            changed = images.clone()
            changed[n + i] = 1 - changed[n + i]
            same = bool(torch.equal(learner(changed).logits[i], before[i]))
            assert same == (statistics != "batch"), i


def test_unpaired_passes_learn_from_every_image(tiny: Tiny) -> None:
    learner = learner_of(tiny(batch_statistics="unpaired"))
    images = pairs(5).requires_grad_()
    learner(images).logits.square().sum().backward()
    assert images.grad is not None
    assert bool((images.grad.abs().amax((1, 2, 3)) > 0).all())


@pytest.mark.parametrize(("statistics", "moves"), [("batch", True), ("unpaired", True), ("frozen", False)])
def test_running_statistics(tiny: Tiny, statistics: str, moves: bool) -> None:
    """A step moves those of every batch normalisation, or, frozen, of none, while their weights are trained."""
    config = tiny(batch_statistics=statistics, batch=8)
    learner = build_learner(config, CPU, ALONE)
    norms = [module for module in learner.model.modules() if isinstance(module, _BatchNorm)]
    assert norms
    before = [(norm.running_mean.clone(), norm.weight.detach().clone()) for norm in norms]  # type: ignore[union-attr]
    train_step(learner, AnalyticQuality(), noise_batch(4, 7), config, 0, 0, Path("unused"))
    for norm, (mean, weight) in zip(norms, before, strict=True):
        assert torch.equal(norm.running_mean, mean) != moves  # type: ignore[arg-type]
        assert not torch.equal(norm.weight, weight)


def test_an_average_of_weights_under_frozen_statistics(tiny: Tiny) -> None:
    """The average of `ema` keeps the statistics bit for bit, and lies between first and last weights."""
    config = tiny(batch_statistics="frozen", batch=8, ema=0.9)
    learner = build_learner(config, CPU, ALONE)
    assert learner.ema is not None
    first = {name: value.clone() for name, value in learner.model.state_dict().items()}
    for step in range(3):
        train_step(learner, AnalyticQuality(), noise_batch(4, 7 + step), config, 0, step, Path("unused"))
    last, average = learner.model.state_dict(), learner.ema.model.state_dict()
    for name, value in average.items():
        if name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert torch.equal(value, first[name]), name
            assert torch.equal(last[name], first[name]), name
    weight = "backbone.net.conv_stem.weight"
    moved = (last[weight] - first[weight]).abs().max()
    assert 0 < (last[weight] - average[weight]).abs().max() < 3 * moved
    assert not torch.equal(average[weight], first[weight])
