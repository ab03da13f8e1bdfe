"""Vectors: Grad-CAM from activations and gradients (agreement 2e-3, the map is stored in float16)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fpg.guidance.response_map import grad_cam


def test_grad_cam(vectors: Path) -> None:
    data = np.load(vectors / "grad_cam.npz")
    expected = data["cam"].astype(np.float64)
    maps = grad_cam(torch.from_numpy(data["activations"]), torch.from_numpy(data["gradients"]), expected.shape[-2:])
    assert maps.dtype == torch.float32
    assert np.abs(maps.numpy() - expected).max() <= 2e-3 * np.abs(expected).max()
