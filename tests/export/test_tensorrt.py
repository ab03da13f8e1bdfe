"""Engines of TensorRT for RTX, built where there is no GPU; what a machine without a GPU says; the same answers where there is one."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectors import lively_detector

from fpg.cli.export import main
from fpg.common.errors import InputError, MissingDependencyError
from fpg.common.spec import read_spec, sidecar
from fpg.engines import cuda, fake_probability, load_engine
from fpg.engines import tensorrt as engine_module
from fpg.engines.tensorrt import TensorRtEngine
from fpg.export import exporter
from fpg.export import tensorrt as target
from fpg.export.targets import BuildOptions
from fpg.models.detector import DetectorConfig, save_detector

SIZE = 96
CONFIG = DetectorConfig(backbone="test_efficientnet", image_size=SIZE, quality_width=16, attention_width=8)
trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed (pip install '.[tensorrt-rtx]')")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    save_detector(path, lively_detector(CONFIG), provenance={"run": "a"}, threshold=0.45)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, options = tmp_path_factory.mktemp("engines"), BuildOptions((1, 4))
    return {
        precision: exporter.export_detector(checkpoint, "tensorrt-rtx", folder, precision=precision, options=options).path
        for precision in ("fp32", "fp16")
    }


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> None:
        raise MissingDependencyError("TensorRT engines run on NVIDIA GPUs: none can be used here (no GPU)")

    monkeypatch.setattr(cuda, "open_cuda", nothing)
    monkeypatch.setattr(engine_module, "open_cuda", nothing)


def test_the_engine_and_its_sidecar(exported: dict[str, Path]) -> None:
    for precision, path in exported.items():
        spec = read_spec(path)
        assert (spec.backend, spec.precision, spec.batch, spec.threshold) == ("tensorrt-rtx", precision, (1, 1, 4), 0.45)
        assert set(spec.files) == {path.name, path.with_suffix(".onnx").name}
        assert spec.build is not None
        assert (spec.build["package"], spec.build["version"], spec.build["batches"]) == ("tensorrt_rtx", trt.__version__, [1, 4])
        spec.verify(path.parent)
    assert exported["fp16"].stat().st_size < exported["fp32"].stat().st_size


@pytest.mark.slow
def test_a_detector_without_activation_map(no_gpu: None, tmp_path: Path) -> None:
    """A vision transformer with a linear layer on its class token at length 1, as GenD's."""
    path = tmp_path / "m.safetensors"
    save_detector(path, lively_detector(DetectorConfig(backbone="test_vit", image_size=160, heads="linear-norm")), crop="aligned")
    done = exporter.export_detector(path, "tensorrt-rtx", tmp_path, options=BuildOptions((1, 2)))
    assert (done.parity.passed, done.spec.map_size, done.spec.crop, list(done.spec.outputs)) == (True, None, "aligned", ["logits"])
    assert "no GPU" in done.unproven


@pytest.mark.slow
def test_without_a_gpu_the_command_says_that_nothing_was_compared(
    no_gpu: None, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(checkpoint), "--to", "tensorrt-rtx", "-o", str(tmp_path), "--batch", "1,2"]
    assert main(command) == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert "the engine itself was not run: TensorRT engines run on NVIDIA GPUs" in shown
    assert "the ONNX graph of model-tensorrt-rtx-fp32.engine against torch" in shown
    assert "--verify" in shown
    path = tmp_path / "model-tensorrt-rtx-fp32.engine"
    said = read_spec(path).provenance["parity"]
    assert "none can be used here" in said["not_run"]
    assert said["onnx"]["probability"] < 1e-4
    assert main(command) == 0  # exporting again replaces its own files
    assert main(["--verify", str(path)]) == 2  # nothing can be judged
    assert "none can be used here" in capsys.readouterr().err
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".part"]


def test_the_gpu_is_asked_for_before_tensorrt_is_touched(no_gpu: None, exported: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(name: str) -> None:
        raise AssertionError(f"{name} was imported without a GPU")

    monkeypatch.setattr(engine_module.importlib, "import_module", touched)
    spec = read_spec(exported["fp32"])
    with pytest.raises(MissingDependencyError, match="none can be used here"):
        engine_module.load(exported["fp32"], spec, "auto", None)


def test_a_changed_engine_is_not_opened(exported: dict[str, Path], tmp_path: Path) -> None:
    source = exported["fp32"]
    for name in (*read_spec(source).files, sidecar(source).name):
        (tmp_path / name).write_bytes((source.parent / name).read_bytes())
    data = bytearray(source.read_bytes())
    data[-1] ^= 1
    (tmp_path / source.name).write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"\.engine: does not match its sidecar"):
        load_engine(tmp_path / source.name)


class FakeCuda:
    name, capability = "A card", "8.6"

    def stream(self) -> int:
        return 1

    def current(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()


def test_engines_for_another_gpu_or_version_say_so(exported: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "open_cuda", FakeCuda)
    path, spec = exported["fp32"], read_spec(exported["fp32"])
    assert spec.build is not None
    other = dataclasses.replace(spec, build={**spec.build, "compute_capability": "9.0"})
    with pytest.raises(InputError, match=r"was built for compute capability 9\.0, A card has 8\.6: export again here"):
        engine_module.load(path, other, "auto", None)
    old = dataclasses.replace(spec, build={**spec.build, "version": "1.0"})
    with pytest.raises(InputError, match=r"was built by tensorrt_rtx 1\.0, installed is"):
        engine_module.load(path, old, "auto", None)


class Profiles:
    """An engine's optimisation profiles."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes, self.num_optimization_profiles = sizes, len(sizes)

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        return [(batch, 3, SIZE, SIZE) for batch in (1, self.sizes[index], self.sizes[index])]


class SlotOnPaper:
    def __init__(self, log: list[Any], size: int) -> None:
        self.log, self.size = log, size

    def start(self, images: np.ndarray) -> None:
        self.images = images.copy()
        self.log.append(("start", self.size, len(images)))

    def finish(self, count: int) -> list[np.ndarray]:
        assert len(self.images) == count  # never another batch's answers
        self.log.append(("finish", self.size, count))
        sums = self.images.sum((1, 2, 3))
        return [np.stack([sums, -sums], 1), np.zeros((count, 3, 3), np.float32)]


def test_batches_go_through_buckets_in_order(exported: dict[str, Path]) -> None:
    engine = TensorRtEngine(Profiles([8, 1, 4]), None, read_spec(exported["fp32"]), FakeCuda())  # type: ignore[arg-type]
    log: list[Any] = []
    sizes = [8, 1, 4]
    slots = {i: (SlotOnPaper(log, sizes[i]), SlotOnPaper(log, sizes[i])) for i in range(3)}
    engine._slots_of = lambda index: slots[index]  # type: ignore[method-assign,assignment,return-value]
    for count in (1, 2, 4, 5, 8, 9, 16, 27):
        log.clear()
        images = np.random.default_rng(count).random((count, 3, SIZE, SIZE), dtype=np.float32)
        np.testing.assert_allclose(engine(images).logits[:, 0], images.sum((1, 2, 3)), rtol=1e-5)
        started = [entry[1:] for entry in log if entry[0] == "start"]
        assert started[:-1] == [(8, 8)] * (len(started) - 1)
        bucket, last = started[-1]
        assert bucket == min(size for size in (1, 4, 8) if size >= last)
        if len(started) > 1:  # the second is filled while the first computes
            assert [entry[0] for entry in log[:2]] == ["start", "start"]


def test_tensorrt_that_is_not_installed(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # an import then fails, as it does where nothing is installed
    assert main([str(checkpoint), "--to", "tensorrt", "-o", str(tmp_path / "out")]) == 2
    assert "tensorrt: tensorrt cannot be loaded" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_network_that_the_parser_refuses(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no network")
    with pytest.raises(RuntimeError):
        target.build("tensorrt-rtx", tmp_path / "model.onnx", tmp_path / "model.engine")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_default_detector_builds(precision: str, tmp_path: Path) -> None:
    save_detector(tmp_path / "model.safetensors", lively_detector(DetectorConfig()))
    result = exporter.export_detector(tmp_path / "model.safetensors", "tensorrt-rtx", tmp_path, precision=precision)
    spec = json.loads(sidecar(result.path).read_text())
    assert (spec["image_size"], spec["map_size"], spec["batch"]) == (380, [12, 12], [1, 1, 32])
    assert (result.path.stat().st_size > 70e6) == (precision == "fp32")


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_engine_answers_as_torch(exported: dict[str, Path], checkpoint: Path, precision: str) -> None:
    if torch.cuda.get_device_capability()[0] == 9:
        pytest.skip("TensorRT for RTX does not support Hopper")
    engine, reference = load_engine(exported[precision]), load_engine(checkpoint, device="cpu")
    for count in (1, 3, 4, 9):
        images = np.random.default_rng(count).random((count, 3, SIZE, SIZE), dtype=np.float32)
        actual, expected = engine(images), reference(images)
        np.testing.assert_allclose(fake_probability(actual.logits), fake_probability(expected.logits), atol=1e-3)
        scale = np.abs(expected.activation_map).max()
        np.testing.assert_allclose(actual.activation_map / scale, expected.activation_map / scale, atol=1e-2)
