"""A packaged model in the form of the starter, with random numbers for weights: `python tests/packaged.py FOLDER/NAME` writes one."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from detectors import lively_detector

from fpg.export.package import Facts, Number, TrainingSource, package
from fpg.models.config import DetectorConfig
from fpg.models.detector import save_detector

WARNING = "placeholder weights are no detector: random numbers, in the form of a packaged model"
FACTS = Facts(
    license="apache-2.0",
    summary="Random numbers in the form of a packaged model, to build and test what is around it.",
    sources=[TrainingSource("nothing", "none needed", "no face was trained on")],
    recipe="python tests/packaged.py",
    hours=0,
    machine="any",
    numbers=[Number("AUC", 0.5, "anything", 0.0, 1.0)],
    blind_to=["everything"],
    intended_use=["tests of fpg"],
    misuse=["judging anything"],
    warnings=[WARNING],
)


def placeholder(folder: Path, facts: Facts = FACTS, **changes: object) -> Path:
    """Write a packaged model under `folder`, whose last part is its name; `changes` to its facts."""
    config = DetectorConfig(backbone="test_efficientnet", image_size=64, quality_width=16, attention_width=8)
    with tempfile.TemporaryDirectory() as run, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_detector(Path(run) / "model.safetensors", lively_detector(config), provenance={"seed": 0, "method": "none"})
        package(Path(run), replace(facts, **changes), folder)  # type: ignore[arg-type]
    return folder


if __name__ == "__main__":
    placeholder(Path(sys.argv[1]))
