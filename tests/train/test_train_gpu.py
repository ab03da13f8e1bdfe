"""Training on a GPU is training on a CPU: the same losses step by step, the same course over many steps, bfloat16 near float32."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from step_subject import make_pairs

from fpg.guidance.config import GuidanceConfig
from fpg.guidance.draws import draw_guidance
from fpg.guidance.guide import Refined, refine
from fpg.guidance.quality import AnalyticQuality
from fpg.train import step as step_module
from fpg.train.clock import Clock
from fpg.train.config import ModelConfig, OptimConfig, TrainConfig
from fpg.train.distributed import ALONE
from fpg.train.pairs import Batch
from fpg.train.setup import build_learner
from fpg.train.step import train_step

PAIRS, SIZE = 8, 96
MODEL = ModelConfig(backbone="tf_efficientnet_b0", image_size=SIZE, pretrained=False, dropout=0.0, drop_connect=0.0)
CONFIG = TrainConfig(out="unused", data=["unused"], batch=2 * PAIRS, model=MODEL, guidance=GuidanceConfig(threshold=0.75, certainty=0.3))
"""No dropout, whose draws differ between devices; constants with which shapes are refined in about half of the steps."""


@pytest.fixture(autouse=True)
def _float32_means_float32() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def batch(index: int, pairs: int = PAIRS, size: int = SIZE) -> Batch:
    torch.manual_seed(1000 + index)
    made = make_pairs(pairs, size)
    return Batch(list(range(index * pairs, (index + 1) * pairs)), torch.zeros(pairs, 3), torch.full((pairs,), 150.0), [], made)


def train(config: TrainConfig, device: str, steps: int, **shape: int) -> list[dict[str, float]]:
    """Losses of each step, from the same first weights on every device."""
    learner = build_learner(config, torch.device(device), ALONE)
    quality = AnalyticQuality()
    return [train_step(learner, quality, batch(i, **shape), config, 0, i, None).losses for i in range(steps)]


def moved(refined: Refined, device: str) -> Refined:
    pairs = refined.pairs.map(lambda tensor: tensor.to(device))
    rest = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in refined._asdict().items()}
    return Refined(**{**rest, "pairs": pairs})


def five_steps(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> tuple[list[dict[str, float]], list[dict[str, float]], list[Refined], list[Refined]]:
    """Losses on the CPU and on `device`, which learns from what the CPU refined; and what each of them refined."""
    decided: list[Refined] = []
    own: list[Refined] = []

    def record(*args: Any) -> Refined:
        decided.append(refine(*args))
        return decided[-1]

    def replay(*args: Any) -> Refined:
        own.append(refine(*args))
        return moved(decided[len(own) - 1], device)

    monkeypatch.setattr(step_module, "refine", record)
    expected = train(CONFIG, "cpu", 5)
    monkeypatch.setattr(step_module, "refine", replay)
    return expected, train(CONFIG, device, 5), decided, own


@pytest.mark.cuda
def test_the_first_steps_have_the_losses_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, losses, decided, own = five_steps(monkeypatch, "cuda")
    assert sum(int(refined.refined.sum()) for refined in decided) >= 5  # decisions were taken
    for step, (ours, theirs) in enumerate(zip(losses, expected, strict=True)):
        assert ours == pytest.approx(theirs, abs=1e-3), step
    # And the device on its own decides the same but for what lies at a threshold, and makes of it the same images.
    agree = torch.cat([(a.refined == b.refined.cpu()) & (a.direction == b.direction.cpu()) for a, b in zip(decided, own, strict=True)])
    assert agree.float().mean() >= 0.8
    fakes = [torch.cat([refined.pairs.fake.cpu() for refined in side]) for side in (decided, own)]
    different = (fakes[0] - fakes[1]).abs().flatten(1).mean(1)[agree]
    assert different.max() < 2e-3


@pytest.mark.cuda
def test_bfloat16_stays_near_float32() -> None:
    full, half = (train(dataclasses.replace(CONFIG, precision=precision), "cuda", 5) for precision in ("fp32", "bf16"))
    for ours, theirs in zip(half, full, strict=True):
        assert ours == pytest.approx(theirs, rel=5e-2, abs=2e-2)


@pytest.mark.cuda
def test_captured_perception_takes_the_same_steps() -> None:
    plain, captured = (train(dataclasses.replace(CONFIG, cuda_graphs=graphs), "cuda", 5) for graphs in (False, True))
    for ours, theirs in zip(captured, plain, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-3)


@pytest.fixture
def waiting_is_an_error() -> Iterator[None]:
    before = torch.cuda.get_sync_debug_mode()
    yield
    torch.cuda.set_sync_debug_mode(before)


@pytest.mark.cuda
@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_passes_of_a_step_do_not_wait_for_the_device(waiting_is_an_error: None, graphs: bool, precision: str) -> None:
    """As `tests/guidance/test_no_waiting.py` says without a GPU; both sides of the coin are among the steps."""
    config = dataclasses.replace(CONFIG, cuda_graphs=graphs, precision=precision)  # type: ignore[arg-type]
    device = torch.device("cuda")
    learner = build_learner(config, device, ALONE)
    quality = AnalyticQuality()
    coins = set()
    for index in range(12):
        [part] = step_module.micro_batches(batch(index), config, device)
        assert part is not None
        coins.add(draw_guidance(config.seed, 0, index, part.samples, config.guidance).step_coin)
        if index >= 8:  # by then shapes are captured, kernels loaded and algorithms chosen
            torch.cuda.set_sync_debug_mode("error")
        step_module.forward_backward(learner, quality, part, config, 0, index, PAIRS, Clock(device, "guidance", "quality"))
        torch.cuda.set_sync_debug_mode("default")
    assert coins == {True, False}


@pytest.mark.cuda
@pytest.mark.slow
def test_many_free_steps_take_the_same_course() -> None:
    """Nothing is forced: decisions at a threshold fall differently, and the courses part; their means over 50 steps do not."""
    model = dataclasses.replace(MODEL, backbone="test_efficientnet", image_size=64)
    config = dataclasses.replace(CONFIG, model=model, optim=OptimConfig(lr=1e-3))
    courses = [torch.tensor([losses["loss"] for losses in train(config, device, 200, size=64)]) for device in ("cpu", "cuda")]
    means = [course.view(4, 50).mean(1) for course in courses]
    assert means[0][-1] < 0.9 * means[0][0]  # it learns
    torch.testing.assert_close(means[1], means[0], rtol=0.05, atol=0)
