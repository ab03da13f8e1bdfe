"""Export to every target: the same answers as torch in any batch, and nothing left behind when that fails."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from detectors import lively_detector

from fpg.cli.export import main
from fpg.common.errors import InputError, UsageError
from fpg.common.spec import read_spec, sidecar
from fpg.data.manifest import REAL, FaceRow, VideoRecord, write_manifest
from fpg.engines import fake_probability, load_engine, reference_difference
from fpg.export import exporter, parity
from fpg.export.exporter import Exported, export_detector
from fpg.models.detector import Detector, DetectorConfig, save_detector

SIZE = 96
CONFIG = DetectorConfig(backbone="test_efficientnet", image_size=SIZE, quality_width=16, attention_width=8)
VARIANTS = [("onnx", "fp32"), ("onnx", "fp16"), ("openvino", "fp32"), ("openvino", "fp16")]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    save_detector(path, lively_detector(CONFIG), provenance={"run": "a"}, threshold=0.45)
    return path


class Exports(dict[tuple[str, str], Exported]):
    """Every variant, exported when a test first asks for it."""

    def __init__(self, checkpoint: Path, out: Path) -> None:
        super().__init__()
        self.checkpoint, self.out = checkpoint, out

    def __missing__(self, variant: tuple[str, str]) -> Exported:
        self[variant] = export_detector(self.checkpoint, variant[0], self.out, precision=variant[1])
        return self[variant]


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(checkpoint, tmp_path_factory.mktemp("engines"))


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_engine_answers_as_torch(exported: Exports, checkpoint: Path, variant: tuple[str, str]) -> None:
    result = exported[variant]
    engine = load_engine(result.path, device="cpu", threads=1)
    reference = load_engine(checkpoint, device="cpu")
    tolerance = 1e-3 if variant[1] == "fp16" else 1e-5
    for count in (1, 2, 5):
        images = np.random.default_rng(count).random((count, 3, SIZE, SIZE), dtype=np.float32)
        actual, expected = engine(images), reference(images)
        assert actual.logits.dtype == actual.activation_map.dtype == np.float32
        np.testing.assert_allclose(fake_probability(actual.logits), fake_probability(expected.logits), atol=tolerance)
        scale = np.abs(expected.activation_map).max()
        np.testing.assert_allclose(actual.activation_map / scale, expected.activation_map / scale, atol=10 * tolerance)
    assert engine(np.zeros((0, 3, SIZE, SIZE), np.float32)).logits.shape == (0, 2)
    with pytest.raises(ValueError, match=r"expected float32 \[B, 3, 96, 96\]"):
        engine(np.zeros((1, 3, 64, 64), np.float32))
    assert reference_difference(engine) < 1e-3


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_sidecar(exported: Exports, variant: tuple[str, str]) -> None:
    result = exported[variant]
    spec = read_spec(result.path)
    assert spec == result.spec
    assert (spec.backend, spec.precision, spec.threshold, spec.map_size) == (*variant, 0.45, (3, 3))
    assert spec.provenance["run"] == "a"
    assert spec.provenance["exported_from"]["file"] == "model.safetensors"
    assert spec.provenance["parity"]["probability"] <= 1e-3
    suffixes = {Path(name).suffix for name in spec.files}
    assert suffixes == ({".onnx"} if variant[0] == "onnx" else {".xml", ".bin"})
    names = {path.name for path in result.path.parent.glob(result.path.stem + ".*")}
    assert names == {*spec.files, sidecar(result.path).name}


def test_the_file_names_no_folder_of_this_machine(exported: Exports) -> None:
    for to in ("onnx", "openvino"):
        data = exported[to, "fp32"].path.read_bytes()
        assert b"site-packages" not in data
        assert str(Path(exporter.__file__).parents[1]).encode() not in data


def test_half_precision_is_smaller(exported: Exports) -> None:
    for to, suffix in (("onnx", ".onnx"), ("openvino", ".bin")):
        full, half = (exported[to, p].path.with_suffix(suffix).stat().st_size for p in ("fp32", "fp16"))
        assert 0.4 < half / full < 0.6


def test_openvino_weights_that_were_changed_are_refused(exported: Exports, tmp_path: Path) -> None:
    source = exported["openvino", "fp32"].path
    for path in source.parent.glob(source.stem + ".*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / (source.stem + ".bin")
    data = bytearray(weights.read_bytes())
    data[100] ^= 255
    weights.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"\.bin: does not match its sidecar"):
        load_engine(tmp_path / source.name)
    spec = json.loads(sidecar(source).read_text())
    del spec["files"][weights.name]
    sidecar(tmp_path / source.name).write_text(json.dumps(spec))
    with pytest.raises(InputError, match=r"its sidecar has no hash of .*\.bin"):
        load_engine(tmp_path / source.name)


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_a_file_that_its_sidecar_misdescribes(exported: Exports, tmp_path: Path, to: str) -> None:
    """Hashes that fit say nothing about sense: another image size, and bytes that are no network at all."""
    source = exported[to, "fp32"]
    for name in source.spec.files:
        (tmp_path / name).write_bytes((source.path.parent / name).read_bytes())
    path = tmp_path / source.path.name
    dataclasses.replace(source.spec, image_size=128).write(sidecar(path))
    with pytest.raises(InputError, match="its sidecar says side 128"):
        load_engine(path)
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match="cannot load it"):
        load_engine(path, verify=False)


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_failed_parity_leaves_nothing(
    exported: Exports, tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The network that is written is not that of the checkpoint: its classifier differs a little."""
    model = lively_detector(CONFIG)
    with torch.no_grad():
        model.classifier.bias[1] += 0.05
    save_detector(tmp_path / "other.safetensors", model)
    source = exported[to, "fp32"]

    def write(detector: Detector, path: Path, *how: object) -> None:
        for name in source.spec.files:
            path.with_suffix(Path(name).suffix).write_bytes((source.path.parent / name).read_bytes())

    monkeypatch.setattr(exporter.target(to, "fp32"), "write", write)
    assert main([str(tmp_path / "other.safetensors"), "--to", to, "-o", str(tmp_path / "new" / "folder")]) == 1
    error = capsys.readouterr().err
    assert error.splitlines()[-1].endswith(f"export to {to} fp32 does not match torch's output; nothing was written")
    assert "probability of fake, largest difference" in " ".join(error.split())
    assert not (tmp_path / "new").exists()


def test_a_converter_that_refuses_leaves_nothing(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = exporter.target("openvino", "fp32")

    def broken(detector: Detector, path: Path, *how: object) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("no conversion\nfor this")

    monkeypatch.setattr(module, "write", broken)
    (tmp_path / "kept.txt").write_text("x")
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be exported to openvino: no conversion for this"):
        export_detector(checkpoint, "openvino", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_folder_that_cannot_be_written(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file: cannot be written"):
        export_detector(checkpoint, "openvino", tmp_path / "file")


def test_a_name_that_would_take_another_models_sidecar(checkpoint: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.spec\.json in .* belongs to model\.safetensors"):
        export_detector(checkpoint, "onnx", checkpoint.parent, name="model")
    with pytest.raises(UsageError, match="plain file name"):
        export_detector(checkpoint, "onnx", checkpoint.parent, name="../model")


def test_check_on_prepared_crops(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line: crops of a manifest, the table, the sidecar's account; a crop that vanished fails by name."""
    rows, rng = [], np.random.default_rng(0)
    for i in range(5):
        path = f"crops/{i}.png"
        (tmp_path / "data/crops").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "data" / path), rng.integers(0, 256, (90, 80, 3), dtype=np.uint8))
        box, points = np.array([20, 20, 60, 70], np.float32), np.zeros((81, 2), np.float32)
        rows.append(FaceRow("d", "", "v", i, 0.0, 0, REAL, "test", path, (0, 0), (90, 80), (90, 80), box, points, 0.9))
    write_manifest(tmp_path / "data", rows, [VideoRecord("d", "", "v", REAL, "test", "v.mp4", "prepared")])
    command = [str(checkpoint), "--to", "openvino", "-o", str(tmp_path / "out"), "--check", str(tmp_path / "data"), "--images", "3"]
    assert main(command) == 0
    shown = capsys.readouterr().err
    assert "probability of fake" in shown
    assert "crops of data" in shown
    spec = read_spec(tmp_path / "out" / "model-openvino-fp32.xml")
    assert (spec.provenance["parity"]["images"], spec.provenance["parity"]["source"]) == (3, "crops of data")

    (tmp_path / "data/crops/4.png").unlink()
    assert main([*command, "--name", "again"]) == 1
    assert "4.png" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*again*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "coreml"], "--to: expected one of onnx, openvino, tensorrt, tensorrt-rtx"),
        (["--to", "onnx", "--batch", "1,8"], "--to onnx has none of them"),
        (["--to", "tensorrt-rtx", "--batch", "8,1"], "--batch: expected rising numbers >= 1, got 8,1"),
        (["--to", "tensorrt-rtx", "--version-compatible"], "TensorRT for RTX has none of them"),
        (["--to", "tensorrt-rtx", "--precision", "int4"], "--precision: tensorrt-rtx has fp32, fp16, bf16, int8, fp8"),
        (["--to", "onnx", "--verify", "x"], "--verify: takes a model that was exported"),
        ([], "--to is required"),
        (["--to", "onnx", "--precision", "int3"], "--precision: onnx has fp32, fp16"),
        (["--to", "onnx", "--images", "0"], "--images, --calibration-images: expected at least 1, got 0"),
    ],
)
def test_wrong_usage(checkpoint: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(checkpoint), "-o", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_checkpoints_that_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bare.safetensors").write_bytes(b"")
    for name in ("bare.safetensors", "absent.safetensors"):
        assert main([str(tmp_path / name), "--to", "openvino", "-o", str(tmp_path / "out")]) == 1
        assert name in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_random_images_are_images() -> None:
    images = parity.random_images(33, 6, seed=2)
    assert images.shape == (6, 3, 33, 33)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    steps = np.abs(np.diff(images, axis=3)).mean((1, 2, 3))
    assert (steps[1::2] < 0.1).all()
    assert (steps[::2] > 0.2).all()


def test_comparison_sees_nan_and_frozen_batches(checkpoint: Path) -> None:
    reference = load_engine(checkpoint, device="cpu")
    images = parity.random_images(SIZE, 8)
    seen: list[int] = []

    class Broken:
        spec, device = reference.spec, "cpu"

        def __call__(self, images: np.ndarray) -> Any:
            seen.append(len(images))
            output = reference(images)
            if len(images) == 5:
                output.logits[3, 1] = np.nan
            return output

    outcome = parity.compare_outputs(reference, Broken(), images, "random images")
    assert seen == [1, 2, 5]
    assert np.isnan(outcome.probability)
    assert not outcome.passed
    assert parity.compare_outputs(reference, reference, images, "random images").passed


def test_comparison_of_labelled_images_has_the_auc_of_both(checkpoint: Path) -> None:
    reference = load_engine(checkpoint, device="cpu")
    images = parity.random_images(SIZE, 8)
    scores = fake_probability(reference(images).logits)
    labels = (scores > np.median(scores)).astype(int)

    class Swapped:
        spec, device = reference.spec, "cpu"

        def __call__(self, images: np.ndarray) -> Any:
            output = reference(images)
            return output._replace(logits=output.logits[:, ::-1])

    assert parity.compare_outputs(reference, reference, images, "random images", labels=labels).auc == (1.0, 1.0)
    assert parity.compare_outputs(reference, Swapped(), images, "random images", labels=labels).auc == (1.0, 0.0)
    assert parity.compare_outputs(reference, reference, images, "random images", labels=np.zeros(8, int)).auc is None


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_other_backbones(backbone: str, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, backbone=backbone)
    save_detector(tmp_path / "model.safetensors", lively_detector(config))
    for to in ("onnx", "openvino"):
        result = export_detector(tmp_path / "model.safetensors", to, tmp_path)
        assert result.parity.probability < 1e-4
        assert result.parity.activation_map < 1e-4


def test_the_exported_map_explains_the_logit(exported: Exports, checkpoint: Path) -> None:
    model = lively_detector(CONFIG)
    images = parity.random_images(SIZE, 3)
    output = load_engine(exported["openvino", "fp32"].path)(images)
    bias = model.classifier.bias[1].item()
    np.testing.assert_allclose(output.activation_map.mean((1, 2)) + bias, output.logits[:, 1], rtol=1e-4, atol=1e-4)
