"""fpg-detect --verify: a changed byte of the input, of the model, of the record is found."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, empty_image, face_image, lossless_video, save, spec
from schemas import check_output

import fpg.cli.detect as detect
from fpg.common.files import sha256
from fpg.common.spec import EngineSpec, read_spec
from fpg.record.compare import compare_results


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model file with its sidecar, which stand-ins for engine and face finder go by."""
    path = tmp_path / "model" / "m.xml"
    path.parent.mkdir()
    path.write_bytes(b"weights, of a kind")
    own: EngineSpec = spec(backend="openvino", model_file="m.xml", files={"m.xml": sha256(path)})
    own.write(path.with_name("m.spec.json"))

    def load(wanted: Path, **options: Any) -> BrightnessEngine:
        found = read_spec(wanted)
        found.verify(Path(wanted).parent)
        return BrightnessEngine(backend="openvino", model_file=found.model_file, files=dict(found.files))

    monkeypatch.setattr(detect, "load_engine", load)
    monkeypatch.setattr(detect, "default_analyzer", GreenAnalyzer)
    return path


@pytest.fixture
def record(tmp_path: Path, model: Path) -> Path:
    """Of a run over a video, a picture, a picture without a face, a file that is none, and one that is not there."""
    folder = tmp_path / "in"
    lossless_video(folder / "clip.mkv", [face_image(20 * i) for i in range(6)])
    save(folder / "photo.png", face_image(230))
    save(folder / "nobody.png", empty_image())
    (folder / "broken.mp4").write_bytes(b"no video")
    out = tmp_path / "o.json"
    detect.main(
        [str(model), str(folder), str(tmp_path / "gone.mp4"), "--json", str(out), "--jsonl", str(tmp_path / "o.jsonl"), "--frames", "4"]
    )
    return out


def verified(record: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    out = record.with_name("verification.json")
    code = detect.main(["--verify", str(record), "--json", str(out), *map(str, arguments)])
    value = json.loads(out.read_text())
    check_output(value, "verification")
    return code, value


def test_the_same_is_the_same(record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (record, tmp_path / "o.jsonl"):
        code, value = verified(path)
        assert (code, value["same"], value["models"][0]["state"]) == (0, True, "same")
        scores = {Path(r["input"]).name: r["scores"] for r in value["results"]}
        assert scores == {
            "clip.mkv": "same",
            "photo.png": "same",
            "nobody.png": "not_judged",
            "broken.mp4": "not_judged",
            "gone.mp4": "not_judged",
        }
    assert "the same: input, model and scores" in capsys.readouterr().out


def test_a_changed_byte_of_the_input(record: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "in" / "photo.png"
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    code, value = verified(record)
    assert (code, value["same"]) == (1, False)
    assert {Path(r["input"]).name for r in value["results"] if r["file"] == "changed"} == {"photo.png"}


def test_a_changed_byte_of_the_model(record: Path, model: Path) -> None:
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    code, value = verified(record)
    assert (code, value["models"][0]["state"]) == (1, "changed")
    assert "does not match its sidecar" in value["problems"][0]
    own = spec(backend="openvino", model_file="m.xml", files={"m.xml": sha256(model)})
    own.write(model.with_name("m.spec.json"))  # with a sidecar that fits
    code, value = verified(record)
    assert (code, value["models"][0]["state"], value["models"][0]["found"]) == (1, "changed", sha256(model))


def test_a_changed_digit_of_any_score(record: Path, rng: np.random.Generator) -> None:
    before = json.loads(record.read_text())
    clip = next(i for i, r in enumerate(before["results"]) if r["input"].endswith("clip.mkv"))

    def nudged(value: float) -> float:
        return float(np.nextafter(value, 2))

    changes = {
        "score": lambda r: r.update(score=nudged(r["score"])),
        "verdict": lambda r: r.update(verdict="fake"),
        "threshold": lambda r: r.update(threshold=0.6),
        "frames[2].faces[0].score": lambda r: r["frames"][2]["faces"][0].update(score=nudged(r["frames"][2]["faces"][0]["score"])),
        "tracks[0].score": lambda r: r["tracks"][0].update(score=nudged(r["tracks"][0]["score"])),
        "number of frames": lambda r: r["frames"].pop(),
    }
    for where, change in changes.items():
        value = copy.deepcopy(before)
        change(value["results"][clip])
        record.write_text(json.dumps(value))
        code, found = verified(record)
        assert code == 1, where
        assert [r["scores"] for r in found["results"]].count("changed") == 1
        assert where in found["results"][clip]["differences"][0]
    value = copy.deepcopy(before)
    value["results"][clip]["sha256"] = None
    record.write_text(json.dumps(value))
    assert verified(record)[0] == 1


def test_files_that_have_moved_are_found_by_their_bytes(record: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "clip.mkv").rename(tmp_path / "other.mkv")
    code, value = verified(record)
    assert (code, [r["file"] for r in value["results"]].count("missing")) == (1, 1)
    code, value = verified(record, tmp_path / "in", tmp_path / "other.mkv")
    assert code == 0


def test_from_another_machine_a_little_may_differ(record: Path) -> None:
    value = json.loads(record.read_text())
    value["record"]["platform"]["processor"] = "another"
    for result in value["results"]:
        if result["score"] is not None:
            result["score"] += 1e-5
    record.write_text(json.dumps(value))
    code, found = verified(record)
    assert code == 0
    assert {r["scores"] for r in found["results"]} == {"close", "not_judged"}
    assert any("processor" in problem for problem in found["problems"])


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"schema": "fpg.detect/2"}', '{"schema": "fpg.detect/1", "results": []}'])
def test_what_is_no_record_is_one_line(record: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    record.write_text(text)
    assert detect.main(["--verify", str(record)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {record}: is no")


def test_settings_that_mean_nothing_are_one_line(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = json.loads(record.read_text())
    for key, bad in {"frames": -1, "every": "x", "decode": "rm -rf", "threads": [], "threshold": 7, "min_face": None}.items():
        value = copy.deepcopy(before)
        value["record"]["settings"][key] = bad
        record.write_text(json.dumps(value))
        assert detect.main(["--verify", str(record)]) == 1, key
        assert "settings" in capsys.readouterr().err


def test_comparing_looks_at_everything(rng: np.random.Generator) -> None:
    one = {"score": 0.5, "frames": [{"index": 1, "faces": [{"box": [1.0, 2.0], "score": 0.25}]}], "segments": [], "sha256": "a"}
    assert compare_results(one, copy.deepcopy(one), exact=True).state == "same"
    other = {**copy.deepcopy(one), "sha256": "b", "newer": 3}
    assert compare_results(one, other, exact=True).state == "same"
    other["frames"][0]["faces"][0]["box"][0] += 0.5
    assert compare_results(one, other, exact=False).state == "close"
    assert compare_results(one, other, exact=True).differences == ("frames[0].faces[0].box[0]: 1 recorded, 1.5 now",)
    other["segments"] = [{}]
    assert compare_results(one, other, exact=False).state == "changed"


def test_several_models_are_verified_together(record: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "two.json"
    other = model.with_name("n.xml")
    other.write_bytes(b"other weights")
    spec(backend="openvino", model_file="n.xml", files={"n.xml": sha256(other)}).write(model.with_name("n.spec.json"))
    both = ["--model", str(model), "--model", str(other)]
    assert detect.main([*both, str(tmp_path / "in" / "photo.png"), "--json", str(out)]) == 0
    value = json.loads(out.read_text())
    check_output(value)
    assert len(value["models"]) == len(value["record"]["models"]) == 2
    code, found = verified(out)
    assert (code, [m["state"] for m in found["models"]]) == (0, ["same", "same"])
    other.write_bytes(b"changed weights")
    code, found = verified(out)
    assert (code, [m["state"] for m in found["models"]]) == (1, ["same", "changed"])
    assert detect.main(["--verify", str(out), "--model", str(model)]) == 2
