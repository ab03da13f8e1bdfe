"""fpg-eval beyond one set of numbers: everything in a folder, calibration into the sidecar, paired differences, other tools' scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, check_page, face_image, save, spec

import fpg.cli.evaluate as evaluate
from fpg.cli.compare import main as compare_main
from fpg.common.files import sha256
from fpg.common.spec import read_spec, sidecar
from fpg.evaluate.groups import sharpness
from fpg.evaluate.metrics import compute
from fpg.evaluate.protocol import plan, score
from fpg.evaluate.report import write_evaluation_report, write_markdown
from fpg.evaluate.summary import summarise


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: str, **options: Any) -> BrightnessEngine:
        engine = BrightnessEngine()
        if sidecar(path).exists():
            engine.spec = read_spec(path)
        return engine

    monkeypatch.setattr(evaluate, "load_engine", load)
    monkeypatch.setattr(evaluate, "default_analyzer", GreenAnalyzer)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m" / "fake.onnx"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    spec(files={"fake.onnx": sha256(path)}).write(sidecar(path))
    return path


def folder(root: Path, seed: int = 0, count: int = 15, spread: float = 70) -> Path:
    """Images whose brightness overlaps between real and fake."""
    rng = np.random.default_rng(seed)
    for label, middle in (("real", 90), ("fake", 165)):
        for i in range(count):
            red = int(np.clip(rng.normal(middle, spread), 3, 252))
            save(root / label / f"{label[0]}{i:02d}.png", face_image(red))
    return root


def run(*arguments: object) -> int:
    return evaluate.main([str(a) for a in (*arguments, "--resamples", 100)])


def test_a_folder_holds_everything(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(model, "--data", folder(tmp_path / "d"), "--out", out) == 0
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    kinds = {f"plots/{name}.{kind}" for name in ("roc", "pr", "det", "reliability", "scores") for kind in ("svg", "png")}
    assert names == {"metrics.json", "report.html", "report.md"} | kinds
    assert all(cv2.imread(str(p)) is not None for p in out.rglob("*.png"))
    m = json.loads((out / "metrics.json").read_text())
    labels, scores = [v["label"] for v in m["per_video"]], [v["score"] for v in m["per_video"]]
    assert m["auc"] == compute(labels, scores).auc
    assert all(low <= m[name] <= high for name, (low, high) in m["intervals"].items())
    assert m["per_video"][0]["face_size"] == 32
    text = (out / "report.md").read_text()
    assert f"{100 * m['auc']:.1f} %" in text
    assert m["command"] in text
    assert "![plots/roc.svg](plots/roc.svg)" in text
    page = check_page(out / "report.html").text
    for words in ("All metrics", "Fakes found at 1 % false alarms", "Calibration", "Reproduce", "Few videos"):
        assert words in page


def test_calibration_is_stored_and_used(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    val, test = folder(tmp_path / "val", 1, 40), folder(tmp_path / "test", 2)
    before = read_spec(model)
    assert run(model, "--data", val, "--split", "all", "--calibrate", "--fpr", 0.1, "--json", tmp_path / "c.json") == 0
    after = read_spec(model)
    after.verify(model.parent)
    c = json.loads((tmp_path / "c.json").read_text())
    assert after.temperature == c["calibrated"]["temperature"] != 1
    assert after.threshold == c["threshold"] == c["model"]["threshold"] != 0.5
    assert after.provenance["calibration"]["videos"] == 80
    assert after.provenance["calibration"]["data"] == ["val (all)"]  # a name, not a path of this machine
    assert after.provenance["run"] == before.provenance["run"]
    assert c["calibrated"]["log_loss"][1] < c["calibrated"]["log_loss"][0]
    assert c["calibrated"]["auc"][0] == pytest.approx(c["calibrated"]["auc"][1], abs=1e-12)  # one frame per input
    real = [v for v in c["per_video"] if v["label"] == 0]
    assert sum(v["verdict"] == "fake" for v in real) <= 4
    assert "stored: temperature 1 ->" in capsys.readouterr().out
    again = tmp_path / "again.json"  # the stored temperature gives the same scores
    assert run(model, "--data", val, "--split", "all", "--json", again) == 0
    scores = [[v["score"] for v in json.loads(p.read_text())["per_video"]] for p in (tmp_path / "c.json", again)]
    np.testing.assert_allclose(*scores, atol=1e-5)
    assert run(model, "--data", test, "--json", again) == 0
    assert json.loads(again.read_text())["threshold"] == after.threshold


def test_data_that_cannot_calibrate_leave_the_sidecar_alone(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "one" / "real" / "a.png", face_image(20))
    before = sidecar(model).read_bytes()
    assert run(model, "--data", tmp_path / "one", "--split", "all", "--calibrate") == 1
    assert "both present" in capsys.readouterr().err
    assert sidecar(model).read_bytes() == before


def test_against_another_run(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, first = folder(tmp_path / "d"), tmp_path / "first.json"
    assert run(model, "--data", data, "--json", first) == 0
    out = tmp_path / "out"
    assert run(model, "--data", data, "--against", first, "--out", out) == 0
    value = json.loads((out / "metrics.json").read_text())["against"]
    assert value["groups"][0]["rows"][1]["difference_interval"] == [0.0, 0.0]
    assert "no difference that these 30 videos can show" in capsys.readouterr().out
    assert "Against" in check_page(out / "report.html").text
    assert "## Against" in (out / "report.md").read_text()


def test_a_run_on_other_data_does_not_cost_the_numbers(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    assert run(model, "--data", folder(tmp_path / "d"), "--json", first) == 0
    assert run(model, "--data", folder(tmp_path / "e"), "--against", first, "--json", second) == 1
    assert "shares no scored video" in capsys.readouterr().err
    assert json.loads(second.read_text())["auc"] is not None
    assert run(model, "--data", tmp_path / "d", "--against", tmp_path / "gone.json") == 1
    assert "no such run" in capsys.readouterr().err


def ours(model: Path, tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    path = tmp_path / "ours.json"
    assert run(model, "--data", folder(tmp_path / "d"), "--json", path) == 0
    return path, json.loads(path.read_text())["per_video"]


def test_scores_of_another_tool_stand_in_one_table(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, per_video = ours(model, tmp_path)
    lines = [f"{v['source']},{'fake' if v['label'] else 'real'},{1 - v['score']:.6f}" for v in per_video]
    theirs, out = tmp_path / "tool.csv", tmp_path / "tool.json"
    theirs.write_text("Path,label,score\n" + "\n".join(reversed(lines)) + "\n")
    assert run("--scores", theirs, "--against", path, "--json", out, "--report", tmp_path / "r.html") == 0
    value = json.loads(out.read_text())
    own = compute([v["label"] for v in per_video], [v["score"] for v in per_video])
    assert value["auc"] == pytest.approx(1 - (own.auc or 0), abs=1e-4)
    assert {(v["dataset"], v["method"], v["video"]) for v in value["per_video"]} == {
        (v["dataset"], v["method"], v["video"]) for v in per_video
    }
    assert "another tool" in check_page(tmp_path / "r.html").text
    capsys.readouterr()
    assert compare_main([f"ours={path}", f"theirs={out}", "--resamples", "100"]) == 0
    assert "theirs" in capsys.readouterr().out
    assert compare_main([f"ours={path}", str(theirs)]) == 1
    assert f"fpg-eval --scores {theirs} --against" in capsys.readouterr().err


def test_deepfakebench_frames_are_told_by_their_whole_path(tmp_path: Path) -> None:
    home = "FaceForensics++/manipulated_sequences"
    frames = {
        f"{home}/Deepfakes/c23/frames/000_003/{{}}.png": (1, [0.9, 0.7]),
        f"{home}\\Face2Face\\c23\\frames\\000_003\\{{}}.png": (1, [0.2, 0.25]),
        "FaceForensics++/original_sequences/youtube/c23/frames/000/{}.png": (0, [0.1, 0.3, 0.5]),
    }
    rows = [(name.format(f"{10 * i:03d}"), p, label) for name, (label, scores) in frames.items() for i, p in enumerate(scores)]
    path, out = tmp_path / "scores.json", tmp_path / "out.json"
    image, pred, label = (list(column) for column in zip(*rows, strict=True))
    path.write_text(json.dumps({"FaceForensics++": {"image": image, "pred": pred, "label": label}}))
    assert run("--scores", path, "--json", out) == 0
    value = json.loads(out.read_text())
    assert sorted((v["method"], round(v["score"], 6), v["frames"]) for v in value["per_video"]) == [
        ("", 0.3, 3),
        ("Deepfakes", 0.8, 2),
        ("Face2Face", 0.225, 2),
    ]
    assert value["auc"] == 0.5
    assert value["frame_level"]["auc"] == pytest.approx(compute(label, pred).auc)
    assert [g["method"] for g in value["by_method"]] == ["Deepfakes", "Face2Face"]


def test_a_missing_score_is_a_failed_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "s.csv", tmp_path / "o.json"
    path.write_text("video,label,score\na,0,0.1\nb,1,0.9\nc,1,nan\n")
    assert run("--scores", path, "--json", out) == 1
    value = json.loads(out.read_text())
    assert (value["auc"], value["failed"], value["as_released"]["auc"]) == (1, 1, 1)
    assert "c: has no score in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("video,label\na,0\n", "heading: expected video,label,score"),
        ("video,label,score\n", "holds no scores"),
        ("video,label,score\na,2,0.5\n", "line 2: label: expected 0, 1, real or fake, got '2'"),
        ("video,label,score\na,0,3.5\n", "line 2: score: expected a probability"),
        ("video,label,score\na,0,x\n", "line 2: score: expected a probability"),
        ("video,label,score\na,0\n", "line 2: expected 3 cells, got 2"),
        ("video,label,score\n,0,0.5\n", "line 2: names no video"),
        ("video,label,score\na,0,0.5\na,0,0.6\n", "comes twice"),
        ("video,label,score,frame\na,0,0.5,1\na,1,0.6,2\n", "is real on line 2 and fake elsewhere"),
        ("video,label,score,frame\na,0,0.5,x\n", "frame: expected a whole number"),
    ],
)
def test_faulty_scores_are_named(text: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    assert run("--scores", path) == 1
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_pickles_are_refused_with_a_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "metric_dict_best.pickle"
    path.write_bytes(b"cos\nsystem\n(S'touch /tmp/never'\ntR.")
    assert run("--scores", path) == 1
    assert "pickles can run code and are not read" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", '{"pred": [1]}', '{"image": ["a"], "pred": [0.5], "label": []}', '{"per_video": []}'])
def test_faulty_json_scores(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.json"
    path.write_text(content)
    assert run("--scores", path) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_ambiguous_and_contradicting_names(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = tmp_path / "ref.json"
    entry = {"label": 1, "status": "scored", "score": 0.5, "error": None, "frames": 1, "source": ""}
    videos = [entry | {"dataset": "FF++", "method": m, "video": "c23/000_003"} for m in ("Deepfakes", "Face2Face")]
    reference.write_text(json.dumps({"per_video": videos}))
    path = tmp_path / "s.csv"
    path.write_text("video,label,score\n000_003.mp4,1,0.5\n")
    assert run("--scores", path, "--against", reference) == 1
    assert "000_003: fits FF++/Deepfakes/c23/000_003 and FF++/Face2Face" in capsys.readouterr().err
    path.write_text("video,label,score\nFace2Face/c23/videos/000_003.mp4,0,0.5\n")
    assert run("--scores", path, "--against", reference) == 1
    assert "is real in the scores and the reverse here" in capsys.readouterr().err
    path.write_text("video,label,score\nFace2Face/c23/videos/000_003.mp4,1,0.5\nx/Face2Face/c23/000_003,1,0.6\n")
    assert run("--scores", path, "--against", reference) == 1
    assert "fits both" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scores", "s.csv", "--data", "d"],
        ["m.xml", "--scores", "s.csv"],
        ["--scores", "s.csv", "--calibrate"],
        ["m.xml", "--data", "d", "--fpr", "0.1"],
        ["m.xml", "--data", "d", "--calibrate", "--fpr", "1"],
        ["m.xml", "--data", "d", "--calibrate", "--threshold", "0.3"],
        ["m.xml", "--data", "d", "--calibrate", "--robustness", "field"],
        ["m.xml", "--data", "d", "--resamples", "3"],
    ],
)
def test_combinations_that_mean_nothing(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        evaluate.main(arguments)
    assert error.value.code == 2


def test_sharpness_falls_with_blur_and_not_with_size() -> None:
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.random((128, 128, 3), np.float32), (512, 512), interpolation=cv2.INTER_NEAREST)
    planes = image.transpose(2, 0, 1)
    blurred = cv2.GaussianBlur(image, (0, 0), 8).transpose(2, 0, 1)
    assert sharpness(blurred) < 0.1 * sharpness(planes)
    small = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    assert sharpness(small) == pytest.approx(sharpness(planes), rel=0.02)
    assert sharpness(np.full((3, 64, 64), 0.5, np.float32)) == pytest.approx(0, abs=1e-4)


def test_breakdown_in_the_reports(tmp_path: Path) -> None:
    from dataclasses import replace

    chosen = plan([folder(tmp_path / "d")], BrightnessEngine(), GreenAnalyzer)
    results = list(score(chosen.items))
    results = [replace(r, compression="c23" if i % 2 else "raw") for i, r in enumerate(results)]
    m = summarise(results, [], 0.5, 32, resamples=100)
    assert [(g["compression"], g["videos"]) for g in m["by_compression"]] == [("c23", 15), ("raw", 15)]
    assert "compression c23 (15 videos), raw (15 videos)" in m["protocol"]["text"]
    assert sum(g["videos"] for g in m["by_sharpness"]) == 30
    raw = [r for r in results if r.compression == "raw"]
    assert m["by_compression"][1]["auc"] == compute([r.label for r in raw], [r.score or 0 for r in raw]).auc
    model = {"file": "m", "sha256": "0", "backend": "onnx", "backbone": "b", "image_size": 16, "precision": "fp32"}
    model |= {"threshold": 0.5, "temperature": 1.0, "provenance": {}}
    from fpg.evaluate.protocol import WorstFaces

    write_evaluation_report(tmp_path / "r.html", m, results, WorstFaces(), model, "fpg-eval")
    write_markdown(tmp_path / "r.md", m, model, "fpg-eval")
    page = check_page(tmp_path / "r.html").text
    for text in (page, (tmp_path / "r.md").read_text()):
        assert "Compression" in text
        assert "c23" in text


def test_robustness_is_in_every_output(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(model, "--data", folder(tmp_path / "d", count=2), "--robustness", "jpeg", "--quick", "--out", out) == 0
    assert len(json.loads((out / "metrics.json").read_text())["robustness"]["rows"]) == 1
    assert "## Robustness" in (out / "report.md").read_text()
    assert "Robustness" in check_page(out / "report.html").text
    assert (out / "plots" / "robustness.png").stat().st_size > 0
