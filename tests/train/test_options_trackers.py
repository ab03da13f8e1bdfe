"""Trackers: TensorBoard, Weights & Biases by a stand-in, none."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interrupted_runs import killed_at_checkpoint
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fpg.cli.train import main
from fpg.common.errors import MissingDependencyError
from fpg.train.config import TrainConfig
from fpg.train.loop import train
from fpg.train.trackers import NoTracker, open_tracker

Tiny = Callable[..., TrainConfig]


class FakeRun:
    """Keeps what it is told."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options, self.logged, self.finished, self.metrics = options, [], 0, []

    def log(self, values: dict[str, Any]) -> None:
        assert not self.finished
        self.logged.append(values)

    def define_metric(self, name: str, step_metric: str) -> None:
        self.metrics.append((name, step_metric))

    def finish(self) -> None:
        self.finished += 1


class FakeWandb(types.ModuleType):
    """`init`, `Image` and `Error` of wandb; `online` says whether its service answers."""

    class Error(Exception):
        pass

    def __init__(self, online: bool = True) -> None:
        super().__init__("wandb")
        self.online, self.runs = online, []

    def init(self, **options: Any) -> FakeRun:
        if not self.online and options.get("mode") != "offline":
            raise self.Error("api_key not\nconfigured")
        self.runs.append(FakeRun(options))
        return self.runs[-1]

    def Image(self, image: np.ndarray) -> tuple[str, tuple[int, ...]]:
        return "image", image.shape


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return fake


def test_wandb_gets_what_the_log_has_and_a_resume_goes_on_with_the_same_run(
    tiny: Tiny, wandb: FakeWandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(tracker="wandb", pictures=2)
    with killed_at_checkpoint(1, written=True), pytest.raises(KeyboardInterrupt):
        train(config)
    train(config, resume=True)

    first, second = wandb.runs
    assert first.options["id"] == second.options["id"]
    assert (first.options["project"], first.options["resume"], first.options["dir"]) == ("fpg", "allow", config.out)
    assert first.options["config"] == config.as_dict()
    assert (first.finished, second.finished) == (1, 1)
    assert first.metrics == [("*", "step")]
    lines = [json.loads(line) for line in (Path(config.out) / "log.jsonl").read_text().splitlines()]
    losses = {line["step"]: line["loss"] for line in lines if line["kind"] == "step"}
    told = {v["step"]: v["train/loss"] for run in wandb.runs for v in run.logged if "train/loss" in v}
    assert told == losses
    assert [v["val/auc"] for run in wandb.runs for v in run.logged if "val/auc" in v] == [
        line["val_auc"] for line in lines if line["kind"] == "epoch"
    ]
    assert [v["pairs"][0] for run in wandb.runs for v in run.logged if "pairs" in v] == ["image", "image"]
    assert not (Path(config.out) / "tensorboard").exists()


def test_wandb_out_of_reach_is_kept_offline(tmp_path: Path, wandb: FakeWandb, capsys: pytest.CaptureFixture[str]) -> None:
    wandb.online = False
    open_tracker("wandb", tmp_path, 0, {}).close()
    assert wandb.runs[0].options["mode"] == "offline"
    assert "wandb cannot be reached (api_key not configured)" in " ".join(capsys.readouterr().err.split())


def test_wandb_takes_its_own_variables(tmp_path: Path, wandb: FakeWandb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    open_tracker("wandb", tmp_path, 0, {})
    assert wandb.runs[0].options["project"] == "mine"
    assert "mode" not in wandb.runs[0].options


def test_without_wandb_nothing_is_written(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    config = tiny(tracker="wandb")
    with pytest.raises(MissingDependencyError, match=r"tracker: wandb is not installed .*pip install 'wandb"):
        train(config)
    assert not Path(config.out).exists()


def test_none_writes_the_log_alone(tiny: Tiny) -> None:
    config = tiny(tracker="none", epochs=1)
    train(config)
    assert isinstance(open_tracker("none", Path(config.out), 0, {}), NoTracker)
    assert (Path(config.out) / "log.jsonl").stat().st_size
    assert not (Path(config.out) / "tensorboard").exists()


def test_tensorboard_has_numbers_and_pictures(tmp_path: Path) -> None:
    tracker = open_tracker("tensorboard", tmp_path, 0, {})
    tracker.scalars("train", 3, {"loss": 0.25})
    tracker.picture("pairs", 3, np.zeros((4, 5, 3), np.uint8))
    tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(3, 0.25)]
    assert [(e.width, e.height) for e in events.Images("pairs")] == [(5, 4)]


def test_an_unknown_tracker_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", "a", "--out", str(tmp_path / "r"), "--tracker", "mlflow"]) == 2
    assert "tracker" in capsys.readouterr().err
