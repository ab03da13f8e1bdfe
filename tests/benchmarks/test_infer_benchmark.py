"""The inference benchmark's JSON and CSV, and the GPU suite's command line. Nothing about speed is asserted."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from infer import main, random_detector

from fpg.common.spec import read_spec, sidecar
from fpg.export.exporter import export_detector

SUITE = Path(__file__).parents[2] / "benchmarks" / "gpu_suite.sh"
SMALL = ["--device", "cpu", "--backbone", "test_efficientnet", "--size", "64", "--batches", "1,3", "--rounds", "2", "--threads", "1"]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_an_engine_that_was_exported_before(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    checkpoint = random_detector(tmp_path, "test_efficientnet", 64)
    engine = export_detector(checkpoint, "openvino", tmp_path, precision="fp16").path
    chosen = ["--checkpoint", str(checkpoint), "--engine", str(engine), "--only", "nothing", *SMALL]
    assert main(["--json", *chosen]) == 0
    names = {case["name"] for case in json.loads(capsys.readouterr().out)["cases"]}
    assert f"{engine.name}, batch 3 vs torch-eager" in names
    write_sidecar(engine, logits=[[5.0, -5.0]])
    with pytest.raises(SystemExit, match="does not answer as its sidecar says"):
        main(chosen)


def write_sidecar(engine: Path, logits: list[list[float]]) -> None:
    """Another reference answer."""
    spec = read_spec(engine)
    assert spec.reference is not None
    count = len(spec.reference["logits"])
    dataclasses.replace(spec, reference={**spec.reference, "logits": logits * count}).write(sidecar(engine))


@pytest.mark.slow
def test_every_engine_of_the_cpu_is_compared(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--json", "--csv", str(tmp_path / "rows.csv"), *SMALL]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["left_out"] == {}
    ways = ["torch eager fp32", "torch channels_last (fpg's engine)", "openvino fp32", "onnx fp32"]
    assert [case["name"] for case in result["cases"]] == [f"{way}, batch {batch} vs torch-eager" for batch in (1, 3) for way in ways]
    for case in result["cases"]:
        assert case["ratio"] > 0
        assert 0 < case["p50_ms"] <= case["p95_ms"] <= case["p99_ms"]
        assert case["tflops"] == pytest.approx(case["images_per_second"] * result["gflop_per_image"] / 1e3)
    assert result["gflop_per_image"] > 0.005
    with (tmp_path / "rows.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(result["cases"])


def test_frames_are_judged_where_the_engine_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    assert main(["--frames", "--only", "nothing", "--csv", str(rows), *SMALL]) == 0
    with rows.open() as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert [name for name in names if "frames" in name] == [
        f"frames cut on the device, torch fp32, batch {batch} vs cut on the host" for batch in (1, 3)
    ]
    assert main(["--json", "--seconds", "0", "--only", "nothing", *SMALL]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["cases"] == []
    assert result["left_out"] == {f"torch eager fp32, batch {batch}": "no time was left for it" for batch in (1, 3)}


def test_the_suite_refuses_parts_that_it_does_not_have(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", str(SUITE), "nonsense"], env={"PATH": "/usr/bin:/bin", "OUT": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no part nonsense" in done.stderr


@pytest.mark.slow
def test_the_suite_says_what_there_is_no_time_or_nothing_for(tmp_path: Path) -> None:
    environment = {**os.environ, "OUT": str(tmp_path), "PYTHON": sys.executable, "FPG_SUITE_DEVICE": "cpu", "FPG_SUITE_SECONDS": "3"}
    for name in ("FPG_SUITE_FACES", "FPG_SUITE_CLIP"):
        environment.pop(name, None)
    done = subprocess.run(["bash", str(SUITE), "train", "measure"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "suite.csv").open() as file:
        rows = [(row["part"], row["step"], row["result"], row["detail"]) for row in csv.DictReader(file)]
    late = "no time was left for it"
    assert rows == [
        ("train", "train", "not run", "FPG_SUITE_FACES names no faces"),
        *(("measure", step, "not run", late) for step in ("step", "infer-b4", "infer-start")),
        ("measure", "clip", "not run", "FPG_SUITE_CLIP names no folder of benchmarks/clip.py"),
    ]
    assert (tmp_path / "machine.txt").read_text().startswith("rehearsal on a CPU")
