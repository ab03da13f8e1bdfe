"""A training step queues all of its work without asking the device for anything: checked without one, on tensors that have no values.

On such tensors asking for a value raises an error, and what they would be copied from and to can be seen.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fpg.guidance import guide
from fpg.guidance.draws import draw_guidance
from fpg.guidance.quality import AnalyticQuality
from fpg.ops import backend, feathering, magnitude, mask_table, perception, ragged
from fpg.pairs import Pairs
from fpg.train import step as step_module
from fpg.train.config import ModelConfig, TrainConfig
from fpg.train.distributed import ALONE
from fpg.train.pairs import Batch
from fpg.train.setup import build_learner
from fpg.train.step import MicroBatch

PAIRS, SIZE = 4, 64
GPU = torch.device("meta")
"""In place of one: its tensors have no values."""
MODEL = ModelConfig(backbone="test_efficientnet", image_size=SIZE, pretrained=False, quality_width=16, attention_width=8)
CONFIG = TrainConfig(out="unused", data=["unused"], batch=2 * PAIRS, model=MODEL)


class Copies(TorchDispatchMode):
    """Copies between host and device that wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [x for x in (*args, result) if isinstance(x, torch.Tensor)]
        if "copy" in str(func) and len({x.device.type for x in tensors}) > 1:
            patient = (kwargs or {}).get("non_blocking", args[2] if "copy_" in str(func) and len(args) > 2 else False)
            if not patient:
                self.waiting.append(f"{func} {[(x.device.type, list(x.shape)) for x in tensors]}")
        return result


class Kernels:
    """The compiled module, whose kernels do nothing: they are given addresses of nothing."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(backend.native, name)
        if not callable(value):
            return value
        return lambda *args, **options: None if "target" in options else value(*args, **options)


@pytest.fixture
def valueless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a GPU with compiled kernels were there."""
    monkeypatch.setattr(guide, "backend", lambda kind: "native")
    for operations in (feathering, magnitude, mask_table, perception, ragged):
        if hasattr(operations, "native"):
            monkeypatch.setattr(operations, "native", Kernels())
    monkeypatch.setattr(step_module, "autocast", lambda *args: contextlib.nullcontext())
    enabled = torch.is_autocast_enabled
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: kind != "meta" and enabled(kind))


def part() -> MicroBatch:
    """A batch as it comes from a loader, in page-locked memory, that has been moved."""
    images = {name: torch.rand(PAIRS, channels, SIZE, SIZE) for name, channels in (("real", 3), ("fake", 3), ("source", 3), ("mask", 1))}
    batch = Batch(list(range(PAIRS)), torch.zeros(PAIRS, 3), torch.full((PAIRS,), 150.0), [], Pairs(**images))
    found = next(iter(step_module.micro_batches(batch, CONFIG, GPU)))
    assert found is not None
    return found


@pytest.mark.parametrize("coin", [True, False])
@pytest.mark.parametrize("statistics", ["batch", "unpaired", "frozen"])
def test_the_passes_of_a_step_wait_for_nothing(valueless: None, monkeypatch: pytest.MonkeyPatch, coin: bool, statistics: str) -> None:
    config = dataclasses.replace(CONFIG, batch_statistics=statistics)  # type: ignore[arg-type]
    learner = build_learner(config, GPU, ALONE)
    drawn = dataclasses.replace(draw_guidance(0, 0, 0, range(PAIRS), config.guidance), step_coin=coin)
    monkeypatch.setattr(step_module, "draw_guidance", lambda *args: drawn)
    clock = step_module.Clock(torch.device("cpu"), "guidance", "quality")
    with Copies() as copies:
        numbers, _ = step_module.forward_backward(learner, AnalyticQuality(), part(), config, 0, 0, PAIRS, clock)
    assert numbers.device.type == "meta"
    assert copies.waiting == []
