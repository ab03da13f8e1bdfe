"""Models and data that cannot be used, through the programs: one line that names file and reason, exit code 1, nothing left behind."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import makers
import pytest
import torch

import fpg.cli.detect as detect
import fpg.cli.evaluate as evaluate
import fpg.cli.export as export
import fpg.cli.prepare as prepare
import fpg.cli.train as train
import fpg.data.prepare
from fpg.common.files import sha256
from fpg.models.config import DetectorConfig
from fpg.models.detector import build_detector, save_detector

TRAIN = ["--model.backbone", "test_efficientnet", "--model.image_size", "64", "--batch", "4", "--epochs", "1", "--workers", "0"]
TRAIN += ["--threads", "1", "--device", "cpu", "--pictures", "0"]


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("code_ran",)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "m.safetensors"
    torch.manual_seed(0)
    save_detector(path, build_detector(DetectorConfig(backbone="test_efficientnet", image_size=64, quality_width=16, attention_width=8)))
    return path


@pytest.fixture
def model(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one's own, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for path in good.parent.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / good.name


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    defaults = {**(fpg.data.prepare.prepare.__kwdefaults__ or {}), "analyzer": makers.ColourAnalyzer}
    monkeypatch.setattr(fpg.data.prepare.prepare, "__kwdefaults__", defaults)
    (tmp_path / "videos" / "train" / "real").mkdir(parents=True)
    makers.write_video(tmp_path / "videos" / "train" / "real" / "a.mp4", 6)
    assert prepare.main([str(tmp_path / "videos"), str(tmp_path / "data"), "--workers", "0", "--frames", "4", "--quiet"]) == 0
    return tmp_path / "data"


def change(model: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """Edit the sidecar, and let it vouch for the file as it is."""
    path = model.with_name("m.spec.json")
    spec = json.loads(path.read_text())
    spec["files"] = {model.name: sha256(model)}
    edit(spec)
    path.write_text(json.dumps(spec))
    return path


def assert_every_reader_refuses(model: Path, named: Path, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    for main, arguments, code in (
        (detect.main, [str(model), "a.mp4", "--json", "out/o.json"], 2),  # nothing can be judged
        (evaluate.main, [str(model), "--data", "videos", "--json", "out/o.json"], 2),
        (export.main, [str(model), "--to", "onnx", "-o", "out"], 1),  # the model is the input
    ):
        assert main(arguments) == code
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {named}: ")
        assert reason in line
        assert not Path("out").exists()


def test_a_pickle_with_code(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model.write_bytes(pickle.dumps(Payload()))
    change(model, lambda spec: None)
    assert_every_reader_refuses(model, model, "is not a readable checkpoint", capsys)
    assert not Path("code_ran").exists()


def test_a_changed_and_a_truncated_file(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    makers.truncate(model)
    assert_every_reader_refuses(model, model, "does not match its sidecar", capsys)
    change(model, lambda spec: None)
    assert_every_reader_refuses(model, model, "is not a readable checkpoint", capsys)


def test_a_checkpoint_of_another_backbone(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(model, lambda spec: spec["detector"].update(backbone="resnet18"))
    assert_every_reader_refuses(model, model, "does not fit a detector on resnet18 (fpg heads): ", capsys)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("detector", []),
        ("files", None),
        ("files", {"m.safetensors": 5}),
        ("files", {"../m.safetensors": "0"}),
        ("model_file", 5),
        ("image_size", 10**9),
        ("image_size", "64"),
        ("map_size", [1]),
        ("batch", [4, 2, 1]),
        ("precision", []),
        ("provenance", "x"),
        ("provenance", {"loss": float("nan")}),
        ("reference", 5),
        ("temperature", 0),
        ("threshold", None),
    ],
)
def test_sidecars_that_were_tampered_with(model: Path, field: str, value: object, capsys: pytest.CaptureFixture[str]) -> None:
    path = change(model, lambda spec: spec.update({field: value}))
    said = "is not a readable sidecar: NaN is not JSON" if "nan" in str(value) else f"{field}: expected "
    assert_every_reader_refuses(model, path, said, capsys)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"backbone": 5}, "backbone: expected a name"),
        ({"backbone": "no_such_net"}, "backbone: expected a timm model name"),
        ({"attention_width": 10**10}, "detector: cannot be built"),
        ({"image_size": 96}, "image_size: 64, its detector takes 96"),
        ({"image_size": 10**8}, "image_size: expected at most 4096"),
        ({"more": 1}, "unknown fields more"),
    ],
)
def test_detectors_that_cannot_be_built(model: Path, changes: dict[str, object], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = change(model, lambda spec: spec["detector"].update(changes))
    assert_every_reader_refuses(model, path, reason, capsys)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "\udcff"], ids=["empty", "cut", "list", "null", "deep", "bytes"])
def test_sidecars_that_are_no_json(model: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = model.with_name("m.spec.json")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert_every_reader_refuses(model, path, "sidecar" if text[:1] not in ("n", "[") or len(text) > 9 else "schema", capsys)


@pytest.mark.slow
def test_training_refuses_code_and_data_that_are_gone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Payload()))
    (tmp_path / "empty").mkdir()
    crop = sorted(data.rglob("*.png"))[0]
    cases = [
        (["--data", str(data), "--model.pretrained", "evil.pth"], "evil.pth"),
        (["--data", str(data), "--model.pretrained", "false", "--quality", "evil.pth"], "evil.pth"),
        (["--data", "empty"], "empty"),
        (["--data", str(data), "--model.pretrained", "false"], crop.name),
    ]
    for number, (arguments, named) in enumerate(cases):
        if named == crop.name:
            crop.unlink()
        capsys.readouterr()
        assert train.main([*arguments, "--out", f"run{number}", *TRAIN]) == 1
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert named in line
        assert not (tmp_path / f"run{number}").exists()
    assert not (tmp_path / "code_ran").exists()
