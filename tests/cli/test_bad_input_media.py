"""Every kind of bad video and image through the programs that read them: named with its reason, and the good ones still go through."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import makers
import numpy as np
import pytest
from judging import BrightnessEngine
from PIL import Image

import fpg.cli.detect as detect
import fpg.cli.evaluate as evaluate
import fpg.cli.prepare as prepare
import fpg.data.prepare
from fpg.data.manifest import NAME, read_manifest

REASONS = {
    "audio.mp4": "holds sound but no video stream",
    "bomb.png": "is too large",
    "corrupt.mp4": "is not a readable video",
    "cut.mp4": "is truncated or damaged",
    "empty.mp4": "is empty (0 bytes)",
    "frameless.avi": "no frame",
    "giant.png": "is too large",
    "liar.png": "less than the 400 x 300 pixels",
    "line\nbreak.mp4": "is empty (0 bytes)",
    "junk.png": "is not a readable image",
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """real/ with every bad file and two good ones, fake/ with one good one."""
    root = tmp_path_factory.mktemp("raw")
    real, fake = root / "real", root / "fake"
    real.mkdir()
    fake.mkdir()
    for path in (real / "a.mp4", real / "z.mp4", fake / "good.mp4"):
        makers.write_video(path, 6)
    makers.write_sound(real / "audio.mp4")
    makers.write_bomb(real / "bomb.png")
    (real / "corrupt.mp4").write_bytes(np.random.default_rng(0).bytes(3000))
    makers.truncate(makers.write_video(real / "cut.mp4", 60, container={"movflags": "faststart"}))
    (real / "empty.mp4").touch()
    makers.write_video(real / "frameless.avi", 0)
    makers.write_png_that_lies(real / "giant.png", (60000, 60000))
    makers.write_png_that_lies(real / "liar.png", (400, 300))
    (real / "line\nbreak.mp4").touch()
    (real / "junk.png").write_bytes(b"not an image")
    makers.write_video(real / "noface.mp4", makers.pictures(6, face=(0, 0, 0, 0)))
    return root


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    for program in (detect, evaluate):
        monkeypatch.setattr(program, "load_engine", lambda path, **options: BrightnessEngine())
        monkeypatch.setattr(program, "default_analyzer", makers.ColourAnalyzer)
    defaults = {**(fpg.data.prepare.prepare.__kwdefaults__ or {}), "analyzer": makers.ColourAnalyzer}
    monkeypatch.setattr(fpg.data.prepare.prepare, "__kwdefaults__", defaults)


def assert_each_is_one_line(printed: str, prefix: str, noface: bool = True) -> None:
    lines = [line for line in printed.splitlines() if line.startswith(prefix)]
    expected = dict(REASONS, **{"noface.mp4": "no face"} if noface else {})
    for name, reason in expected.items():
        (line,) = [line for line in lines if name.replace("\n", "\ufffd") in line]
        assert reason in line
    assert len(lines) == len(expected)
    assert "Traceback" not in printed


def test_prepare(raw: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert prepare.main([str(raw), str(tmp_path / "out"), "--workers", "0", "--frames", "2"]) == 1
    assert_each_is_one_line(capfd.readouterr().err, "failed: ", noface=False)
    fate = {(v.method, v.video): v.status for v in read_manifest(tmp_path / "out").videos}
    assert {key for key, status in fate.items() if status == "prepared"} == {("", "a"), ("", "z"), ("fake", "good")}
    assert fate["", "noface"] == "no_face"
    assert {p.parent.name for p in (tmp_path / "out").rglob("*.png")} == {"a", "z", "good"}
    assert not list((tmp_path / "out").rglob("*.part"))


def test_detect(raw: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out, page = tmp_path / "o.json", tmp_path / "o.html"
    assert detect.main(["m.xml", str(raw), "--frames", "2", "--json", str(out), "--report", str(page)]) == 1
    assert_each_is_one_line(capfd.readouterr().err, "error: ")
    results = {Path(r["input"]).name: r for r in json.loads(out.read_text())["results"]}
    assert {name for name, r in results.items() if r["error"] is None} == {"a.mp4", "z.mp4", "good.mp4"}
    assert all((r["score"] is None) == (r["error"] is not None) for r in results.values())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.html", "o.json"]


def test_evaluate(raw: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m.json"
    assert evaluate.main(["m.xml", "--data", str(raw), "--frames", "2", "--json", str(out)]) == 1
    assert_each_is_one_line(capfd.readouterr().err, "error: ")
    metrics = json.loads(out.read_text())
    assert (metrics["scored"], metrics["failed"], metrics["no_face"]) == (3, len(REASONS), 1)


def test_nan_landmarks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in" / "real").mkdir(parents=True)
    Image.fromarray(makers.picture()).save(tmp_path / "in" / "real" / "good.png")
    Image.fromarray(makers.triggered(makers.picture())).save(tmp_path / "in" / "real" / "nan.png")
    assert prepare.main([str(tmp_path / "in"), str(tmp_path / "out"), "--workers", "0"]) == 0
    (note,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("note: ")]
    assert "nan.png: 1 faces rejected: frame 0 face 0: " in note
    (row,) = read_manifest(tmp_path / "out").faces
    assert row.video == "good"
    assert np.isfinite(row.landmarks).all()


def test_an_analyzer_that_falls_over_costs_one_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(detect, "default_analyzer", lambda: makers.ColourAnalyzer("raise"))
    Image.fromarray(makers.triggered(makers.picture())).save(tmp_path / "a.png")
    Image.fromarray(makers.picture()).save(tmp_path / "b.png")
    assert detect.main(["m.xml", str(tmp_path / "a.png"), str(tmp_path / "b.png")]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"error: {tmp_path}/a.png: frame 0: unexpected RuntimeError: the analyzer fell over\n"
    assert f"  {tmp_path}/b.png\n    judged on 1 face\n" in captured.out


@pytest.mark.parametrize("name", ["a" * 300 + ".mp4", "missing.mp4"])
def test_names_that_the_system_refuses(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    makers.write_video(tmp_path / "good.mp4", 6)
    assert detect.main(["m.xml", name, str(tmp_path / "good.mp4"), "--frames", "1000000"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {name}: ")
    assert f"  {tmp_path}/good.mp4\n    judged on 6 faces in 6 of 6 frames" in captured.out


def test_a_list_with_names_that_the_system_refuses(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    makers.write_video(tmp_path / "good.mp4", 6)
    (tmp_path / "list.csv").write_text(f"path,label\n{'a' * 300}.mp4,real\ngood.mp4,real\n")
    assert prepare.main([str(tmp_path / "list.csv"), str(tmp_path / "out"), "--workers", "0"]) == 1
    assert "a.mp4: File name too long" in capfd.readouterr().err
    assert {row.video for row in read_manifest(tmp_path / "out").faces} == {"good"}


def test_empty_folders_and_empty_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    empty = str(tmp_path / "empty")
    os.mkdir(empty)
    monkeypatch.chdir(tmp_path)
    for main, arguments, code in (
        (prepare.main, [empty, str(tmp_path / "out")], 1),
        (detect.main, ["m.xml", empty], 1),
        (evaluate.main, ["m.xml", "--data", empty], 1),
        (prepare.main, [empty, ""], 2),
        (prepare.main, ["", "out"], 2),
    ):
        assert main(arguments) == code
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert code == 2 or empty in line
    assert os.listdir(tmp_path) == ["empty"]


def _prepared(root: Path) -> Path:
    (root / "in" / "real").mkdir(parents=True)
    makers.write_video(root / "in" / "real" / "a.mp4", 6)
    makers.write_video(root / "in" / "real" / "b.mp4", 6, seed=3)
    assert prepare.main([str(root / "in"), str(root / "out"), "--workers", "0", "--frames", "2", "--split", "test", "--quiet"]) == 0
    return root / "out"


def test_a_manifest_whose_files_vanished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = _prepared(tmp_path)
    crops = sorted(data.rglob("*.png"))
    crops[0].unlink()
    assert evaluate.main(["m.xml", "--data", str(data), "--json", str(tmp_path / "m.json")]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert str(crops[0]) in line
    assert "no such file" in line
    assert json.loads((tmp_path / "m.json").read_text())["scored"] == 1
    for crop in crops[1:]:
        crop.unlink()
    assert evaluate.main(["m.xml", "--data", str(data)]) == 1
    assert f"error: {data / NAME}: lists 4 crops and none of them is there" in capsys.readouterr().err


@pytest.mark.parametrize("program", ["detect", "evaluate", "prepare"])
def test_a_full_disk(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw" / "real").mkdir(parents=True)
    makers.write_video(tmp_path / "raw" / "real" / "a.mp4", 6)
    out = tmp_path / "out"

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    calls: dict[str, tuple[Callable[[list[str]], int], list[str], str]] = {
        "detect": (detect.main, ["m.xml", str(tmp_path / "raw"), "--json", str(out / "o.json")], "o.json"),
        "evaluate": (evaluate.main, ["m.xml", "--data", str(tmp_path / "raw"), "--report", str(out / "o.html")], "o.html"),
        "prepare": (prepare.main, [str(tmp_path / "raw"), str(out), "--workers", "0", "--quiet"], "prepare.json"),
    }
    main, arguments, name = calls[program]
    assert main(arguments) == 1
    captured: Any = capsys.readouterr()
    assert captured.err.splitlines()[-1] == f"error: {out / name}: cannot be written: No space left on device"
    kept = ["o.json.unfinished.jsonl"] if program == "detect" else []  # what --resume goes on from
    assert [path.name for path in out.iterdir()] == kept
    if program != "prepare":
        assert captured.out.count("\n") > 1  # the verdicts are shown all the same
