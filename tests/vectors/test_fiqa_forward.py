"""The published quality network: bare state dict, preprocessing and answer (agreement 1e-3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from published import published_state, relative

from fpg.models.checkpoints import import_checkpoint
from fpg.models.fiqa import Fiqa, preprocess


def test_import_and_forward(vectors: Path, tmp_path: Path) -> None:
    expected = np.load(vectors / "fiqa_forward.npz")
    seed = int(expected["seed"])
    torch.save(published_state(vectors, "fiqa", seed), tmp_path / "fiqa.pth")
    model, report = import_checkpoint(tmp_path / "fiqa.pth")
    assert report.exact
    assert isinstance(model, Fiqa)
    x = torch.from_numpy(np.random.default_rng(seed + 1).random((3, 3, 200, 180)).astype(np.float32))
    assert relative(preprocess(x), expected["resized"]) < 1e-3
    with torch.no_grad():
        quality = model(x)
    assert quality.shape == (3,)
    assert relative(quality, expected["quality"][:, 0]) < 1e-3
