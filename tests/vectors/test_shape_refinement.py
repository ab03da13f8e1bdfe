"""Vectors: which samples shape refinement changes, and what they become with the identity as feathering (agreement 1e-5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fpg.guidance.shape import shape_refinement


def identity(regions: Tensor, wanted: Tensor) -> Tensor:
    return regions[:, None].float()


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_shape_refinement(vectors: Path, threshold: float) -> None:
    data = {name: torch.from_numpy(value) for name, value in np.load(vectors / "shape_refinement.npz").items()}
    (real, fake), mask, maps = data["img"].chunk(2), data["mask"].chunk(2)[1], data["cam"].chunk(2)[1]
    probability = data["logits"].chunk(2)[1].softmax(dim=1)[:, 1]
    n = len(fake)
    result = shape_refinement(real, fake, mask, maps, probability, torch.zeros(n), identity, threshold=threshold)

    changed = data[f"changed_t{threshold}"]
    assert 0 < int(changed.sum()) < len(changed)
    assert torch.equal(result.refined.repeat(2), changed)
    assert not result.emptied.any()
    images, masks = torch.cat([real, result.fake]), result.mask.repeat(2, 1, 1, 1)
    for value, expected in ((images, data[f"img_t{threshold}"]), (masks, data[f"mask_t{threshold}"])):
        assert (value - expected).abs().max() <= 1e-5 * expected.abs().max()
