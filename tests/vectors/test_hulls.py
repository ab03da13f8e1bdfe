"""The hull masks against the published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fpg.common.landmarks import HULL_FAMILIES
from fpg.pairs.opencv import face_mask


@pytest.mark.parametrize("points", [81, 68])
@pytest.mark.parametrize("family", HULL_FAMILIES)
def test_hulls(vectors: Path, family: str, points: int) -> None:
    data = np.load(vectors / "hulls.npz")
    cases = sorted(int(name[2:]) for name in data.files if name.startswith("lm"))
    assert cases
    for i in cases:
        expected = data[f"{family}_{points}_{i}"] > 127
        landmarks = data[f"lm{i}"]
        for given in {points, len(landmarks)}:  # 68 points asked for, or 68 points there
            mask = face_mask(landmarks[:given], family, *map(int, data[f"shape{i}"]), points=points)
            assert mask.dtype == np.uint8
            assert mask.max() == 1
            assert (mask.astype(bool) & expected).sum() / (mask.astype(bool) | expected).sum() >= 0.995
