"""`--dry-run` and `--profile`."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from fpg.cli.train import main
from fpg.common.errors import UsageError
from fpg.guidance.config import GuidanceConfig
from fpg.train import dry_run as module
from fpg.train.config import OptimConfig, TrainConfig
from fpg.train.dry_run import RunEstimate, dry_run
from fpg.train.loop import train
from fpg.train.step import NonFiniteLoss

Tiny = Callable[..., TrainConfig]
ESTIMATE = RunEstimate(
    steps=10, epochs=3, processes=1, batch=32, plain_s=2.0, magnitude_s=4.0, magnitude_share=0.25, read_s=6.0, make_s=0.5, workers=4,
    validation_s=7.0, memory=10**9, memory_total=None, checkpoint=3000, weights=1000, disk=8000, disk_free=10**9,
    trained=106_000, parameters=316_000_000,
)  # fmt: skip


def test_time_adds_up_with_the_slower_of_step_and_workers() -> None:
    assert ESTIMATE.step_s == 0.75 * 2 + 0.25 * 4 + 0.5
    assert ESTIMATE.total_s == 3 * (10 * 3.0 + 7.0)
    assert dataclasses.replace(ESTIMATE, workers=1).step_s == 6.0
    assert dataclasses.replace(ESTIMATE, workers=0).step_s == 9.0
    assert "use more --workers" in " ".join(dataclasses.replace(ESTIMATE, workers=1).lines())
    assert "use more" not in " ".join(ESTIMATE.lines())
    assert "parameters: 0.106 of 316 million are trained" in ESTIMATE.lines()
    assert "NOT ENOUGH" in " ".join(dataclasses.replace(ESTIMATE, disk_free=7999).lines())


def test_dry_run_takes_both_sides_of_the_coin_and_writes_nothing(tiny: Tiny, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(guidance=GuidanceConfig(certainty=0.0, threshold=1.0, step_probability=0.3), keep_top=2, ema=0.9)
    seen = []
    step = module.train_step

    def spy(learner: object, quality: object, batch: object, config: TrainConfig, *args: object) -> object:
        seen.append(config.guidance.step_probability)
        return step(learner, quality, batch, config, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "train_step", spy)
    data = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    estimate = dry_run(config)
    assert seen == [1.0, 1.0, 0.0, 0.0]
    assert (estimate.steps, estimate.epochs, estimate.batch, estimate.magnitude_share) == (3, 2, 8, 0.3)
    assert min(estimate.plain_s, estimate.magnitude_s, estimate.read_s, estimate.validation_s) > 0
    assert estimate.memory > 50e6
    assert not Path(config.out).exists()
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*")} == data

    train(config)
    folder = Path(config.out) / "checkpoints"
    assert estimate.checkpoint == pytest.approx((folder / "last.pt").stat().st_size, rel=0.15)
    assert estimate.weights == pytest.approx((folder / "best.safetensors").stat().st_size, rel=0.05)
    assert sum(path.stat().st_size for path in Path(config.out).rglob("*.*") if path.suffix in (".pt", ".safetensors")) <= estimate.disk


def test_dry_run_of_several_processes_measures_a_share(tiny: Tiny) -> None:
    estimate = dry_run(tiny(guidance=GuidanceConfig(magnitude=False)), processes=4)
    assert (estimate.processes, estimate.batch, estimate.steps, estimate.magnitude_share) == (4, 8, 3, 0.0)
    with pytest.raises(UsageError, match="batch: expected a pair for each of the 5 processes"):
        dry_run(tiny(), processes=5)


def test_dry_run_from_the_command_line(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny()
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(config.as_dict()))
    before = sorted(tmp_path.rglob("*"))
    assert main(["--config", str(file), "--dry-run"]) == 0
    text = " ".join(capsys.readouterr().err.split())
    for words in (
        "dry run: nothing was written; 2 epochs of 3 steps of 8 images",
        "magnitude refinement",
        "memory:",
        "disk:",
        "whole run:",
    ):
        assert words in text
    assert sorted(tmp_path.rglob("*")) == before
    assert main(["--config", str(file), "--dry-run", "--batch", "3"]) == 2


def test_dry_run_that_meets_a_loss_that_is_not_finite_says_so(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLoss, match="no batch is saved"):
        dry_run(tiny(optim=OptimConfig(lr=1e30)))
    assert not [name for name in os.listdir(tmp_path) if "nonfinite" in name]


def test_profile_writes_a_trace_and_a_table(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny(epochs=2)
    train(config, profile=2)
    folder = Path(config.out) / "profile"
    assert sorted(path.name for path in folder.iterdir()) == ["table.txt", "trace.json"]
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    steps = {event["name"] for event in events if str(event.get("name", "")).startswith("ProfilerStep#")}
    assert steps == {"ProfilerStep#2", "ProfilerStep#3"}
    assert any("convolution" in str(event.get("name")) for event in events)
    assert "Self CPU" in (folder / "table.txt").read_text()
    assert "2 steps after the first 2" in capsys.readouterr().err


def test_profile_changes_nothing_and_is_off_by_default(tiny: Tiny, tmp_path: Path) -> None:
    paths = [train(tiny(epochs=1, out=str(tmp_path / str(n))), profile=n) for n in (0, 1)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert not (tmp_path / "0" / "profile").exists()
    assert torch.autograd.profiler._is_profiler_enabled is False


def test_a_bad_number_of_steps_to_profile_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", "a", "--out", str(tmp_path / "r"), "--profile", "-1"]) == 2
    assert "--profile: expected a number of steps in 0..10000, got -1" in capsys.readouterr().err
