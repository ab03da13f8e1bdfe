"""Pictures and landmarks as of faces, for tests of pairs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

VECTORS = Path(os.environ.get("FPG_VECTORS", Path(__file__).parent / "vectors" / "data"))


def photograph(seed: int, height: int = 220, width: int = 200) -> np.ndarray:
    """uint8 [H, W, 3]: smooth colours with detail on top."""
    rng = np.random.default_rng(seed)
    coarse = torch.nn.functional.interpolate(torch.from_numpy(rng.random((1, 3, 6, 6))), (height, width), mode="bicubic")[0]
    return np.clip(coarse.numpy().transpose(1, 2, 0) * 220 + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def face_landmarks(seed: int, corner: tuple[int, int], size: int) -> np.ndarray:
    """float64 [81, 2]: the published landmarks of one face, a little different for each seed, in a square at `corner`."""
    known = np.load(VECTORS / "hulls.npz")["lm0"].astype(np.float64)
    known = (known - known.min(0)) / np.ptp(known, axis=0).max() * size + corner
    return known + np.random.default_rng(seed).normal(0, 0.4, known.shape)


def face(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, landmarks and box."""
    landmarks = face_landmarks(seed, (60, 70), 80)
    x0, y0 = landmarks.min(0)
    x1, y1 = landmarks.max(0)
    return photograph(seed), landmarks, np.array([x0, y0, x1, y1])
