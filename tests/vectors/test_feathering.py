"""Feathering against the published masks: blend{k} is step 2.6, simple{k} is feather' with the released erosion."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fpg.ops.feathering import feather
from fpg.ops.feathering import refeather_reference as refeather


def unpack(bits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.unpackbits(bits)[: shape[0] * shape[1]].reshape(shape)


def test_feather(vectors: Path) -> None:
    data = np.load(vectors / "feathering.npz")
    cases = [name[:-4] for name in data.files if name.startswith("blend") and name.endswith("_out")]
    assert cases
    for case in cases:
        height, width, k1, k2, sigma = map(int, data[f"{case}_draw"])
        expected = data[f"{case}_out"]
        mask = unpack(data[f"{case}_in"], expected.shape)
        np.testing.assert_allclose(feather(mask, height, width, k1, k2, sigma), expected, atol=2e-3, rtol=0)


def test_refeather(vectors: Path) -> None:
    data = np.load(vectors / "feathering.npz")
    cases = [name[:-4] for name in data.files if name.startswith("simple") and name.endswith("_out")]
    assert cases
    for case in cases:
        expected = data[f"{case}_out"]
        mask = unpack(data[f"{case}_in"], expected.shape)
        np.testing.assert_allclose(refeather(mask, *map(int, data[f"{case}_draw"])), expected, atol=2e-3, rtol=0)
