"""fpg-eval from the command line with stand-ins for the networks: files, exit codes, report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from judging import BrightnessEngine, GreenAnalyzer, check_page, empty_image, face_image, save

import fpg.cli.evaluate as evaluate


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "load_engine", lambda path, **options: BrightnessEngine())
    monkeypatch.setattr(evaluate, "default_analyzer", GreenAnalyzer)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for i, red in enumerate([20, 60, 140]):
        save(tmp_path / "raw" / "real" / f"r{i}.png", face_image(red))
        save(tmp_path / "raw" / "fake" / f"f{i}.png", face_image(red + 100))
    return tmp_path / "raw"


def test_metrics_and_report(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, report = tmp_path / "metrics.json", tmp_path / "report.html"
    assert evaluate.main(["m.xml", "--data", str(raw), "--json", str(out), "--report", str(report)]) == 0
    metrics = json.loads(out.read_text())
    assert {"auc", "ap", "eer", "accuracy", "videos", "failed", "no_face", "protocol", "per_video", "as_released"} <= set(metrics)
    assert metrics["auc"] == pytest.approx(8 / 9)
    assert (metrics["videos"], metrics["failed"], len(metrics["per_video"])) == (6, 0, 6)
    assert metrics["command"].startswith("fpg-eval m.xml --data ")
    assert metrics["model"]["backbone"] == "brightness"
    page = check_page(report)
    assert page.tags.count("svg") == 5
    assert "88.9 %" in page.text
    assert "Worst mistakes" in page.text
    assert metrics["command"] in page.text
    assert "6 videos (3 real, 3 fake)" in page.text
    printed = capsys.readouterr().out
    assert "AUC 88.9 %" in printed
    assert "protocol: per video; 6 videos" in printed


def test_failures_are_named_and_exit_1(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (raw / "real" / "<script>alert(1)<b>.mp4").write_bytes(b"junk")
    save(raw / "fake" / "nobody.png", empty_image())
    out, report = tmp_path / "metrics.json", tmp_path / "report.html"
    assert evaluate.main(["m.xml", "--data", str(raw), "--json", str(out), "--report", str(report)]) == 1
    metrics = json.loads(out.read_text())
    assert (metrics["auc"], metrics["failed"], metrics["no_face"]) == (pytest.approx(8 / 9), 1, 1)
    assert metrics["as_released"]["auc"] != metrics["auc"]
    captured = capsys.readouterr()
    assert "as released" in captured.out
    assert "<script>" in captured.err
    assert "nobody.png: no face found" in captured.err
    text = check_page(report).text
    assert "<script>alert(1)<b>" in text
    assert "Videos without a score" in text


def test_one_class_and_nothing_scored_still_give_a_report(tmp_path: Path) -> None:
    save(tmp_path / "one" / "real" / "a.png", face_image(20))
    save(tmp_path / "none" / "real" / "a.png", empty_image())
    for name, code in [("one", 0), ("none", 1)]:
        out, report = tmp_path / f"{name}.json", tmp_path / f"{name}.html"
        assert evaluate.main(["m.xml", "--data", str(tmp_path / name), "--json", str(out), "--report", str(report)]) == code
        assert json.loads(out.read_text())["auc"] is None
        assert "are undefined" in check_page(report).text


def test_closest_calls_without_mistakes(tmp_path: Path) -> None:
    save(tmp_path / "d" / "real" / "a.png", face_image(20))
    save(tmp_path / "d" / "fake" / "b.png", face_image(220))
    report = tmp_path / "r.html"
    assert evaluate.main(["m.xml", "--data", str(tmp_path / "d"), "--report", str(report)]) == 0
    assert "Closest calls" in check_page(report).text


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "void").mkdir()
    assert evaluate.main(["m.xml", "--data", str(tmp_path / "void"), "--json", str(tmp_path / "o.json")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "o.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["m.xml"], ["m.xml", "--data"], ["m.xml", "--data", "d", "--split", "best"], ["m.xml", "--data", "d", "--frames", "x"]],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        evaluate.main(arguments)
    assert error.value.code == 2


def test_neither_program_needs_torch() -> None:
    code = "import sys, fpg.cli.detect, fpg.cli.evaluate; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
