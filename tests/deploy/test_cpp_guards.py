"""What both programs refuse, skip and give up, and that they say it alike."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from twins import Programs, compare, cpp

import fpg.cli.detect as detect
from fpg.common.spec import sidecar

pytestmark = pytest.mark.slow


def test_inputs_that_take_too_long_are_given_up_by_both(programs: Programs, portrait: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(portrait).save(tmp_path / "in" / name)
    both = programs(tmp_path / "in", "--timeout", "0.000001")
    assert [r["error_code"] for r in both[1]["results"]] == ["timeout", "timeout"]
    compare(both)
    assert [r["error"] for r in both[0]["results"]] == [r["error"] for r in both[1]["results"]]


def test_folders_say_what_they_hold_besides(programs: Programs, portrait: np.ndarray, tmp_path: Path) -> None:
    """Links are followed, loops end, and what is not judged is named: alike in both."""
    box = tmp_path / "inbox"
    (tmp_path / "clips").mkdir()
    box.mkdir()
    Image.fromarray(portrait).save(tmp_path / "clips" / "a.png")
    Image.fromarray(portrait).save(box / "photo.jfif", "JPEG")
    for name in ("IMG.JXL", "talk.mp3", "a.pdf", "b.tar.gz", "notes", "odd.XYZ", ".hidden"):
        (box / name).write_bytes(b"1")
    (box / "wrong.mp4").write_bytes(b"%PDF-1.4 " + bytes(99))
    (box / "linked").symlink_to("../clips")
    (tmp_path / "clips" / "back").symlink_to("../inbox")
    (box / "dangling.mp4").symlink_to("nowhere.mp4")
    os.mkfifo(box / "pipe.mp4")
    both = programs(box)
    compare(both, 1e-3)
    assert both[0]["skipped"] == both[1]["skipped"]
    assert {(Path(s["path"]).name, s["reason"]) for s in both[1]["skipped"]} >= {("talk.mp3", "audio"), ("back", "folder reached before")}
    codes = {Path(r["input"]).name: r["error_code"] for r in both[1]["results"]}
    assert codes == {"a.png": None, "photo.jfif": None, "wrong.mp4": "not_media", "IMG.JXL": "unsupported", "dangling.mp4": "missing"}
    for r in zip(both[0]["results"], both[1]["results"], strict=True):
        assert r[0]["error"] == r[1]["error"]


def test_a_jpeg_of_many_scans_is_refused_by_both(programs: Programs, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    (tmp_path / "scans.jpg").write_bytes(data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 2000 + data[-2:])
    both = programs(tmp_path / "scans.jpg")
    assert [r["results"][0]["error"] for r in both] == ["is a JPEG of more than 100 scans"] * 2
    compare(both)


def test_a_header_of_four_thousand_million_squared(programs: Programs) -> None:
    compare(programs(Path(__file__).parents[1] / "data" / "cases" / "header.png"))


def test_another_network_under_a_face_models_name(program: Path, face_models: str, engine: Path, tmp_path: Path) -> None:
    """It wrote past the end of the network's input."""
    for name in ("face_detection_full_range.tflite", "face_landmark.tflite"):
        other = "face_landmark.tflite" if "full" in name else "face_detection_full_range.tflite"
        (tmp_path / name).write_bytes((Path(face_models) / other).read_bytes())
    done = cpp(program, str(tmp_path), engine, "v.mp4")
    assert (done.returncode, "is another network than the one that belongs under this name" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["face_detection_short_range.tflite", "face_detection_back.tflite", "face_detection_front.tflite"])
def test_another_detector_under_the_detectors_name(program: Path, face_models: str, engine: Path, tmp_path: Path, name: str) -> None:
    if not (Path(face_models) / name).is_file():
        pytest.skip(f"the package of the face models has no {name}")
    (tmp_path / "face_detection_full_range.tflite").write_bytes((Path(face_models) / name).read_bytes())
    (tmp_path / "face_landmark.tflite").write_bytes((Path(face_models) / "face_landmark.tflite").read_bytes())
    done = cpp(program, str(tmp_path), engine, "v.mp4")
    assert (done.returncode, "is another network" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "change",
    [
        {"map_size": [4000, 4000]},
        {"map_size": [2, 3]},
        {"batch": [1, 8, 20_000]},
        {"temperature": 10**400},
        {"provenance": {"a": "\ud800"}},
        {"files": {"engine.xml\0x": "0"}, "model_file": "engine.xml\0x"},
    ],
)
def test_sidecars_that_would_break_later_are_refused_by_both(
    program: Path, face_models: str, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    for path in (engine, engine.with_suffix(".bin")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    model = tmp_path / engine.name
    sidecar(model).write_text(json.dumps({**json.loads(sidecar(engine).read_text()), **change}))
    assert detect.main([str(model), "v.mp4"]) == 2
    done = cpp(program, face_models, model, "v.mp4")
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 1, "")


def test_cells_of_a_csv_are_no_formulas(
    program: Path, face_models: str, engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("=1.png").write_bytes(b"")
    cpp(program, face_models, engine, "=1.png", "--csv", "cpp.csv")
    detect.main([str(engine), "=1.png", "--csv", "python.csv"])
    assert Path("cpp.csv").read_text() == Path("python.csv").read_text()
    assert Path("cpp.csv").read_text().splitlines()[1].startswith('"\'=1.png",')
