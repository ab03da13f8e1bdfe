"""The published SBI network: a plain EfficientNet-B4 imports as a detector with plain heads (agreement 1e-3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from published import published_state, relative

from fpg.models.checkpoints import import_checkpoint
from fpg.models.detector import Detector


def test_import_and_forward(vectors: Path, tmp_path: Path) -> None:
    expected = np.load(vectors / "sbi_forward.npz")
    seed = int(expected["seed"])
    torch.save({"model": published_state(vectors, "sbi", seed), "optimizer": {}, "epoch": 100}, tmp_path / "sbi.tar")
    model, report = import_checkpoint(tmp_path / "sbi.tar")
    assert report.exact
    assert isinstance(model, Detector)
    assert model.config.heads == "plain"
    x = torch.from_numpy(np.random.default_rng(seed).random((2, 3, 380, 380)).astype(np.float32))
    with torch.no_grad():
        output = model(x)
    assert relative(output.logits, expected["logits"]) < 1e-3
    assert output.quality.tolist() == [0.0, 0.0]
