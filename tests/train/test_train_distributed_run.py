"""Whole runs in several processes: the weights of one process, however often they are interrupted, and how they end when one fails."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from train_processes import in_world, run_processes

from fpg.common.errors import FpgError, InputError, UsageError
from fpg.guidance.quality import AnalyticQuality
from fpg.train import loop, state
from fpg.train.config import ModelConfig, OptimConfig, TrainConfig
from fpg.train.distributed import World
from fpg.train.loop import Run, train

Tiny = Callable[..., TrainConfig]


@pytest.fixture
def smooth(tiny: Tiny) -> Tiny:
    """Without batch statistics and dropout, and with an optimiser that does not blow up rounding."""
    model = ModelConfig(backbone="test_convnext", image_size=64, pretrained=False, heads="plain", dropout=0.0, drop_connect=0.0)
    return lambda **changes: tiny(**{"model": model, "optim": OptimConfig(lr=3e-3, eps=1e-3), "batch": 10, **changes})


@pytest.fixture
def whole(smooth: Tiny, tmp_path: Path) -> Path:
    """The run in one process, never interrupted."""
    return train(smooth(out=str(tmp_path / "whole"), epochs=3))


def log_lines(out: str | Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, (Path(out) / "log.jsonl").read_text().splitlines()) if line["kind"] == kind]


def assert_close_weights(one: Path, other: Path) -> None:
    """Within 2e-5; a weight moves by some 1e-2 in these runs."""
    a, b = load_file(one), load_file(other)
    assert a.keys() == b.keys()
    for name in a:
        assert float((a[name].double() - b[name].double()).abs().max()) <= 2e-5, name


def ended(results: list[tuple[Any, Any]]) -> list[tuple[str, str, int | None] | None]:
    return [None if error is None else error[:3] for _, error in results]


def train_and_act(config: TrainConfig, rank: int, step: int, action: Callable[[], None], resume: bool = False) -> Path:
    """Train; one process does something of its own after one of its steps."""
    done = Run._step

    def acting(self: Run, batch: dict[str, Any]) -> Any:
        result = done(self, batch)
        if self.world.rank == rank and self.position.step + 1 == step:
            action()
        return result

    Run._step = acting  # type: ignore[method-assign]
    return train(config, resume=resume)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_a_run_in_several_processes_is_the_run_of_one(smooth: Tiny, whole: Path, size: int) -> None:
    """5 pairs a step and 6 validation faces in 2 and 3 processes."""
    config = smooth(epochs=3, pictures=1)
    results = run_processes(size, train, config)
    assert ended(results) == [None] * size
    assert_close_weights(whole, results[0][0])
    ours, theirs = log_lines(config.out, "epoch"), log_lines(whole.parent, "epoch")
    for a, b in zip(ours, theirs, strict=True):
        assert {name: a[name] for name in ("pairs", "refined", "val_images")} == {
            name: b[name] for name in ("pairs", "refined", "val_images")
        }
        assert [a[name] for name in ("loss", "val_auc", "val_loss")] == pytest.approx(
            [b[name] for name in ("loss", "val_auc", "val_loss")], rel=1e-4
        )
    for kind in ("start", "end"):
        assert len(log_lines(config.out, kind)) == 1
    assert [line["step"] for line in log_lines(config.out, "step")] == list(range(6))
    assert log_lines(config.out, "start")[0]["processes"] == size
    assert (Path(config.out) / "pictures/epoch_000.png").exists()


@pytest.mark.slow
def test_killed_in_two_processes_and_resumed_in_one_and_in_three(smooth: Tiny, whole: Path) -> None:
    config = smooth(epochs=3, checkpoint_steps=1)
    first, second = ended(run_processes(2, train_and_act, config, 1, 2, kill))
    assert first is not None
    assert first[0] == "PeerLost"
    assert "another process of this run has ended" in first[1]
    assert second == ("killed", "", -signal.SIGKILL)
    assert state.read(Path(config.out) / "checkpoints/last.pt")["position"]["step"] in (1, 2)

    assert ended(run_processes(3, train_and_act, config, 2, 4, terminate, True)) == [("SystemExit", "143", 143)] * 3
    assert state.read(Path(config.out) / "checkpoints/last.pt")["position"]["step"] == 4
    assert_close_weights(whole, train(config, resume=True))
    assert [line["step"] for line in log_lines(config.out, "step")] == list(range(6))


@pytest.mark.slow
@pytest.mark.parametrize(("action", "code"), [(terminate, 143), (interrupt, 130)])
def test_a_signal_to_one_process_stops_all_after_the_same_step(smooth: Tiny, action: Callable[[], None], code: int) -> None:
    config = smooth(epochs=3, checkpoint_steps=1000)
    assert ended(run_processes(2, train_and_act, config, 1, 3, action)) == [("SystemExit", str(code), code)] * 2
    assert state.read(Path(config.out) / "checkpoints/last.pt")["position"]["step"] == 3


class FailingQuality(AnalyticQuality):
    def __init__(self, answer: Callable[[], float]) -> None:
        super().__init__()
        self.answer, self.calls = answer, 0

    def __call__(self, images: Tensor, pose: Tensor | None = None, face_size: Tensor | None = None) -> Tensor:
        self.calls += 1
        return torch.full((len(images),), self.answer() if self.calls == 2 else 1.0)


def train_with_quality(config: TrainConfig, answer: Callable[[], float]) -> Path:
    loop.quality_target = lambda quality, device: FailingQuality(answer)  # type: ignore[assignment]
    return train(config)


def refuse_in_process_1() -> float:
    if os.environ["RANK"] == "1":
        raise InputError("weights.pth", "cannot be read")
    return 1.0


def nan_in_process_1() -> float:
    return float("nan") if os.environ["RANK"] == "1" else 1.0


def test_a_process_that_fails_ends_the_run_with_its_error(smooth: Tiny) -> None:
    config = smooth(checkpoint_steps=1)
    first, second = ended(run_processes(2, train_with_quality, config, refuse_in_process_1))
    assert second == ("InputError", "weights.pth: cannot be read", "unreadable")
    assert first is not None
    assert first[0] == "PeerLost"
    assert not (Path(config.out) / "model.safetensors").exists()


def test_a_loss_that_is_not_finite_in_one_process_stops_all(smooth: Tiny) -> None:
    config = smooth(checkpoint_steps=1)
    first, second = ended(run_processes(2, train_with_quality, config, nan_in_process_1))
    assert first is not None
    assert second is not None
    assert first[0] == "NonFiniteLoss"
    assert "step 1 (epoch 0): the loss is not finite" in first[1]
    assert "nonfinite_batch_1.safetensors" in first[1]
    assert second[0] == "RemoteFailure"
    assert second[2] == 1
    saved = load_file(Path(config.out) / "nonfinite_batch_1.safetensors")
    assert saved["quality_target"].isnan().all()
    assert not (Path(config.out) / "nonfinite_batch.safetensors").exists()
    assert state.read(Path(config.out) / "checkpoints/last.pt")["position"]["step"] == 1


def test_a_folder_that_is_in_use_is_refused_once(smooth: Tiny) -> None:
    config = smooth()
    Path(config.out).mkdir()
    (Path(config.out) / "notes.txt").write_text("mine")
    first, second = ended(run_processes(2, train, config))
    assert first is not None
    assert first[:2] == ("UsageError", f"--out: {config.out} is not empty; continue with --resume, or choose another folder")
    assert second is not None
    assert (second[0], second[2]) == ("RemoteFailure", 2)


def test_a_batch_without_a_pair_for_everyone_is_refused(smooth: Tiny) -> None:
    first, second, third = ended(run_processes(3, train, smooth(batch=4)))
    assert first is not None
    assert first[:2] == ("UsageError", "batch: expected a pair for each of the 3 processes, at least 6, got 4")
    assert second == third
    assert second is not None
    assert (second[0], second[2]) == ("RemoteFailure", 2)


def test_processes_that_see_other_data_do_not_train_together(smooth: Tiny, prepare: Callable[..., Path]) -> None:
    other = prepare(change=lambda rows: rows[1:])

    results = ended(run_processes(2, train_on, smooth(), str(other)))
    assert results[0] is not None
    assert "see other data or another checkpoint" in results[0][1]


def train_on(config: TrainConfig, other: str) -> Path:
    return train(dataclasses.replace(config, data=[other]) if os.environ["RANK"] == "1" else config)


@pytest.mark.slow
def test_unreadable_faces_of_all_processes_are_reported(smooth: Tiny, prepare: Callable[..., Path]) -> None:
    root = prepare()
    for name in ("0_0", "1_1", "2_2", "3_0"):
        (root / f"crops/train/{name}.png").write_bytes(b"no image")
    config = smooth(data=[str(root)], batch=4, epochs=1)
    assert ended(run_processes(2, train, config)) == [None, None]
    assert len(log_lines(config.out, "unreadable")) == 4
    end = log_lines(config.out, "end")[0]
    assert end["unreadable"] == 4
    assert end["pairs"] == 8


def fail_in(world: World, ranks: tuple[int, ...]) -> str:
    with world.together():
        if world.rank in ranks:
            raise UsageError(f"by {world.rank}")
    return "passed"


def test_together_raises_once() -> None:
    assert run_processes(3, in_world, fail_in, ()) == [("passed", None)] * 3
    results = ended(run_processes(3, in_world, fail_in, (1, 2)))
    assert [(error[0], error[2]) for error in results if error] == [("RemoteFailure", 2), ("UsageError", None), ("RemoteFailure", 2)]


def test_one_process_alone_needs_nothing() -> None:
    alone = World()
    x = torch.tensor([1.0, 2.0])
    assert alone.sum(x) is x
    assert alone.gather("a") == ["a"]
    assert alone.shard([1, 2, 3]) == [1, 2, 3]
    with pytest.raises(FpgError, match="mine"), alone.together():
        raise FpgError("mine")
    with pytest.raises(FpgError, match="mine"):
        alone.fail(FpgError("mine"))
