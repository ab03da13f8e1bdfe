"""The crop rules against the published ones, exactly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fpg.common.crops import context_crop, detection_crop


def test_crops(vectors: Path) -> None:
    cases = json.loads((vectors / "crops.json").read_text())
    assert cases
    for case in cases:
        height, width = case["h"], case["w"]
        box = np.ravel(case["bbox"])[:4]
        assert list(context_crop(np.array(case["landmarks"]), height, width)) == case["context"]
        assert list(detection_crop(box, height, width)) == case["test"]
        assert list(detection_crop(box, height, width, case["u"])) == case["train"]
