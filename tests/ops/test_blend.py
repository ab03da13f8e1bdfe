"""Blending: the uint8 forgery, the float re-blend with its gradients, the vote and the magnitude step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from image_input import SIZES, random_batch
from torch import Tensor

from fpg.augment.self_blend import blend as blend_opencv
from fpg.guidance.magnitude import magnitude_refinement as guidance_refinement
from fpg.ops import reference_blend as reference
from fpg.ops.blend import blend, magnitude_refinement, magnitude_vote, reblend, residual
from fpg.ops.ragged import RaggedBatch

SHAPES = [(1, 1, 1, 1), (2, 3, 1, 7), (3, 3, 33, 41), (1, 3, 140, 150), (2, 5, 9, 1)]


def images(shape: tuple[int, ...], device: str = "cpu", dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """source, background, fake, mask, grad; some equal pixels and zero gradients, so that growth is 0 there."""
    source, background, fake = (torch.rand(shape, dtype=dtype) for _ in range(3))
    grad = torch.randn(shape, dtype=dtype)
    background = torch.where(torch.rand(shape) < 0.2, source, background)
    grad = torch.where(torch.rand(shape) < 0.2, torch.zeros_like(grad), grad)
    mask = torch.rand(shape[0], 1, *shape[2:], dtype=dtype)
    return tuple(t.to(device) for t in (source, background, fake, mask, grad))


def test_blend_matches_opencv_exactly(any_backend: str, rng: np.random.Generator) -> None:
    (source, s), (background, b) = random_batch(rng), random_batch(rng)
    masks = [rng.random(size, dtype=np.float32) * (rng.random(size) > 0.3) for size in SIZES]
    masks = [np.where(rng.random(m.shape) > 0.8, 1, m).astype(np.float32) for m in masks]
    result = blend(s, b, RaggedBatch.from_list(masks))
    for index, mask in enumerate(masks):
        np.testing.assert_array_equal(result.item(index).numpy(), blend_opencv(source[index], background[index], mask))


def test_blend_keeps_senseless_masks_in_range(any_backend: str) -> None:
    source = RaggedBatch.from_list([np.full((1, 6, 3), 200, np.uint8)])
    background = RaggedBatch.from_list([np.full((1, 6, 3), 100, np.uint8)])
    mask = np.array([[np.nan, np.inf, -np.inf, 7, -7, 1]], np.float32)
    result = blend(source, background, RaggedBatch.from_list([mask])).item(0)
    assert result[0, :, 0].tolist() == [100, 200, 100, 200, 100, 200]


@pytest.mark.parametrize("shape", SHAPES)
def test_reblend_and_gradients_match_reference(native: None, shape: tuple[int, ...]) -> None:
    source, background, _, mask, grad = images(shape)
    torch.testing.assert_close(reblend(source, background, mask), reference.reblend(source, background, mask), rtol=0, atol=1e-6)
    inputs = [t.clone().requires_grad_() for t in (source, background, mask)]
    ours = torch.autograd.grad(reblend(*inputs), inputs, grad)
    plain = torch.autograd.grad(inputs[2] * inputs[0] + (1 - inputs[2]) * inputs[1], inputs, grad)
    for a, e in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-5, atol=1e-6)


def test_reblend_gradcheck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPG_BACKEND", "reference")
    source, background, _, mask, _ = images((2, 3, 4, 5), dtype=torch.float64)
    assert torch.autograd.gradcheck(reblend, tuple(t.requires_grad_() for t in (source, background, mask)))


def test_gradient_only_where_asked(any_backend: str) -> None:
    source, background, _, mask, _ = images((2, 3, 6, 5))
    reblend(source, background, mask.requires_grad_()).square().sum().backward()
    assert mask.grad is not None
    expected = (2 * reblend(source, background, mask.detach()) * (source - background)).sum(1, keepdim=True)
    torch.testing.assert_close(mask.grad, expected)
    assert source.grad is None


def test_residual_and_reblend_rebuild_the_forgery(any_backend: str) -> None:
    source, background, fake, mask, _ = images((2, 3, 6, 5))
    rebuilt = reblend(source, background, mask) + residual(fake, source, background, mask)
    torch.testing.assert_close(rebuilt, fake, rtol=0, atol=1e-6)


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

    def run() -> tuple[Tensor, ...]:
        return (reblend(*arguments[:2], arguments[3]), *magnitude_refinement(*arguments, 0.01))

    torch.set_num_threads(1)
    one = run()
    torch.set_num_threads(count)
    assert all(torch.equal(a, b) for a, b in zip(run(), one, strict=True))


def test_non_contiguous_and_empty(native: None) -> None:
    source, background, fake, mask, grad = (t.transpose(2, 3) for t in images((2, 3, 8, 9)))
    expected = magnitude_refinement(*(t.contiguous() for t in (source, background, fake, mask, grad)), 0.01)
    assert torch.equal(magnitude_refinement(source, background, fake, mask, grad, 0.01)[0], expected[0])
    assert reblend(*images((0, 3, 4, 4))[:2], torch.zeros(0, 1, 4, 4)).shape == (0, 3, 4, 4)
    assert magnitude_vote(*(torch.zeros(2, 3, 0, 4) for _ in range(3))).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, m: reblend(s, s[:, :2], m), r"background: expected float32 \[2, 3, 4, 5\], got float32 \[2, 2, 4, 5\]"),
        (lambda s, m: reblend(s, s, s), r"mask: expected float32 \[2, 1, 4, 5\], got float32 \[2, 3, 4, 5\]"),
        (lambda s, m: reblend(s[0], s[0], m), r"source: expected float32 \[B, C, H, W\], got float32 \[3, 4, 5\]"),
        (lambda s, m: reblend(s, s.double(), m), r"background: expected float32 .* got float64"),
        (lambda s, m: magnitude_vote(s, s, s.to("meta")), "background: expected device cpu, got meta"),
        (lambda s, m: magnitude_refinement(s, s, s[:1], m, s, 0.1), r"fake: expected float32 \[2, 3, 4, 5\]"),
    ],
)
def test_errors_say_what_was_expected(any_backend: str, call: Callable[[Tensor, Tensor], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(torch.rand(2, 3, 4, 5), torch.rand(2, 1, 4, 5))


def test_opcheck(any_backend: str, rng: np.random.Generator) -> None:
    source, background, fake, mask, grad = images((2, 3, 4, 5))
    operators = torch.ops.fpg
    leaves = tuple(t.clone().requires_grad_() for t in (source, background, mask))
    torch.library.opcheck(operators.reblend.default, leaves)
    torch.library.opcheck(operators.reblend_backward.default, (grad, source, background, mask))
    torch.library.opcheck(operators.magnitude_vote.default, (grad, source, background))
    votes = magnitude_vote(grad, source, background)
    torch.library.opcheck(operators.magnitude_step.default, (source, background, fake, mask, votes, 0.01))
    _, batch = random_batch(rng, [(4, 5), (3, 3)])
    masks = RaggedBatch.from_list([np.full((4, 5), 0.3, np.float32), np.full((3, 3), 0.6, np.float32)])
    offsets = (batch.offsets, batch.offsets, masks.offsets)
    torch.library.opcheck(operators.blend.default, (batch.data, batch.data, masks.data, *offsets, batch.sizes, [4, 5, 3, 3]))


@pytest.mark.cuda
@pytest.mark.parametrize("shape", SHAPES)
def test_cuda_agrees_with_the_cpu(native: None, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    arguments = images(shape)
    on_gpu = tuple(t.cuda() for t in arguments)
    expected, actual = magnitude_refinement(*arguments, 0.01), magnitude_refinement(*on_gpu, 0.01)
    assert torch.equal(actual[0].cpu(), expected[0])
    assert torch.equal(actual[1].cpu(), expected[1])
    gradients = []
    for s, b, _, m, g in (arguments, on_gpu):
        leaves = [t.clone().requires_grad_() for t in (s, b, m)]
        gradients.append([t.cpu() for t in torch.autograd.grad(reblend(*leaves), leaves, g)])
    assert all(torch.equal(a, e) for a, e in zip(*gradients, strict=True))
    (_, s), (_, b) = random_batch(rng), random_batch(rng)
    masks = RaggedBatch.from_list([rng.random(size, dtype=np.float32) for size in SIZES])
    assert torch.equal(blend(s.to("cuda"), b.to("cuda"), masks.to("cuda")).data.cpu(), blend(s, b, masks).data)
