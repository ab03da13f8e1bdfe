"""`fpg-train --nproc`: the launcher, its signals, and what is left when something is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from fpg.cli.train import main
from fpg.train import state
from fpg.train.config import ModelConfig, TrainConfig

ROOT = Path(__file__).parents[2]
Tiny = Callable[..., TrainConfig]


@pytest.fixture
def config(tiny: Tiny, tmp_path: Path) -> TrainConfig:
    """Long enough to be interrupted; in a file of its own."""
    model = ModelConfig(backbone="test_convnext", image_size=64, pretrained=False, heads="plain")
    value = tiny(epochs=4000, checkpoint_steps=100_000, model=model)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(value.as_dict()))
    return value


@contextlib.contextmanager
def started(tmp_path: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "fpg.cli.train", "--config", str(tmp_path / "c.yaml"), "--nproc", "2", *more]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        for child in children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.kill()
        process.communicate()


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


def wait_for_steps(process: subprocess.Popen[str], out: str, steps: int) -> None:
    log, deadline = Path(out) / "log.jsonl", time.monotonic() + 240
    while not log.exists() or log.read_text().count('"kind": "step"') < steps:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.slow
def test_sigterm_writes_a_checkpoint(config: TrainConfig, tmp_path: Path) -> None:
    with started(tmp_path) as process:
        wait_for_steps(process, config.out, 2)
        workers = children(process.pid)
        process.send_signal(signal.SIGTERM)
        error = process.communicate(timeout=120)[1]
        assert process.returncode == 143, error
        assert len(workers) == 2
        assert all(gone(pid) for pid in workers)
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith("stopped after step ")
    assert state.read(Path(config.out) / "checkpoints/last.pt")["position"]["step"] >= 2


@pytest.mark.slow
def test_a_killed_process_ends_the_run(config: TrainConfig, tmp_path: Path) -> None:
    with started(tmp_path) as process:
        wait_for_steps(process, config.out, 2)
        os.kill(children(process.pid)[1], signal.SIGKILL)
        error = process.communicate(timeout=120)[1]
        assert process.returncode == 1, error
        assert error.splitlines()[-1] == "error: process 1 of the run was ended by SIGKILL"
        assert not (Path(config.out) / "checkpoints").exists()


@pytest.mark.slow
def test_when_the_launcher_is_killed_the_run_stops_with_a_checkpoint(config: TrainConfig, tmp_path: Path) -> None:
    with started(tmp_path) as process:
        wait_for_steps(process, config.out, 2)
        workers = children(process.pid)
        assert len(workers) == 2
        process.kill()
        deadline = time.monotonic() + 60
        while not all(gone(pid) for pid in workers) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert all(gone(pid) for pid in workers)
    assert state.read(Path(config.out) / "checkpoints/last.pt")["position"]["step"] >= 2


@pytest.mark.slow
def test_an_error_is_told_once_with_its_exit_code(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with started(tmp_path, "--out", str(tmp_path / "full")) as process:
        error = process.communicate(timeout=240)[1]
        assert process.returncode == 2, error
    assert error == f"error: --out: {tmp_path / 'full'} is not empty; continue with --resume, or choose another folder\n"


def test_wrong_usage_is_found_before_anything_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", "a", "--out", "r", "--nproc", "2", "--batch", "7"]) == 2
    assert capsys.readouterr().err == "error: batch: expected an even number >= 2, got 7\n"
    assert main(["--data", "a", "--out", "r", "--nproc", "0"]) == 2
    assert "--nproc: expected a number in 1..1024, got 0" in capsys.readouterr().err
