"""Findings in both programs: levels from a card, limits, segments, shots, and several detectors at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from twins import Programs, compare, cpp, wordy

import fpg.cli.detect as detect
from fpg.common.errors import InputError
from fpg.common.spec import read_spec, sidecar
from fpg.data.encode import write_video

pytestmark = pytest.mark.slow

RELIABILITY = {
    "bounds": {"strong": 0.9, "moderate": 0.55, "little": 0.45, "none": None},
    "real": 212,
    "fake": 200,
    "levels": {"moderate": {"real": 12, "fake": 104}, "little": {"real": 70, "fake": 7}},
    "conditions": {"frames_with_face": 40, "face_px": 1.5, "yaw": 0.01, "bits_per_pixel": 4.0},
    "weight": 0.25,
    "data": ["clips"],
}


@pytest.fixture
def carded(engine: Path, tmp_path: Path) -> Path:
    """The engine with a card's word on its scores."""
    folder = tmp_path / "carded"
    shutil.copytree(engine.parent, folder)
    model = folder / engine.name
    replace(read_spec(model), reliability=RELIABILITY).write(sidecar(model))
    return model


def changing(portrait: np.ndarray, path: Path, rng: np.random.Generator) -> Path:
    """A face that is blurred for half of the time, then another picture after a cut."""
    small = cv2.resize(portrait, (256, 256), interpolation=cv2.INTER_AREA)
    frames = [np.roll(small, int(rng.integers(-4, 5)), 1) for _ in range(48)]
    frames[20:40] = [cv2.GaussianBlur(frame, (0, 0), 4) for frame in frames[20:40]]
    other = np.full_like(small, (10, 60, 140))
    other[:, 128:] = small[:, 64:192, ::-1]
    write_video(path, frames + [other] * 16, fps=8, crf=16)
    return path


def test_levels_limits_segments_and_shots(
    program: Path,
    face_models: str,
    carded: Path,
    portrait: np.ndarray,
    tmp_path: Path,
    rng: np.random.Generator,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "json"
    folder.mkdir()
    video = changing(portrait, tmp_path / "v.mp4", rng)
    both = Programs(program, face_models, carded, folder)(video, "--frames", "64")
    compare(both)
    found = both[1]["results"][0]
    assert found["finding"]["level"] != "not_calibrated"
    assert {"turned_faces", "heavy_compression"} <= {limit["code"] for limit in found["finding"]["limits"]}
    assert len(found["shots"]) == 2
    for threshold in ("0", "1"):
        both = Programs(program, face_models, carded, folder)(video, "--frames", "9", "--threshold", threshold)
        compare(both)
    assert "few_faces" in {limit["code"] for limit in both[1]["results"][0]["finding"]["limits"]}
    capsys.readouterr()
    detect.main([str(carded), str(video), str(tmp_path / "gone.mp4"), "--frames", "24"])
    printed = capsys.readouterr().out
    done = cpp(program, face_models, carded, video, tmp_path / "gone.mp4", "--frames", "24")
    assert wordy(done.stdout) == wordy(printed)  # wrapped alike: numbers differ in their last digits
    assert {"limit", "2 inputs, worst first"} <= {line.split(":")[0].strip() for line in printed.splitlines()}


def test_several_detectors(
    program: Path, face_models: str, carded: Path, aligned_engine: Path, portrait: np.ndarray, tmp_path: Path, rng: np.random.Generator
) -> None:
    video = changing(portrait, tmp_path / "v.mp4", rng)
    python, ours = tmp_path / "python.json", tmp_path / "cpp.json"
    arguments = [video, "--model", carded, "--model", aligned_engine, "--frames", "12", "--batch", "5"]
    assert detect.main([*map(str, arguments), "--json", str(python)]) == 0
    done = cpp(program, face_models, *arguments, "--json", ours)
    assert done.returncode == 0, done.stderr
    both = json.loads(python.read_text(encoding="utf-8")), json.loads(ours.read_text(encoding="utf-8"))
    compare(both, score=1e-4)
    assert both[0]["models"] == both[1]["models"]
    result = both[1]["results"][0]
    assert [model["weight"] for model in result["models"]] == [0.25, 1.0]
    assert all(len(face["scores"]) == 2 for frame in result["frames"] for face in frame["faces"])
    assert result["finding"]["level"] == "not_calibrated"  # one of them is not


@pytest.mark.parametrize(
    "change", [{"weight": 0}, {"real": -1}, {"bounds": {"strong": 1}}, {"levels": {"strong": 3}}, {"more": 1}, {"conditions": {"yaw": "x"}}]
)
def test_cards_that_mean_nothing_are_refused_alike(
    program: Path, face_models: str, carded: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    replace(read_spec(carded), reliability={**RELIABILITY, **change}).write(sidecar(carded))
    with pytest.raises(InputError, match="reliability: expected null or the bounds"):
        read_spec(carded)
    done = cpp(program, face_models, "--model", carded, tmp_path / "none.mp4")
    assert done.returncode == 2
    assert "reliability: expected null or the bounds" in done.stderr
