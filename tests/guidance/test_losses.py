"""Losses: against a plain loop over the samples, gradients by finite differences, selection, global means."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from whole_loss import fpg_loss, similarity_loss

from fpg.common.errors import UsageError
from fpg.guidance.losses import LossConfig, LossSums, loss_sums


class Output(NamedTuple):
    logits: Tensor
    quality: Tensor
    features: Tensor


def random_output(n: int, grid: int = 5, channels: int = 7, seed: int = 0, dtype: torch.dtype = torch.float32) -> Output:
    rng = torch.Generator().manual_seed(seed)
    shapes = ((2 * n, 2), (2 * n,), (2 * n, channels, grid, grid))
    return Output(*(torch.randn(shape, generator=rng, dtype=dtype) for shape in shapes))


def random_masks(n: int, size: int = 30, seed: int = 0) -> Tensor:
    """Boxes of soft values; the second is empty, the third too small for the grid to notice."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, 1, size, size), np.float32)
    for mask in masks:
        y, x = rng.integers(0, size // 2, 2)
        mask[0, y : y + size // 2, x : x + size // 2] = rng.uniform(0.01, 1)
    masks[1] = 0
    masks[2] = 0
    masks[2, 0, 1:5, 1:5] = 1  # grid of 5: rows and columns 0, 6, 12, ... are looked at
    return torch.from_numpy(masks)


def slow_losses(output: Output, masks: Tensor, target: Tensor) -> tuple[float, float, float, list[bool]]:
    """Everything in double precision, one sample at a time."""
    n, grid = len(masks), output.features.shape[-1]
    step = masks.shape[-1] / grid
    index = [int(i * step) for i in range(grid)]
    logits, quality, features, want = (x.detach().double().numpy() for x in (*output, target))
    selected, classification, similarity, error = [], [], [], []
    for i in range(n):
        region = (masks[i, 0].numpy() > 0)[np.ix_(index, index)]
        selected.append(bool(region.any()))
        if not region.any():
            continue
        directions = []
        for sample, label in ((i, 0), (n + i, 1)):
            classification.append(math.log(np.exp(logits[sample]).sum()) - logits[sample][label])
            error.append((quality[sample] - want[sample]) ** 2)
            u = features[sample][:, region].mean(axis=1)
            directions.append(u / np.linalg.norm(u))
        similarity.append((directions[0] @ directions[1] + 1) / 2)
    return float(np.mean(classification)), float(np.mean(similarity)), float(np.mean(error)), selected


@pytest.mark.parametrize("halves", [1, 2])
def test_against_a_plain_loop(halves: int) -> None:
    n = 6
    output, masks, target = random_output(n), random_masks(n), torch.rand(2 * n) * 2
    losses = fpg_loss(output, masks.repeat(halves, 1, 1, 1), target)
    classification, similarity, error, selected = slow_losses(output, masks, target)
    assert losses.selected.tolist() == selected == [True, False, False, True, True, True]
    assert losses.total is not None
    for value, expected in (
        (losses.classification, classification),
        (losses.similarity, similarity),
        (losses.quality, error),
        (losses.total, classification + 0.075 * similarity + error),
    ):
        assert value is not None
        assert value.item() == pytest.approx(expected, rel=1e-5)


def test_weights() -> None:
    output, masks, target = random_output(4), random_masks(4), torch.rand(8)
    losses = fpg_loss(output, masks, target, LossConfig(similarity=0.5, quality=0.0))
    assert losses.total is not None
    assert losses.classification is not None
    assert losses.similarity is not None
    torch.testing.assert_close(losses.total, losses.classification + 0.5 * losses.similarity)
    with pytest.raises(UsageError, match="expected >= 0"):
        LossConfig(similarity=-1)


def test_what_is_not_selected_has_no_say() -> None:
    n = 5
    masks, target = random_masks(n), torch.rand(2 * n)
    output = Output(*(x.requires_grad_(True) for x in random_output(n)))
    first = fpg_loss(output, masks, target)
    assert first.total is not None
    first.total.backward()
    left_out = ~first.selected.repeat(2)
    for tensor in output:
        assert tensor.grad is not None
        assert (tensor.grad[left_out] == 0).all()
        assert (tensor.grad[~left_out] != 0).flatten(1).any(dim=1).all() if tensor.ndim > 1 else (tensor.grad[~left_out] != 0).all()
    changed = Output(*(torch.where(left_out.view(-1, *[1] * (x.ndim - 1)), x.detach() + 3, x.detach()) for x in output))
    second = fpg_loss(changed, masks, target)
    assert second.total is not None
    torch.testing.assert_close(first.total.detach(), second.total)


def test_no_pair_selected() -> None:
    losses = fpg_loss(random_output(3), torch.zeros(3, 1, 30, 30), torch.rand(6))
    assert losses.total is None
    assert losses.classification is losses.similarity is losses.quality is None
    assert losses.selected.tolist() == [False] * 3
    alone = similarity_loss(random_output(3).features, torch.zeros(3, 1, 30, 30))
    assert alone.loss == 0
    assert (alone.pooled == 0).all()


def test_one_pair() -> None:
    losses = fpg_loss(random_output(1), torch.ones(1, 1, 30, 30), torch.rand(2))
    assert losses.total is not None
    assert torch.isfinite(losses.total)


def test_gradient_of_the_similarity_loss() -> None:
    features, masks = random_output(4, grid=4, channels=3, dtype=torch.float64).features, random_masks(4)
    assert torch.autograd.gradcheck(lambda a: similarity_loss(a, masks).loss, (features.requires_grad_(True),))


def test_gradient_of_the_total() -> None:
    output, masks, target = random_output(4, grid=4, channels=3, dtype=torch.float64), random_masks(4), torch.rand(8, dtype=torch.float64)

    def total(*parts: Tensor) -> Tensor:
        value = fpg_loss(Output(*parts), masks, target).total
        assert value is not None
        return value

    assert torch.autograd.gradcheck(total, tuple(x.requires_grad_(True) for x in output))


def test_range_of_the_similarity() -> None:
    features = torch.randn(2, 6, 4, 4)
    mask = torch.ones(1, 1, 8, 8)
    for fake, expected in ((features[:1], 1.0), (-features[:1], 0.0)):
        assert similarity_loss(torch.cat([features[:1], fake]), mask).loss.item() == pytest.approx(expected, abs=1e-6)


def test_sums_of_two_processes_make_the_global_mean() -> None:
    n = 6
    output, masks, target = random_output(n), random_masks(n), torch.rand(2 * n)
    parts = []
    for rows in ([0, 1, 2, 3], [4, 5]):
        both = rows + [n + row for row in rows]
        parts.append(loss_sums(Output(*(x[both] for x in output)), masks[rows], target[both]))
    count = sum(int(part.selected.sum()) for part in parts)
    totals = [part.means(LossConfig(), pairs=count).total for part in parts]
    whole = fpg_loss(output, masks, target).total
    assert whole is not None
    assert all(total is not None for total in totals)
    torch.testing.assert_close(sum(totals), whole)  # type: ignore[arg-type]
    assert isinstance(parts[0], LossSums)


def test_half_precision_is_computed_in_float32() -> None:
    n = 5
    full, masks, target = random_output(n), random_masks(n), torch.rand(2 * n)
    full = Output(*(x.bfloat16().float() for x in full))
    half = Output(*(x.bfloat16() for x in full))
    one, other = fpg_loss(full, masks, target), fpg_loss(half, masks, target)
    assert other.total is not None
    assert other.total.dtype == torch.float32
    torch.testing.assert_close(one.total, other.total)


def test_what_is_not_finite_shows() -> None:
    output = random_output(4)
    output.logits[0, 0] = torch.nan
    losses = fpg_loss(output, random_masks(4), torch.rand(8))
    assert losses.total is not None
    assert not torch.isfinite(losses.total)


def test_errors_name_shapes() -> None:
    output = random_output(3)
    with pytest.raises(ValueError, match=r"mask: expected \[3, 1, H, W\] or \[6, 1, H, W\], got \[4, 1, 8, 8\]"):
        fpg_loss(output, torch.zeros(4, 1, 8, 8), torch.rand(6))
    with pytest.raises(ValueError, match=r"quality_target: expected \[6\], got \[3\]"):
        fpg_loss(output, torch.zeros(3, 1, 8, 8), torch.rand(3))
