"""The face networks as engines: written by the detector's writers, proven against torch, found faces as before."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest
from judging import BrightnessEngine, save
from PIL import Image

import fpg.cli.detect as detect
from fpg.cli.export import main
from fpg.common.errors import InputError
from fpg.common.spec import read_spec
from fpg.engines import load_engine
from fpg.export import faces as export_module
from fpg.faces import default_analyzer
from fpg.runtime.face_engines import engine_analyzer


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    for to in ("openvino", "onnx"):
        assert main(["--faces", "--to", to, "-o", str(folder / to)]) == 0
    return folder


@pytest.fixture(scope="module")
def people() -> list[np.ndarray]:
    """A portrait, two of them side by side, one turned and small, and one with a face of 49 pixels."""
    path = importlib.metadata.distribution("scikit-image").locate_file("skimage/data/astronaut.png")
    portrait = Image.open(str(path)).convert("RGB")
    one = np.array(portrait)
    small = np.full((900, 1600, 3), 90, np.uint8)  # shown by finer looks alone
    small[300:550, 1200:1450] = np.array(portrait.resize((250, 250)))
    return [one, np.concatenate([one, one[:, ::-1]], 1), np.array(portrait.rotate(15).resize((200, 200))), small]


@pytest.mark.parametrize("to", ["openvino", "onnx"])
def test_the_same_faces_are_found(engines: Path, people: list[np.ndarray], to: str) -> None:
    ours, theirs = engine_analyzer(engines / to, device="cpu"), default_analyzer()
    for image in people:
        found, expected = ours(image), theirs(image)
        assert len(found) == len(expected) >= 1
        for face, other in zip(found, expected, strict=True):
            assert np.abs(face.box - other.box).max() < 1
            assert face.score == pytest.approx(other.score, abs=1e-3)


def test_sidecars_say_what_they_are(engines: Path, tmp_path: Path) -> None:
    path = engines / "openvino" / "face-landmarks-openvino-fp32.xml"
    spec = read_spec(path)
    assert (spec.network, spec.image_size, spec.outputs) == ("face-landmarks", 192, {"points": (468, 3), "presence": ()})
    assert spec.provenance["exported_from"]["file"] == "face_landmark.tflite"
    assert max(spec.provenance["parity"]["differences"].values()) < 1e-4
    points, presence = load_engine(path, network="face-landmarks").run(np.zeros((3, 3, 192, 192), np.float32))
    assert (points.shape, presence.shape) == ((3, 468, 3), (3,))
    assert [len(value) for value in load_engine(path, network="face-landmarks").run(np.zeros((0, 3, 192, 192), np.float32))] == [0, 0]
    with pytest.raises(InputError, match="is a face-landmarks, expected a forgery-detector"):
        load_engine(path)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_tensorrt_builds_both_without_a_gpu(tmp_path: Path, precision: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    assert main(["--faces", "--to", "tensorrt-rtx", "--precision", precision, "--batch", "1,8", "-o", str(tmp_path)]) == 0
    for kind in ("face-detector", "face-landmarks"):
        spec = read_spec(tmp_path / f"{kind}-tensorrt-rtx-{precision}.engine")
        assert (spec.network, spec.build and spec.build["batches"]) == (kind, [1, 8])


@pytest.mark.slow
def test_half_precision_on_onnx(tmp_path: Path) -> None:
    assert main(["--faces", "--to", "onnx", "--precision", "fp16", "-o", str(tmp_path)]) == 0
    found = read_spec(tmp_path / "face-detector-onnx-fp16.onnx").provenance["parity"]["differences"]
    assert 1e-6 < max(found.values()) <= export_module.TOLERANCES["fp16"]


def test_detect_on_face_engines(
    engines: Path, people: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(detect, "load_engine", lambda path, **options: BrightnessEngine())
    image = str(save(tmp_path / "a.png", people[0]))
    assert detect.main(["m.xml", image, "--face-engines", str(engines / "openvino")]) == 0
    assert f"  {image}\n    judged on 1 face\n" in capsys.readouterr().out
    assert detect.main(["m.xml", image, "--face-engines", str(tmp_path)]) == 2
    assert "expected one face-detector-* model" in capsys.readouterr().err


def test_wrong_usage_and_a_network_that_answers_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--faces", "--to", "openvino"]) == 2
    assert main(["--faces", "x.safetensors", "--to", "openvino", "-o", str(tmp_path / "o")]) == 2
    assert main(["--faces", "--to", "openvino", "--precision", "int8", "-o", str(tmp_path / "o")]) == 2
    assert not (tmp_path / "o").exists()
    monkeypatch.setitem(export_module.TOLERANCES, "fp32", 1e-12)
    assert main(["--faces", "--to", "openvino", "-o", str(tmp_path / "p")]) == 1
    assert "does not match torch's output: boxes differ by" in capsys.readouterr().err
    assert not list((tmp_path / "p").iterdir())
