"""How the published vectors fill a network: deterministic numbers from a tensor's name and shape (the filling rule of the vectors)."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch


def fill(shapes: dict[str, list[int]], seed: int) -> dict[str, torch.Tensor]:
    """A state dict for named shapes, every tensor drawn from a generator keyed by (seed, name)."""
    return {name: _tensor(name, shape, seed) for name, shape in shapes.items()}


def published_state(folder: Path, stem: str, seed: int) -> dict[str, torch.Tensor]:
    """The filled state dict for `STEM_state_keys.json`."""
    return fill(json.loads((folder / f"{stem}_state_keys.json").read_text()), seed)


def _tensor(name: str, shape: list[int], seed: int) -> torch.Tensor:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    last = name.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    if last == "running_var":
        value = rng.uniform(0.8, 1.6, shape)
    elif last in ("running_mean", "bias"):
        value = 0.1 * rng.standard_normal(shape)
    elif len(shape) == 1:
        value = rng.uniform(0.5, 1.5, shape)
    else:
        gain = {4: 2.0, 2: 1.0}[len(shape)]
        value = rng.standard_normal(shape) * math.sqrt(gain / math.prod(shape[1:]))
    return torch.from_numpy(np.asarray(value, np.float32))


def relative(actual: torch.Tensor | np.ndarray, expected: np.ndarray) -> float:
    """max|difference| / max|reference|."""
    return float(np.abs(np.asarray(actual, np.float64) - expected).max() / np.abs(expected).max())
