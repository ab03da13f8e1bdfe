"""Interrupted runs: killed, asked to stop, resumed with something else, and checkpoints that must not be read."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from interrupted_runs import terminated_after
from safetensors.torch import load_file

from fpg.cli.train import main, parse_command
from fpg.common.errors import InputError, UsageError
from fpg.train import loop, state
from fpg.train.config import OptimConfig, TrainConfig
from fpg.train.loop import train

ROOT = Path(__file__).parents[2]
Tiny = Callable[..., TrainConfig]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "fpg.cli.train", *arguments], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def steps_logged(out: Path) -> int:
    log = out / "log.jsonl"
    return log.read_text().count('"kind": "step"') if log.exists() else 0


def wait_for_steps(process: subprocess.Popen[str], out: Path, steps: int) -> None:
    deadline = time.monotonic() + 120
    while steps_logged(out) < steps and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[1]


def assert_same_weights(one: Path, other: Path) -> None:
    a, b = load_file(one), load_file(other)
    assert a.keys() == b.keys()
    for name in a:
        assert torch.allclose(a[name].double(), b[name].double(), rtol=0, atol=1e-6), name


@pytest.mark.slow
def test_sigkill_and_resume_give_the_weights_of_an_uninterrupted_run(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(epochs=4, checkpoint_steps=2, out=str(tmp_path / "whole"), workers=1)
    whole = train(config)
    out = tmp_path / "killed"
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({**config.as_dict(), "out": str(out)}))
    process = start(["--config", str(tmp_path / "c.yaml")])
    steps, delay = random.SystemRandom().randrange(1, 9), random.SystemRandom().uniform(0, 0.05)
    wait_for_steps(process, out, steps)
    time.sleep(delay)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, f"it ended before it was killed (after step {steps} and {delay:.3f} s)"
    assert not (out / "model.safetensors").exists()

    assert main(["--out", str(out), "--resume"]) == 0
    assert_same_weights(whole, out / "model.safetensors")
    for name in ("whole", "killed"):
        lines = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if line["kind"] == "step"] == list(range(12))
        assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == list(range(4))


@pytest.mark.parametrize("stop_at", [1, 4, 6])
def test_resume_in_the_middle_and_at_the_end_of_an_epoch(tiny: Tiny, tmp_path: Path, stop_at: int) -> None:
    whole = train(tiny(out=str(tmp_path / "whole")))
    config = tiny()
    with terminated_after(stop_at), pytest.raises(SystemExit) as ended:
        train(config)
    assert ended.value.code == 143
    assert state.read(Path(config.out) / "checkpoints/last.pt")["position"]["step"] == stop_at
    assert_same_weights(whole, train(config, resume=True))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_write_a_checkpoint_and_end_with_their_code(tiny: Tiny, tmp_path: Path, number: signal.Signals, code: int) -> None:
    config = tiny(epochs=400, workers=1, checkpoint_steps=10_000)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config.as_dict()))
    process = start(["--config", str(tmp_path / "c.yaml")])
    wait_for_steps(process, Path(config.out), 2)
    process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == code, error
    assert "Traceback" not in error
    position = state.read(Path(config.out) / "checkpoints/last.pt")["position"]
    assert position["step"] >= 2
    assert not list(Path(config.out).rglob("*.part"))


def test_resume_takes_the_saved_config_and_refuses_another(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny(epochs=1)
    train(config)
    resumed, resume = parse_command(["--out", config.out, "--resume", "--workers", "1"])
    assert resume
    assert resumed == dataclasses.replace(config, workers=1)
    before = (Path(config.out) / "config.yaml").read_text()
    with pytest.raises(UsageError, match=r"another config \(optim.lr: 0.001 -> 0.5; seed: 3 -> 8\)"):
        train(dataclasses.replace(config, seed=8, optim=OptimConfig(lr=0.5)), resume=True)
    assert main(["--out", config.out, "--resume", "--model.image_size", "96"]) == 2
    assert "model.image_size: 64 -> 96" in capsys.readouterr().err
    assert (Path(config.out) / "config.yaml").read_text() == before


def test_resume_refuses_other_data(tiny: Tiny, prepare: Callable[..., Path]) -> None:
    config = tiny(epochs=1)
    train(config)
    other = prepare(change=lambda rows: rows[1:])
    with pytest.raises(UsageError, match="other data"):
        train(dataclasses.replace(config, data=[str(other)]), resume=True)


def test_a_finished_run_resumes_to_the_same_weights(tiny: Tiny) -> None:
    config = tiny(epochs=1)
    path = train(config)
    before = load_file(path)
    train(config, resume=True)
    after = load_file(path)
    assert all(torch.equal(before[name], after[name]) for name in before)


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("code_ran",)


def test_checkpoints_with_code_or_damage_are_refused(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = tiny(epochs=1)
    train(config)
    last = Path(config.out) / "checkpoints/last.pt"
    whole = last.read_bytes()
    for content, reason in (
        (pickle.dumps(Payload()), "last.pt: "),
        (whole[: len(whole) // 2], "is not a readable checkpoint"),
        (b"", "is not a readable checkpoint"),
    ):
        last.write_bytes(content)
        with pytest.raises(InputError, match=reason):
            train(config, resume=True)
    torch.save({"schema": state.SCHEMA, "model": Payload()}, last)
    with pytest.raises(InputError, match="refused"):
        train(config, resume=True)
    torch.save({"model": {}}, last)
    with pytest.raises(InputError, match="is not a checkpoint of fpg-train"):
        train(config, resume=True)
    assert not Path("code_ran").exists()


def test_a_checkpoint_of_another_network_is_refused(tiny: Tiny) -> None:
    config = tiny(epochs=1)
    train(config)
    last = Path(config.out) / "checkpoints/last.pt"
    value = torch.load(last, weights_only=True)
    value["model"].pop(next(iter(value["model"])))
    torch.save(value, last)
    with pytest.raises(InputError, match="does not fit this network"):
        train(config, resume=True)


def test_a_full_disk_is_one_line_and_keeps_the_last_checkpoint(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tiny(checkpoint_steps=2)
    written = 0
    save = loop.save_checkpoint

    def filling(path: Path, *args: object) -> None:
        nonlocal written
        written += 1
        if written == 2:
            monkeypatch.setattr(os, "fsync", full)
        save(path, *args)  # type: ignore[arg-type]

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop, "save_checkpoint", filling)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config.as_dict()))
    assert main(["--config", str(tmp_path / "c.yaml")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "last.pt: cannot be written: No space left on device" in error
    assert state.read(Path(config.out) / "checkpoints/last.pt")["position"]["step"] == 2
    assert not list(Path(config.out).rglob("*.part"))
