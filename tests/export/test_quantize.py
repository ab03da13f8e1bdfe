"""Eight bits and bfloat16: calibration on crops, the gate, what the sidecar says of it."""

from __future__ import annotations

import dataclasses
import platform
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from detectors import lively_detector

from fpg.cli.export import main
from fpg.common.errors import InputError
from fpg.common.spec import read_spec
from fpg.data.manifest import FAKE, REAL, FaceRow, VideoRecord, write_manifest
from fpg.engines import fake_probability, load_engine
from fpg.export import exporter, parity, quantize
from fpg.export.exporter import ExportRefused, export_detector, verify_engine
from fpg.export.quantize import STEPS, CalibrationSet
from fpg.export.targets import BuildOptions
from fpg.models.config import DetectorConfig
from fpg.models.detector import save_detector

SIZE = 64
CONFIG = DetectorConfig(backbone="tf_efficientnet_lite0", image_size=SIZE, quality_width=16, attention_width=16)


OVERFLOWS = platform.machine() == "x86_64" and not {"avx512_vnni", "avx_vnni"} & set(Path("/proc/cpuinfo").read_text("utf-8").split())
"""Whether sums of 8-bit products overflow on this CPU, so that the gate refuses what passes on others."""


def exported(folder: Path, *command: str) -> bool:
    """Whether fpg-export wrote something; where 8 bits overflow it must not."""
    assert main([*command, "-o", str(folder)]) == int(OVERFLOWS)
    assert any(folder.iterdir()) is not OVERFLOWS
    return not OVERFLOWS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty crops with labels: smooth, so that ranges measured on some hold for the others."""
    root = tmp_path_factory.mktemp("prepared") / "data"
    (root / "crops").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows, videos = [], []
    for i in range(60):
        image = cv2.resize(rng.integers(0, 256, (5, 5, 3), np.uint8), (80, 90), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / f"crops/{i}.png"), image)
        box, points, label = np.array([20, 20, 60, 70], np.float32), np.zeros((81, 2), np.float32), (REAL, FAKE)[i % 3 == 0]
        size = (90, 80)
        rows.append(FaceRow("d", "", f"v{i}", 0, 0.0, 0, label, "test", f"crops/{i}.png", (0, 0), size, size, box, points, 0.9))
        videos.append(VideoRecord("d", "", f"v{i}", label, "test", f"v{i}.mp4", "prepared"))
    write_manifest(root, rows, videos)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    model = lively_detector(CONFIG)
    with torch.no_grad():
        model.classifier.weight.mul_(0.3)  # noise gets in the way of no one
    save_detector(path, model)
    return path


@pytest.mark.slow
def test_openvino_int8_from_the_command_line(checkpoint: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(checkpoint), "--to", "openvino", "--precision", "int8", "--calibrate", str(data), "--calibration-images", "25"]
    written = exported(tmp_path, *command)
    shown = " ".join(capsys.readouterr().err.split())
    assert "35 crops of data that were not used for calibration" in shown
    assert "images within 0.05 of it" in shown
    assert "AUC, torch and export" in shown
    if not written:
        return
    path = tmp_path / "model-openvino-int8.xml"
    spec = read_spec(path)
    assert spec.precision == "int8"
    assert (spec.provenance["calibration"]["source"], spec.provenance["calibration"]["images"]) == ("data", 25)
    assert len(spec.provenance["calibration"]["sha256"]) == 64
    assert spec.provenance["calibration"]["quantised"] in STEPS
    found = spec.provenance["parity"]
    assert found["share"] >= 0.95
    assert len(found["auc"]) == 2
    difference, tolerance = verify_engine(path)  # against what the engine itself answered
    assert difference < 1e-4
    assert tolerance == 0.05
    weights = (tmp_path / "model-openvino-int8.bin").stat().st_size
    assert weights < 0.45 * checkpoint.stat().st_size
    images = parity.random_images(SIZE, 4)
    apart = np.abs(fake_probability(load_engine(path)(images).logits) - fake_probability(load_engine(checkpoint)(images).logits))
    assert 0 < apart.max() < 0.3


@pytest.mark.slow
def test_onnx_int8_has_its_quantisation_in_the_graph(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    if not exported(tmp_path, str(checkpoint), "--to", "onnx", "--precision", "int8", "--calibrate", str(data), "--images", "20"):
        return
    graph = onnx.load(tmp_path / "model-onnx-int8.onnx").graph
    operations = [node.op_type for node in graph.node]
    assert operations.count("QuantizeLinear") > 20
    first = next(node for node in graph.node if node.op_type == "Conv")
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    assert made_by.get(first.input[0]) != "DequantizeLinear"  # it stays as it is


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_tensorrt_engines_from_the_command_line_without_a_gpu(checkpoint: Path, data: Path, tmp_path: Path, precision: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    command = [str(checkpoint), "--to", "tensorrt-rtx", "--precision", precision, "--batch", "1,4"]
    if precision == "bf16":
        assert main([*command, "-o", str(tmp_path)]) == 0
    elif not exported(tmp_path, *command, "--calibrate", str(data), "--images", "20"):
        return
    spec = read_spec(tmp_path / f"model-tensorrt-rtx-{precision}.engine")
    assert spec.precision == precision
    assert spec.reference is None or spec.reference["tolerance"] == 0.05
    said = spec.provenance["parity"]
    assert (said["onnx"] if "not_run" in said else said)["share"] >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "int8", "fp8"])
def test_tensorrt_engines_are_built_and_judged_without_a_gpu(tmp_path: Path, precision: str) -> None:
    """FP8 keeps three bits of a mantissa: a detector that is hardly ever sure, so that it passes."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    detector = lively_detector(CONFIG)
    with torch.no_grad():
        detector.classifier.weight.mul_(0.1)
        detector.classifier.bias.mul_(0.1)
    save_detector(tmp_path / "model.safetensors", detector)
    calibration = None if precision == "bf16" else CalibrationSet(crops(6, 1), "noise", "0" * 64)
    options = BuildOptions((1, 4))
    done = export_detector(
        tmp_path / "model.safetensors",
        "tensorrt-rtx",
        tmp_path,
        precision=precision,
        images=crops(8, 2),
        calibration=calibration,
        options=options,
    )
    types = {t.data_type for t in onnx.load(done.path.with_suffix(".onnx")).graph.initializer}
    expected = {"bf16": onnx.TensorProto.BFLOAT16, "int8": onnx.TensorProto.INT8, "fp8": onnx.TensorProto.FLOAT8E4M3FN}[precision]
    assert expected in types
    assert done.parity.passed
    assert 0 < done.parity.probability < 0.2
    said = done.spec.provenance["parity"]
    assert (said["onnx"] if done.unproven else said)["share"] == done.parity.share
    assert done.spec.precision == precision
    assert done.spec.reference is not None
    assert done.spec.reference["tolerance"] == 0.05


@pytest.mark.slow
def test_fp8_is_refused_without_a_gpu_where_three_bits_are_too_few(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    save_detector(tmp_path / "model.safetensors", lively_detector(CONFIG))
    options: dict[str, Any] = {"images": crops(8, 2), "calibration": CalibrationSet(crops(6, 1), "noise", "0" * 64)}
    with pytest.raises(ExportRefused, match="export to tensorrt-rtx fp8 does not match torch's output") as caught:
        export_detector(tmp_path / "model.safetensors", "tensorrt-rtx", tmp_path, precision="fp8", **options)
    assert [what for what, _ in caught.value.tried] == [STEPS[1]]
    assert not (tmp_path / "model-tensorrt-rtx-fp8.engine").exists()


def crops(count: int, seed: int) -> np.ndarray:
    return parity.random_images(SIZE, count, seed=seed)


@pytest.mark.slow
def test_steps_go_on_until_one_passes_and_a_refusal_tells_of_all(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calibration = CalibrationSet(crops(6, 1), "noise", "0" * 64)
    asked: list[int] = []
    quantised = quantize.openvino_int8

    def second_is_good(model: object, images: np.ndarray, step: int) -> object:
        asked.append(step)
        return quantised(model, images, step)

    compare = exporter.compare_outputs

    def not_the_first(*arguments: object) -> parity.Parity:
        found = compare(*arguments)  # type: ignore[arg-type]
        return dataclasses.replace(found, share=1.0 if asked == [0, 1] else 0.5, activation_map=0.0)

    monkeypatch.setattr("fpg.export.openvino.openvino_int8", second_is_good)
    monkeypatch.setattr(exporter, "compare_outputs", not_the_first)
    done = export_detector(checkpoint, "openvino", tmp_path, precision="int8", images=crops(8, 1), calibration=calibration)
    assert asked == [0, 1]
    assert done.spec.provenance["calibration"]["quantised"] == STEPS[1]

    with pytest.raises(ExportRefused) as refused:
        export_detector(checkpoint, "openvino", tmp_path / "none", precision="int8", images=crops(8, 1), calibration=calibration)
    assert [what for what, _ in refused.value.tried] == list(STEPS)
    assert not (tmp_path / "none").exists()


def test_a_loss_of_auc_is_refused() -> None:
    base = parity.Parity(10, "crops", 0.01, 0.01, 1.0, parity.TOLERANCES["int8"])
    assert base.passed
    assert dataclasses.replace(base, auc=(0.9, 0.895)).passed
    assert not dataclasses.replace(base, auc=(0.9, 0.88)).passed
    assert not dataclasses.replace(base, share=0.94).passed
    assert not dataclasses.replace(base, activation_map=float("nan")).passed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "int8"], "--calibrate: needed for --precision int8"),
        (["--precision", "fp16", "--calibrate", "DATA"], "--calibrate: is for int8 and fp8, not for --precision fp16"),
        (["--precision", "int8", "--calibrate", "DATA", "--calibration-images", "0"], "expected at least 1"),
        (["--precision", "bf16"], "--precision: openvino has fp32, fp16, int8, got bf16"),
    ],
)
def test_wrong_usage(
    checkpoint: Path, data: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(data) if option == "DATA" else option for option in options]
    assert main([str(checkpoint), "--to", "openvino", "-o", str(tmp_path / "out"), *given]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_calibration_on_what_is_not_there(checkpoint: Path, tmp_path: Path) -> None:
    assert main([str(checkpoint), "--to", "onnx", "--precision", "int8", "--calibrate", str(tmp_path), "-o", str(tmp_path / "o")]) == 1
    with pytest.raises(InputError):
        exporter.export_detector(tmp_path / "no.safetensors", "onnx", tmp_path / "o")
