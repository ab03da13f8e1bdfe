"""The real chain on a real face: MediaPipe's models, a network of ours, and the same numbers as computing them by hand."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
import torch
from judging import check_page
from safetensors.torch import load_file

import fpg.cli.detect as detect
from fpg.common.crops import face_input
from fpg.data.video import read_image
from fpg.engines import load_engine
from fpg.faces import default_analyzer
from fpg.models.config import DetectorConfig
from fpg.models.detector import build_detector, save_detector
from fpg.runtime.pipeline import judge


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained detector on disk."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_detector(path, build_detector(DetectorConfig(backbone="tf_efficientnet_lite0", image_size=96)).eval())
    return path


@pytest.fixture(scope="module")
def astronaut() -> Path:
    """A portrait that scikit-image carries."""
    return Path(str(importlib.metadata.distribution("scikit-image").locate_file("skimage/data/astronaut.png")))


def test_a_score_is_the_softmax_of_the_network_on_the_evaluation_crop(weights: Path, astronaut: Path) -> None:
    engine, analyzer = load_engine(weights, device="cpu"), default_analyzer()
    result = judge(astronaut, engine, analyzer)
    image = read_image(astronaut)
    (face,) = analyzer(image)
    detector = build_detector(DetectorConfig(backbone="tf_efficientnet_lite0", image_size=96))
    detector.load_state_dict(load_file(weights))
    with torch.no_grad():
        crop = torch.from_numpy(face_input(image, face.box, 96))[None]
        output = detector.eval()(crop)
        expected_map = detector.activation_map(output.features)[0].numpy()
    assert result.score == pytest.approx(float(output.logits.softmax(1)[0, 1]), abs=1e-5)
    (highlight,) = result.highlights
    assert highlight.activation_map == pytest.approx(expected_map, abs=1e-4)


def test_from_the_command_line(weights: Path, astronaut: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.html"
    assert detect.main([str(weights), str(astronaut), "--report", str(report), "--json", str(tmp_path / "r.json"), "--device", "cpu"]) == 0
    page = check_page(report)
    assert "astronaut.png" in page.text
    assert "tf_efficientnet_lite0" in page.text
