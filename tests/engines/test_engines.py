"""Engines without torch's exporters: input checks, probability, hashes before anything is opened."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax

from fpg.common.crops import face_input
from fpg.common.errors import InputError, UsageError
from fpg.common.spec import sidecar
from fpg.engines import fake_probability, load_engine, reference_difference
from fpg.engines.base import CheckedEngine, choose_device
from fpg.engines.torch import TorchEngine
from fpg.models.detector import Detector, DetectorConfig, ExportModule, save_detector

CONFIG = DetectorConfig(backbone="resnet18", image_size=64, quality_width=16, attention_width=8)


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(3)
    return Detector(CONFIG).eval()


@pytest.fixture
def checkpoint(detector: Detector, tmp_path: Path) -> Path:
    save_detector(tmp_path / "model.safetensors", detector, temperature=1.5)
    return tmp_path / "model.safetensors"


def _images(count: int, size: int = 64) -> np.ndarray:
    return np.random.default_rng(count).random((count, 3, size, size), dtype=np.float32)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_torch_engine(checkpoint: Path, detector: Detector, count: int) -> None:
    engine = load_engine(checkpoint, device="cpu", threads=1)
    output = engine(_images(count))
    assert output.logits.shape == (count, 2)
    assert output.activation_map.shape == (count, *engine.spec.map_size)
    assert output.logits.dtype == output.activation_map.dtype == np.float32
    with torch.no_grad():
        logits, activation = ExportModule(detector)(torch.from_numpy(_images(count or 1)))
    np.testing.assert_allclose(output.logits, logits[:count], atol=1e-5)
    np.testing.assert_allclose(output.activation_map, activation[:count], atol=1e-5)
    assert engine.spec.temperature == 1.5
    assert reference_difference(engine) < 1e-5


def test_reference_difference_sees_other_weights(checkpoint: Path) -> None:
    spec = json.loads(sidecar(checkpoint).read_text())
    spec["reference"]["logits"][0][1] += 1.0
    sidecar(checkpoint).write_text(json.dumps(spec))
    engine = load_engine(checkpoint)
    assert engine.spec.reference is not None
    assert reference_difference(engine) > engine.spec.reference["tolerance"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (_images(2, 60), r"images: expected float32 \[B, 3, 64, 64\], got float32 \[2, 3, 60, 60\]"),
        (_images(2)[0], r"got float32 \[3, 64, 64\]"),
        (_images(2).transpose(0, 2, 3, 1), r"got float32 \[2, 64, 64, 3\]"),
        ((_images(2) * 255).astype(np.uint8), r"got uint8 \[2, 3, 64, 64\]"),
        (_images(2) * 255, r"images: expected values in \[0, 1\], got \[0"),
        (np.full((1, 3, 64, 64), np.nan, np.float32), r"expected values in \[0, 1\], got \[nan, nan\]"),
    ],
)
def test_wrong_images_are_refused(checkpoint: Path, images: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_engine(checkpoint)(images)


class Refusing(CheckedEngine):
    """Looks at the range on the host, as engines do that hand arrays over."""

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        raise AssertionError("was computed with")


@pytest.mark.parametrize("value", [-0.25, 1.5, np.nan, np.inf, -np.inf])
def test_one_wrong_value_is_refused_in_the_same_words_wherever_it_is_looked_for(checkpoint: Path, value: float) -> None:
    images = _images(5)
    images[tuple(np.random.default_rng().integers(0, images.shape))] = value
    with np.errstate(invalid="ignore"):
        expected = f"images: expected values in [0, 1], got [{images.min():g}, {images.max():g}]"
    for engine in (load_engine(checkpoint, device="cpu"), Refusing(load_engine(checkpoint).spec, "cpu")):
        with pytest.raises(ValueError) as caught:
            engine(images)
        assert str(caught.value) == expected
    edges = np.zeros((2, 3, 64, 64), np.float32)
    edges[1] = 1
    assert load_engine(checkpoint, device="cpu")(edges).logits.shape == (2, 2)


def test_faces_are_cut_out_of_frames_where_the_engine_runs(checkpoint: Path) -> None:
    engine = load_engine(checkpoint, device="cpu")
    assert isinstance(engine, TorchEngine)
    rng = np.random.default_rng()
    frames = rng.integers(0, 256, (3, 90, 120, 3), np.uint8)
    corners = rng.uniform((0, 0), (70, 40), (4, 2))
    found = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, rng.uniform(12, 48, (4, 2)), strict=True)]
    boxes = [found[:2], [], found[2:]]
    inputs = [face_input(frame, box, 64) for frame, of_frame in zip(frames, boxes, strict=True) for box in of_frame]
    expected, output = engine(np.stack(inputs)), engine.of_frames(torch.from_numpy(frames), boxes)
    np.testing.assert_array_equal(output.logits, expected.logits)
    np.testing.assert_array_equal(output.activation_map, expected.activation_map)
    assert engine.of_frames(torch.from_numpy(frames), [[], [], []]).logits.shape == (0, 2)
    with pytest.raises(ValueError, match=r"frames: expected uint8 \[N, H, W, 3\] on cpu, got float32 \[3, 90, 120, 3\] on cpu"):
        engine.of_frames(torch.from_numpy(frames).float(), boxes)
    with pytest.raises(ValueError, match="boxes: expected 3 lists, one per frame, got 2"):
        engine.of_frames(torch.from_numpy(frames), boxes[:2])
    with pytest.raises(ValueError, match="box: expected to meet the image"):
        engine.of_frames(torch.from_numpy(frames), [[(500, 500, 520, 520)], [], []])
    engine.spec = dataclasses.replace(engine.spec, crop="aligned")
    with pytest.raises(ValueError, match="crop: expected a model with the rule evaluation, got aligned"):
        engine.of_frames(torch.from_numpy(frames), boxes)


@pytest.mark.cuda
def test_a_gpu_cuts_and_looks_as_the_cpu_does(checkpoint: Path) -> None:
    here, there = (load_engine(checkpoint, device=device) for device in ("cpu", "cuda"))
    assert isinstance(there, TorchEngine)
    frames = np.random.default_rng().integers(0, 256, (4, 270, 480, 3), np.uint8)
    boxes = [[(100.0 + 9 * i, 40.0, 190.0 + 9 * i, 150.0)] for i in range(4)]
    inputs = np.stack([face_input(frame, box, 64) for frame, (box,) in zip(frames, boxes, strict=True)])
    output = there.of_frames(torch.from_numpy(frames).cuda(), boxes)
    np.testing.assert_allclose(output.logits, here(inputs).logits, atol=5e-3)  # TF32
    np.testing.assert_allclose(output.logits, there(inputs).logits, atol=1e-4)
    inputs[2, 1, 5, 7] = np.nan
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\], got \[nan, nan\]"):
        there(inputs)


def test_changed_file_is_refused_before_it_is_opened(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(checkpoint.read_bytes())
    data[-1] ^= 1
    checkpoint.write_bytes(bytes(data))

    def opened(*args: object, **kwargs: object) -> None:
        raise AssertionError("opened a file that its sidecar does not vouch for")

    monkeypatch.setattr("safetensors.torch.load_file", opened)
    with pytest.raises(InputError, match=r"model\.safetensors: does not match its sidecar"):
        load_engine(checkpoint)


def test_what_is_no_engine(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "a.engine").write_bytes(b"x")
    (tmp_path / "a.pth").write_bytes(b"x")
    (tmp_path / "bare.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"a\.engine: has no sidecar"):
        load_engine(tmp_path / "a.engine")
    with pytest.raises(InputError, match=r"a\.pth: expected a model file"):
        load_engine(tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"bare\.onnx: has no sidecar bare\.spec\.json"):
        load_engine(tmp_path / "bare.onnx")
    with pytest.raises(InputError, match=r"absent\.xml: no such file"):
        load_engine(tmp_path / "absent.xml")
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"its sidecar describes model\.safetensors for torch"):
        load_engine(tmp_path / "model.onnx")
    sidecar(checkpoint).write_text("{")
    with pytest.raises(InputError, match="not a readable sidecar"):
        load_engine(checkpoint)


def test_devices(checkpoint: Path) -> None:
    assert choose_device("AUTO".lower(), {"cpu": "CPU"}, "cpu", "X") == "CPU"
    assert choose_device("CPU", {"cpu": "CPU"}, "cpu", "X") == "CPU"
    with pytest.raises(UsageError, match=r"device: torch has auto, cpu.* here, got tpu"):
        load_engine(checkpoint, device="tpu")


def test_fake_probability() -> None:
    logits = np.random.default_rng(0).normal(0, 5, (50, 2)).astype(np.float32)
    np.testing.assert_allclose(fake_probability(logits), softmax(logits.astype(np.float64), 1)[:, 1], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(fake_probability(logits, 2.5), softmax(logits.astype(np.float64) / 2.5, 1)[:, 1], rtol=1e-5, atol=1e-7)
    assert fake_probability(np.array([[-1e30, 1e30], [1e30, -1e30]], np.float32)).tolist() == [1.0, 0.0]
    assert np.isnan(fake_probability(np.array([[np.nan, 0]], np.float32))).all()
    with pytest.raises(ValueError, match="temperature: expected > 0, got 0"):
        fake_probability(logits, 0)
    with pytest.raises(ValueError, match=r"logits: expected \[B, 2\], got \[4\]"):
        fake_probability(np.zeros(4, np.float32))
