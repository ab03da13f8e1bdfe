"""The options in two processes: the result of one, before and after an interruption."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from train_processes import run_processes

from fpg.guidance.losses import LossConfig
from fpg.train.config import ModelConfig, OptimConfig, TrainConfig
from fpg.train.loop import Run, train


def train_until(config: TrainConfig, step: int) -> Path:
    """Process 1 is asked to stop after a step; 0 for never."""
    done = Run._step

    def stopping(self: Run, batch: dict[str, Any]) -> Any:
        result = done(self, batch)
        if self.world.rank == 1 and self.position.step + 1 == step:
            signal.raise_signal(signal.SIGTERM)
        return result

    Run._step = stopping  # type: ignore[method-assign]
    return train(config, resume=not step)


@pytest.mark.slow
def test_two_processes_and_a_resume_give_the_result_of_one(tiny: Callable[..., TrainConfig], tmp_path: Path) -> None:
    config = tiny(
        model=ModelConfig(backbone="test_convnext", image_size=64, pretrained=False, heads="plain", dropout=0.0, drop_connect=0.0),
        optim=OptimConfig(lr=3e-3, eps=1e-3, schedule="cosine", warmup_epochs=1, layer_decay=0.7, decay_norm_bias=False),
        loss=LossConfig(class_weights=(2.0, 1.0)),
        freeze_stages=1,
        epochs=3,
        batch=10,
        patience=1,
        keep_top=1,
    )
    whole = train(dataclasses.replace(config, out=str(tmp_path / "whole")))
    assert [error and error[:3] for _, error in run_processes(2, train_until, config, 2)] == [("SystemExit", "143", 143)] * 2
    assert [error for _, error in run_processes(2, train_until, config, 0)] == [None, None]
    other = Path(config.out)
    one, two = load_file(whole), load_file(other / "model.safetensors")
    assert max(float((one[name].double() - two[name].double()).abs().max()) for name in one) <= 2e-5
    assert {path.name for path in (whole.parent / "checkpoints/top").iterdir()} == {p.name for p in (other / "checkpoints/top").iterdir()}

    def epochs(out: Path) -> list[int]:
        lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
        return [line["epoch"] for line in lines if line["kind"] == "epoch"]

    assert epochs(whole.parent) == epochs(other)
    assert torch.equal(one["backbone.net.stem.0.weight"], two["backbone.net.stem.0.weight"])
