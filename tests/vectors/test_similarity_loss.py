"""Vectors: similarity loss, the selected pairs and their pooled features (agreement 1e-5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from whole_loss import similarity_loss


@pytest.mark.parametrize("halves", ["both", "one"])
def test_similarity_loss(vectors: Path, halves: str) -> None:
    data = {name: torch.from_numpy(np.asarray(value)) for name, value in np.load(vectors / "similarity_loss.npz").items()}
    mask = data["mask"].float()
    result = similarity_loss(data["feat"], mask if halves == "both" else mask.chunk(2)[0])
    selected = data["selected"]
    assert torch.equal(result.selected.repeat(2), selected)
    assert (result.pooled[selected] - data["pooled"]).abs().max() <= 1e-5 * data["pooled"].abs().max()
    assert (result.pooled[~selected] == 0).all()
    assert (result.loss - data["loss"]).abs() <= 1e-5 * data["loss"].abs()
