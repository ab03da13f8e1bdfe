"""What a type checker sees of `import fpg`; `make lint` checks it, nothing runs it."""

from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import assert_type

import fpg
from fpg.models import Detector
from fpg.runtime.judgement import Judgement


def judge(image: np.ndarray) -> None:
    """Options are checked by name and type."""
    with fpg.VideoDetector(frames=8, threshold=0.7) as detector:
        assert_type(detector.judge(image), Judgement)
        assert_type(detector.judge(b"").score, float | None)
    fpg.VideoDetector(framse=8)  # type: ignore[call-arg]
    fpg.VideoDetector(frames="8")  # type: ignore[arg-type]


def train_and_evaluate() -> None:
    """Lazy names have their own types, not Any."""
    weights = fpg.train.train(fpg.train.TrainConfig(out="run", data=["prepared"]))
    assert_type(weights, Path)
    assert_type(fpg.evaluate.evaluate(weights, "videos"), dict[str, Any])
    assert_type(fpg.load_detector(weights)[0], Detector)
    assert_type(fpg.export.export_detector(weights, "openvino", "engines").path, Path)
