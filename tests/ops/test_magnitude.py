"""Magnitude refinement: the vote and the step, kernels against the pure-torch reference, the published vectors, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fpg.guidance.magnitude import magnitude_refinement as guidance_refinement
from fpg.ops.magnitude import magnitude_refinement, magnitude_step_reference, magnitude_vote, magnitude_vote_reference

SHAPES = [(1, 1, 1, 1), (2, 3, 1, 7), (3, 3, 33, 41), (1, 3, 140, 150), (2, 5, 9, 1)]


def images(shape: tuple[int, ...], device: str = "cpu", dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """source, background, fake, mask, grad; some equal pixels and zero gradients, so that growth is 0 there."""
    source, background, fake = (torch.rand(shape, dtype=dtype) for _ in range(3))
    grad = torch.randn(shape, dtype=dtype)
    background = torch.where(torch.rand(shape) < 0.2, source, background)
    grad = torch.where(torch.rand(shape) < 0.2, torch.zeros_like(grad), grad)
    mask = torch.rand(shape[0], 1, *shape[2:], dtype=dtype)
    return tuple(t.to(device) for t in (source, background, fake, mask, grad))


@pytest.mark.parametrize("shape", SHAPES)
def test_matches_the_reference(native: None, shape: tuple[int, ...]) -> None:
    source, background, fake, mask, grad = images(shape)
    votes = magnitude_vote_reference(grad, source, background)
    refined, direction = magnitude_refinement(source, background, fake, mask, grad, 0.01)
    assert torch.equal(magnitude_vote(grad, source, background), votes)
    torch.testing.assert_close(refined, magnitude_step_reference(source, background, fake, mask, votes, 0.01), rtol=0, atol=2e-6)
    assert torch.equal(direction, torch.where(votes > 0, 1, -1))


@pytest.mark.parametrize("shape", SHAPES)
def test_vote_counts_signs(native: None, shape: tuple[int, ...]) -> None:
    source, background, _, _, grad = images(shape)
    vote = magnitude_vote(grad, source, background)
    assert vote.dtype == torch.int64
    growth = (grad.numpy() * (source.numpy() - background.numpy())).reshape(shape[0], -1)
    assert vote.tolist() == [int((g > 0).sum()) - int((g < 0).sum()) for g in growth]


def test_vote_ignores_nan_and_ties(any_backend: str) -> None:
    grad = torch.tensor([float("nan"), 1.0, -1.0, 0.0, float("inf")]).view(1, 1, 1, 5)
    vote = magnitude_vote(grad, torch.ones(1, 1, 1, 5), torch.zeros(1, 1, 1, 5))
    assert vote.tolist() == [1]


@pytest.mark.parametrize("eps", [0.01, 0.1, 0.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_refinement_matches_guidance(any_backend: str, shape: tuple[int, ...], eps: float) -> None:
    arguments = images(shape)
    fake, direction = magnitude_refinement(*arguments, eps)
    expected = guidance_refinement(*arguments, eps)
    torch.testing.assert_close(fake, expected.fake, rtol=0, atol=2e-6)
    assert torch.equal(direction, expected.direction)


@pytest.mark.parametrize(("eps", "name"), [(0.01, "step"), (0.1, "step_eps0.1"), (0.0, "nostep")])
def test_refinement_matches_vectors(any_backend: str, vectors: Path, eps: float, name: str) -> None:
    data = {key: torch.from_numpy(value) for key, value in np.load(vectors / "magnitude_refinement.npz").items() if value.ndim}
    fake, _ = magnitude_refinement(data["source"], data["background"], data["fake"], data["mask"], data["grad"], eps)
    assert (fake - data[name]).abs().max() <= 1e-5 * data[name].abs().max()


@pytest.mark.parametrize("count", [2, 3])
def test_same_bits_with_any_number_of_threads(native: None, threads: None, count: int) -> None:
    arguments = images((3, 3, 70, 90))

    torch.set_num_threads(1)
    one = magnitude_refinement(*arguments, 0.01)
    torch.set_num_threads(count)
    assert all(torch.equal(a, b) for a, b in zip(magnitude_refinement(*arguments, 0.01), one, strict=True))


def test_non_contiguous_and_empty(native: None) -> None:
    source, background, fake, mask, grad = (t.transpose(2, 3) for t in images((2, 3, 8, 9)))
    expected = magnitude_refinement(*(t.contiguous() for t in (source, background, fake, mask, grad)), 0.01)
    assert torch.equal(magnitude_refinement(source, background, fake, mask, grad, 0.01)[0], expected[0])
    assert magnitude_refinement(*images((0, 3, 4, 4)), 0.01)[0].shape == (0, 3, 4, 4)
    assert magnitude_vote(*(torch.zeros(2, 3, 0, 4) for _ in range(3))).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda s, m: magnitude_refinement(s, s[:, :2], s, m, s, 0.1),
            r"background: expected float32 \[2, 3, 4, 5\], got float32 \[2, 2, 4, 5\]",
        ),
        (lambda s, m: magnitude_refinement(s, s, s, s, s, 0.1), r"mask: expected float32 \[2, 1, 4, 5\], got float32 \[2, 3, 4, 5\]"),
        (
            lambda s, m: magnitude_refinement(s[0], s[0], s[0], m, s[0], 0.1),
            r"source: expected float32 \[B, C, H, W\], got float32 \[3, 4, 5\]",
        ),
        (lambda s, m: magnitude_refinement(s, s.double(), s, m, s, 0.1), r"background: expected float32 .* got float64"),
        (lambda s, m: magnitude_vote(s, s, s.to("meta")), "background: expected device cpu, got meta"),
        (lambda s, m: magnitude_refinement(s, s, s[:1], m, s, 0.1), r"fake: expected float32 \[2, 3, 4, 5\]"),
    ],
)
def test_errors_say_what_was_expected(any_backend: str, call: Callable[[Tensor, Tensor], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(torch.rand(2, 3, 4, 5), torch.rand(2, 1, 4, 5))


@pytest.mark.cuda
@pytest.mark.parametrize("shape", SHAPES)
def test_cuda_agrees_with_the_cpu(native: None, shape: tuple[int, ...]) -> None:
    arguments = images(shape)
    expected, actual = magnitude_refinement(*arguments, 0.01), magnitude_refinement(*(t.cuda() for t in arguments), 0.01)
    assert torch.equal(actual[0].cpu(), expected[0])
    assert torch.equal(actual[1].cpu(), expected[1])
