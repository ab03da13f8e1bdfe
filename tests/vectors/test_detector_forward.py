"""The published FPG network: its checkpoint imports by key names and answers as given (agreement 1e-3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from published import published_state, relative

from fpg.models.checkpoints import import_checkpoint
from fpg.models.detector import Detector, ExportModule


@pytest.fixture(scope="module")
def model(vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    seed = int(np.load(vectors / "detector_forward.npz")["seed"])
    state = published_state(vectors, "detector", seed)
    path = tmp_path_factory.mktemp("fpg") / "published.tar"
    torch.save({"model": {f"module.{name}": tensor for name, tensor in state.items()}, "optimizer": {"state": {}}, "epoch": 50}, path)
    detector, report = import_checkpoint(path)
    assert report.exact
    assert isinstance(detector, Detector)
    assert sum(v.numel() for v in state.values()) == sum(v.numel() for v in detector.state_dict().values())
    return detector


def test_forward(model: Detector, vectors: Path) -> None:
    expected = np.load(vectors / "detector_forward.npz")
    x = torch.from_numpy(np.random.default_rng(int(expected["seed"])).random((2, 3, 380, 380)).astype(np.float32))
    with torch.no_grad():
        a = model.last_block(x)
    a.requires_grad_()
    logits, quality = model.head(a)
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), a)
    cam = torch.relu((gradient.mean((2, 3), keepdim=True) * a).sum(1))
    assert relative(logits.detach(), expected["logits"]) < 1e-3
    assert relative(quality.detach(), expected["quality"][:, 0]) < 1e-3
    assert relative(a.detach(), expected["last_block"].astype(np.float32)) < 1e-3
    assert relative(cam.detach(), expected["cam_raw"]) < 1e-3

    with torch.no_grad():
        exported, activation = ExportModule(model)(x[:1])
    assert relative(exported, expected["logits"][:1]) < 1e-3
    assert activation.shape == (1, 12, 12)
    torch.testing.assert_close(activation.mean((1, 2)) + model.classifier.bias[1], exported[:, 1], rtol=1e-4, atol=1e-5)
