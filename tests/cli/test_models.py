"""fpg-models, and the programs with models by name: what they print first, what they refuse, where warnings go."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from detectors import lively_detector
from judging import BrightnessEngine, GreenAnalyzer, check_page, face_image, lossless_video, save, spec
from packaged import FACTS, WARNING

import fpg.cli.detect as detect
import fpg.cli.evaluate as evaluate
from fpg.cli import export
from fpg.cli import models as program
from fpg.common.errors import InputError
from fpg.common.models import packaged_size, read_card
from fpg.common.spec import read_spec
from fpg.data.video import read_image
from fpg.export.package import Number, package, read_facts
from fpg.models.detector import DetectorConfig, load_detector, save_detector
from fpg.runtime.judgement import introduce

TINY = DetectorConfig(backbone="test_efficientnet", image_size=64, quality_width=16, attention_width=8)


def test_the_list(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("mine  ") and "apache-2.0" in line for line in lines)
    assert any(line.startswith("starter  ") for line in lines)
    assert all(len(line) <= 80 for line in lines if str(models) not in line and "/weights/" not in line)
    assert program.main(["--json"]) == 0
    value = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    mine = value["mine"]
    assert (mine["licence"], mine["bytes"], mine["problem"]) == ("apache-2.0", packaged_size(models / "mine"), None)
    assert (mine["warnings"], mine["numbers"][0]["metric"]) == ([WARNING], "AUC")
    (models / "mine" / "mine-openvino.bin").write_bytes(b"")
    assert program.main([]) == 1
    assert "cannot be used:" in capsys.readouterr().out


def test_show_and_path(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["show", "mine"]) == 0
    assert capsys.readouterr().out.startswith("# mine\n")
    for options, name in (([], "mine-openvino.xml"), (["--weights"], "mine.safetensors")):
        assert program.main(["path", "mine", *options]) == 0
        assert capsys.readouterr().out == f"{models / 'mine' / name}\n"
    for command in ("show", "path"):
        assert program.main([command, "mime"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: mime: no model of that name (nearest: mine, ")


@pytest.mark.slow
def test_packing_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = tmp_path / "run", tmp_path / "models" / "ours"
    provenance = {"command": ["fpg-train", "/home/somebody"], "seed": 7, "commit": "c0ffee", "counts": {"pairs": 1234}}
    save_detector(
        run / "model.safetensors", lively_detector(TINY), provenance=provenance, threshold=0.6, temperature=1.5, warnings=["beware"]
    )
    texts = ("license", "summary", "recipe", "hours", "machine", "blind_to", "intended_use", "misuse")
    facts = {name: getattr(FACTS, name) for name in texts} | {
        "sources": [{"name": "Somewhere", "licence": "CC0"}],
        "numbers": [{"metric": "AUC", "value": 0.812, "data": "swaps", "low": 0.7, "high": 0.9}],
        "calibration": {"wanted_fpr": 0.05, "real": 60, "data": ["portraits as video"]},
    }
    (tmp_path / "facts.yaml").write_text(yaml.safe_dump(facts))
    assert program.main(["pack", str(run), "--facts", str(tmp_path / "facts.yaml"), "--out", str(out)]) == 0
    assert "openvino: " in capsys.readouterr().err
    ends = ("-openvino.bin", "-openvino.spec.json", "-openvino.xml", ".safetensors", ".spec.json")
    names = ["README.md", "SHA256SUMS", *(f"ours{end}" for end in ends)]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (out / "ours.safetensors").stat().st_size < 0.6 * (run / "model.safetensors").stat().st_size
    assert not any(b"somebody" in path.read_bytes() for path in out.iterdir())
    detector, packed = load_detector(out / "ours.safetensors")
    assert {p.dtype for p in detector.parameters()} == {next(lively_detector(TINY).parameters()).dtype}
    assert (packed.precision, packed.threshold, packed.temperature, packed.warnings) == ("fp16", 0.6, 1.5, ("beware",))
    rate = "set to call at most 5 % of real videos fake (fitted on 60 real videos of portraits as video)"
    for model in ("ours.safetensors", "ours-openvino.xml"):
        assert introduce(read_spec(out / model), "ours")[0] == f"judged by ours (test_efficientnet at 64 px): threshold 0.6, {rate}"
    card = read_card(out)
    assert card is not None
    assert (card.own["seed"], card.own["pairs"], card.own["commit"]) == (7, 1234, "c0ffee")
    assert "- AUC 0.81 [0.70, 0.90] on swaps" in card.text
    (out / "ours-old.bin").write_bytes(b"of an older packing")
    package(run, FACTS, out)
    assert sorted(path.name for path in out.iterdir()) == names


def test_what_cannot_be_packed(tmp_path: Path) -> None:
    wrong = {"[]": "expected keys", "license: mit": "missing", "nonsense: 1": "nonsense", "a: [": "is not a file of facts"}
    for text, reason in wrong.items():
        (tmp_path / "f.yaml").write_text(text)
        with pytest.raises(InputError, match=rf"f\.yaml: .*{reason}"):
            read_facts(tmp_path / "f.yaml")
    model = lively_detector(TINY)
    model.classifier.weight.data.mul_(1e9)
    save_detector(tmp_path / "model.safetensors", model)
    with pytest.raises(InputError, match=r"model\.safetensors: loses too much in 16 bits"):
        package(tmp_path, replace(FACTS, numbers=[Number("AUC", "-", "nothing")]), tmp_path / "out" / "large")
    assert not list((tmp_path / "out").iterdir())


def test_warnings_go_with_the_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    engine = BrightnessEngine(warnings=("demo weights are no detector",))
    for module in (detect, evaluate):
        monkeypatch.setattr(module, "load_engine", lambda path, **options: engine)
        monkeypatch.setattr(module, "default_analyzer", GreenAnalyzer)
    real = lossless_video(tmp_path / "in/real/a.mkv", [face_image(10)] * 4)
    lossless_video(tmp_path / "in/fake/b.mkv", [face_image(240)] * 4)
    out = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv", "html", "mp4")}
    files = ["--json", str(out["json"]), "--csv", str(out["csv"]), "--report", str(out["html"]), "--overlay", str(out["mp4"])]
    assert detect.main(["--model", "m.xml", str(real), *files]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "warning: demo weights are no detector"
    value = json.loads(out["json"].read_text())
    assert value["warnings"] == value["model"]["warnings"] == value["results"][0]["warnings"] == ["demo weights are no detector"]
    assert {row["warnings"] for row in csv.DictReader(out["csv"].open())} == {"demo weights are no detector"}
    assert "demo weights are no detector" in check_page(out["html"]).text
    arguments = ["--model", "m.xml", "--data", str(tmp_path / "in"), "--out", str(tmp_path / "eval"), "--resamples", "100"]
    assert evaluate.main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[1] == "warning: demo weights are no detector"
    assert json.loads((tmp_path / "eval/metrics.json").read_text())["warnings"] == ["demo weights are no detector"]
    assert "demo weights are no detector" in check_page(tmp_path / "eval/report.html").text
    assert "demo weights are no detector" in (tmp_path / "eval/report.md").read_text()


def test_a_warning_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "default_analyzer", GreenAnalyzer)
    image = save(tmp_path / "a.png", cv2.copyMakeBorder(face_image(90), 60, 60, 60, 200, cv2.BORDER_CONSTANT, value=(90, 90, 90)))
    drawn = []
    for number, warnings in enumerate([(), ("demo weights are no detector",)]):
        engine = BrightnessEngine(warnings=warnings)
        monkeypatch.setattr(detect, "load_engine", lambda path, engine=engine, **options: engine)
        assert detect.main(["--model", "m.xml", str(image), "--overlay", str(tmp_path / f"{number}.png")]) == 0
        drawn.append(read_image(tmp_path / f"{number}.png"))
    rows = np.nonzero(np.abs(drawn[0].astype(int) - drawn[1]).sum((1, 2)))[0]
    assert len(rows) > 8
    assert rows.max() < len(drawn[0]) // 2


def test_both_ways_to_name_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def load(path: Path, **options: object) -> BrightnessEngine:
        asked.append(str(path))
        return BrightnessEngine()

    monkeypatch.setattr(detect, "load_engine", load)
    monkeypatch.setattr(detect, "default_analyzer", GreenAnalyzer)
    image = str(save(tmp_path / "a.png", face_image(90)))
    assert detect.main(["m.xml", image]) == detect.main([image, "--model", "m.xml"]) == 0
    assert asked == ["m.xml", "m.xml"]
    assert detect.main(["--model", "m.xml", "n.onnx", image]) == 1
    assert "error: n.onnx: " in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        evaluate.main(["m.xml", "--model", "n.xml", "--data", str(tmp_path)])
    assert ended.value.code == export.main(["m.xml", "--model", "n.xml", "--to", "onnx"]) == 2
    assert capsys.readouterr().err.count("--model: the model is named twice, n.xml and m.xml") == 2


def test_what_is_refused(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = str(save(tmp_path / "a.png", face_image(90)))
    commands = (
        (detect.main, [image, "--json", str(tmp_path / "o.json")]),
        (evaluate.main, ["--data", str(tmp_path), "--json", str(tmp_path / "o.json")]),
        (export.main, ["--to", "openvino", "-o", str(tmp_path / "engines")]),
    )
    for main, arguments in commands:
        assert main([*arguments, "--model", "mime"]) == (1 if main is export.main else 2)  # nothing can be judged
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: mime: no model of that name (nearest: mine, ")
    assert evaluate.main(["--data", str(tmp_path), "--model", "mine", "--calibrate"]) == 2
    assert "--calibrate: would change mine" in capsys.readouterr().err
    assert not (tmp_path / "o.json").exists()
    assert not (tmp_path / "engines").exists()


def test_a_packaged_model_is_exported(models: Path, tmp_path: Path) -> None:
    assert export.main(["--model", "mine", "--to", "openvino", "-o", str(tmp_path / "engines")]) == 0
    exported = read_spec(tmp_path / "engines/mine-openvino-fp32.xml")
    assert exported.warnings == (WARNING,)
    assert exported.provenance["exported_from"]["file"] == "mine.safetensors"


def test_the_stated_rate() -> None:
    rate = {"wanted_fpr": 0.015, "real": None, "data": []}
    assert spec(provenance={"calibration": rate}).stated_rate == "set to call at most 1.5 % of real videos fake (fitted on validation data)"
    for other in (None, 3, {}, {"wanted_fpr": None}):
        assert spec(provenance={"calibration": other}).stated_rate is None
    assert introduce(spec(), "m", 0.25)[0] == "judged by m (brightness at 16 px): threshold 0.25, as given"


CODE = """
import sys
from fpg.cli.detect import main
code = main(sys.argv[1:])
assert "torch" not in sys.modules
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss knows the parent's, too
print(int(peak) // 1024)
sys.exit(code)
"""


@pytest.mark.slow
def test_a_clip_is_judged_without_torch_and_in_little_memory(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("fpg.faces").default_analyzer()
    shutil.copytree(models / "mine", models / "starter")
    video = lossless_video(tmp_path / "clip.mkv", [face_image(40 * i, height=480, width=640) for i in range(6)])
    done = subprocess.run([sys.executable, "-c", CODE, str(video)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("judged by starter (test_efficientnet at 64 px): threshold "), done.stderr
    assert done.returncode == 1, "a square is no face"
    assert int(lines[-1]) < 500
