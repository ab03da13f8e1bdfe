"""Vectors: magnitude refinement with eps 0.01, 0.1 and 0 (agreement 1e-5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fpg.guidance.magnitude import magnitude_refinement


@pytest.mark.parametrize(("eps", "name"), [(0.01, "step"), (0.1, "step_eps0.1"), (0.0, "nostep")])
def test_magnitude_refinement(vectors: Path, eps: float, name: str) -> None:
    data = {key: torch.from_numpy(value) for key, value in np.load(vectors / "magnitude_refinement.npz").items() if value.ndim}
    result = magnitude_refinement(data["source"], data["background"], data["fake"], data["mask"], data["grad"], eps)
    expected = data[name]
    assert (result.fake - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert set(result.direction.tolist()) == {-1, 1}
