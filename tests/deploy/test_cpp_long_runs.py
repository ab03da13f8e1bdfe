"""Long runs of fpg-detect-cpp: a killed one goes on exactly, a folder is watched, lines of another run are refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import makers
import numpy as np
import pytest
from PIL import Image
from schemas import check_output
from twins import cpp

pytestmark = pytest.mark.slow


def inputs(folder: Path, portrait: np.ndarray, count: int) -> Path:
    """Pictures of a face at several sizes, a video, and what cannot be judged."""
    folder.mkdir()
    for i in range(count):
        side = 120 + 4 * (i % 9)
        Image.fromarray(portrait).resize((side, side)).save(folder / f"{i:04d}.png")
    makers.write_video(folder / "0003a.mp4", [portrait[::4, ::4]] * 4)
    (folder / "0005a.mp4").write_bytes(b"no video")
    (folder / "raw.nef").write_bytes(b"not read")
    return folder


def without_times(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    check_output(value)
    for key in ("started", "ended", "command"):
        del value["record"][key]
    return dict(value)


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("kept", ["--jsonl", "--json alone"])
def test_a_killed_run_goes_on_exactly(
    program: Path, face_models: str, engine: Path, portrait: np.ndarray, tmp_path: Path, kept: str
) -> None:
    folder = inputs(tmp_path / "in", portrait, 60)
    whole, out = tmp_path / "whole.json", tmp_path / "o.json"
    lines = tmp_path / "o.jsonl" if kept == "--jsonl" else tmp_path / "o.json.unfinished.jsonl"
    options = ["--frames", "2", "--threads", "1", "--jobs", "2"]
    assert cpp(program, face_models, engine, folder, "--json", whole, *options).returncode == 1
    assert not list(tmp_path.glob("*.unfinished.jsonl"))
    command = [engine, folder, "--json", out, *options, *(["--jsonl", lines] if kept == "--jsonl" else [])]
    words = [str(program), *map(str, command), "--face-models", face_models]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: lines_of(lines) >= 20, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not out.exists()
    before = lines.read_bytes()
    with open(lines, "ab") as file:
        file.write(before[:100])  # what a kill in the middle of a line leaves
    again = cpp(program, face_models, *command, "--resume", "--csv", tmp_path / "o.csv")
    assert again.returncode == 1, again.stderr
    assert without_times(out) == without_times(whole)
    done = before.count(b"\n")
    assert f"note: {done} inputs were judged before" in again.stderr
    assert "63 inputs, worst first:" in again.stdout
    if kept == "--jsonl":
        names = [json.loads(line)["input"] for line in lines.read_text().splitlines()]
        assert len(names) == len(set(names)) == 63
        assert lines.read_bytes().startswith(before)
        Image.fromarray(portrait).save(folder / "0001.png")
        third = cpp(program, face_models, *command, "--resume")
        assert "61 inputs were judged before" in third.stderr  # what has changed is judged again; raw.nef never was
    else:
        assert not lines.exists()


def test_lines_of_another_run_are_refused(program: Path, face_models: str, engine: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(portrait).save(tmp_path / "a.png")
    lines = tmp_path / "o.jsonl"
    command = [engine, tmp_path / "a.png", "--jsonl", lines]
    assert cpp(program, face_models, *command).returncode == 0
    for other in (["--frames", "7"], ["--threshold", "0.1"], ["--min-face", "20"]):
        done = cpp(program, face_models, *command, "--resume", *other)
        assert (done.returncode, f"was written with {other[0]}" in done.stderr) == (2, True), done.stderr
    for text in ('{"a": 1}', "[]", "x", '{"input": 3, "record": {}}'):
        lines.write_text(text + "\n")
        done = cpp(program, face_models, *command, "--resume")
        assert (done.returncode, "line 1 is not a result of fpg-detect" in done.stderr) == (1, True), done.stderr
    assert cpp(program, face_models, engine, tmp_path / "a.png", "--resume").returncode == 2


def test_a_watched_folder_is_judged_as_files_settle(
    program: Path, face_models: str, engine: Path, portrait: np.ndarray, tmp_path: Path
) -> None:
    folder, lines, out = tmp_path / "in", tmp_path / "o.jsonl", tmp_path / "o.json"
    folder.mkdir()
    Image.fromarray(portrait).save(folder / "first.png")
    command = [program, engine, "--watch", folder, "--jsonl", lines, "--json", out, "--face-models", face_models]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: lines_of(lines) >= 1, process)
        Image.fromarray(portrait).save(tmp_path / "later.png")
        data = (tmp_path / "later.png").read_bytes()
        with open(folder / "later.png", "wb") as file:  # written slowly: judged once, when it is whole
            for at in range(0, len(data), len(data) // 4 + 1):
                file.write(data[at : at + len(data) // 4 + 1])
                file.flush()
                time.sleep(0.2)
        until(lambda: lines_of(lines) >= 2, process)
        process.send_signal(signal.SIGTERM)
        printed, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, "interrupted\n")
    value = json.loads(out.read_text())
    check_output(value)
    assert [(os.path.basename(r["input"]), r["error"]) for r in value["results"]] == [("first.png", None), ("later.png", None)]
    assert "2 inputs, worst first:" in printed
    gone = cpp(program, face_models, engine, "--watch", tmp_path / "none")
    assert (gone.returncode, "none" in gone.stderr) == (1, True)
