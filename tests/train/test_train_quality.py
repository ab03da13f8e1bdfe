"""Which quality target a run gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fpg.common.errors import InputError
from fpg.guidance.quality import AnalyticQuality
from fpg.models.config import DetectorConfig
from fpg.models.detector import build_detector
from fpg.models.fiqa import Fiqa
from fpg.models.weights import KeyReport
from fpg.train import quality
from fpg.train.quality import quality_target

CPU = torch.device("cpu")


def test_analytic_needs_no_file() -> None:
    assert isinstance(quality_target("analytic", CPU), AnalyticQuality)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fiqa.pth: no such file"):
        quality_target(str(tmp_path / "fiqa.pth"), CPU)


def test_weights_of_another_network_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = build_detector(DetectorConfig(backbone="test_efficientnet", image_size=64))
    monkeypatch.setattr(quality, "import_checkpoint", lambda path: (detector, KeyReport()))
    with pytest.raises(InputError, match=r"sbi.pth: expected the weights of a face quality network .* got those of a Detector"):
        quality_target("sbi.pth", CPU)


def test_fiqa_is_the_network_in_evaluation_mode_over_50(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Fiqa().train()
    monkeypatch.setattr(quality, "import_checkpoint", lambda path: (network, KeyReport()))
    target = quality_target("fiqa.pth", CPU)
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    assert target.name == "fiqa"
    with torch.no_grad():
        expected = network.eval()(images) / 50
    assert torch.allclose(target(images), expected.reshape(2))
