"""Magnitude refinement: against NumPy in double precision, ties, clipping, and that a step raises the loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpg.guidance.magnitude import input_gradient, magnitude_refinement
from fpg.pairs import Pairs


@pytest.mark.parametrize("eps", [0.01, 0.3, 0.0])
def test_against_numpy(eps: float) -> None:
    rng = np.random.default_rng(7)
    shape = (9, 3, 21, 17)
    s, b, f = (rng.random(shape, np.float32) for _ in range(3))
    m = (rng.random((9, 1, 21, 17)) * rng.integers(0, 2, (9, 1, 21, 17))).astype(np.float32)
    g = (rng.standard_normal(shape) * rng.integers(0, 2, shape) + rng.uniform(-0.2, 0.2, (9, 1, 1, 1))).astype(np.float32)
    g[0] = 0  # a tie
    m[1] = 0
    m[2] = 1  # cannot grow
    g[3] = np.nan
    result = magnitude_refinement(*(torch.from_numpy(x) for x in (s, b, f, m, g)), eps)

    s, b, f, m = (x.astype(np.float64) for x in (s, b, f, m))
    for i in range(9):
        growth = g[i] * (s[i] - b[i])
        v = 1 if (growth > 0).sum() > (growth < 0).sum() else -1
        e = f[i] - (s[i] * m[i] + b[i] * (1 - m[i]))
        stepped = np.clip(m[i] * (1 + eps * v), 0, 1)
        assert result.direction[i] == v
        np.testing.assert_allclose(result.fake[i].numpy(), np.clip(s[i] * stepped + b[i] * (1 - stepped) + e, 0, 1), atol=1e-6)
    assert result.direction[0] == result.direction[3] == -1
    assert set(result.direction.tolist()) == {-1, 1}


def test_only_signs_count(make_pairs: Callable[..., Pairs]) -> None:
    pairs = make_pairs(4)
    gradient = torch.randn(4, 3, 48, 48)
    arguments = pairs.source, pairs.real, pairs.fake, pairs.mask
    one, other = (magnitude_refinement(*arguments, gradient * scale, 0.01) for scale in (1.0, 1e-6))
    assert torch.equal(one.fake, other.fake)


class Brightness(nn.Module):
    """Takes bright images for fake."""

    def last_block(self, images: Tensor) -> Tensor:
        return images

    def head(self, activations: Tensor) -> tuple[Tensor, Tensor]:
        brightness = activations.mean(dim=(1, 2, 3))
        return torch.stack([-brightness, brightness], dim=1), brightness


def loss(images: Tensor) -> Tensor:
    return F.cross_entropy(Brightness().head(images)[0], torch.ones(len(images), dtype=torch.int64), reduction="none")


def test_a_step_raises_the_loss() -> None:
    real = torch.full((2, 3, 16, 16), 0.5)
    source = torch.stack([torch.full((3, 16, 16), 0.8), torch.full((3, 16, 16), 0.2)])
    mask = torch.full((2, 1, 16, 16), 0.6)
    fake = mask * source + (1 - mask) * real
    gradient = input_gradient(Brightness(), fake)
    result = magnitude_refinement(source, real, fake, mask, gradient, 0.01)
    assert result.direction.tolist() == [-1, 1]
    assert (loss(result.fake) > loss(fake)).all()


def test_gradient_is_that_of_the_cross_entropy(tiny: nn.Module) -> None:
    images = torch.rand(3, 3, 32, 32)
    gradient = input_gradient(tiny, images)  # type: ignore[arg-type]
    tiny.eval()
    leaf = images.clone().requires_grad_(True)
    F.cross_entropy(tiny(leaf)[0], torch.ones(3, dtype=torch.int64), reduction="sum").backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().max() > 0
    torch.testing.assert_close(gradient, leaf.grad)
    assert not gradient.requires_grad


def test_errors_name_shapes() -> None:
    x = torch.rand(2, 3, 8, 8)
    with pytest.raises(ValueError, match=r"mask: expected \[2, 1, 8, 8\], got \[2, 8, 8\]"):
        magnitude_refinement(x, x, x, x[:, 0], x, 0.01)
    with pytest.raises(ValueError, match=r"grad: expected \[2, 3, 8, 8\], got \[1, 3, 8, 8\]"):
        magnitude_refinement(x, x, x, x[:, :1], x[:1], 0.01)


class Sure(nn.Module):
    """Answers "fake" with a margin at which the cross-entropy's gradient, in float16 on its way through the network, is 0."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)
        self.classifier = nn.Linear(4, 2)
        with torch.no_grad():
            self.classifier.weight.mul_(0.05)
            self.classifier.bias.copy_(torch.tensor([0.0, 10.0]))

    def last_block(self, images: Tensor) -> Tensor:
        return self.convolution(images)

    def head(self, activations: Tensor) -> tuple[Tensor, Tensor]:
        pooled = activations.mean((2, 3))
        return self.classifier(pooled), pooled[:, 0]


def test_float16_keeps_the_gradient_of_a_sure_detector() -> None:
    model, images = Sure(), torch.rand(2, 3, 16, 16)
    exact = input_gradient(model, images)
    with torch.autocast("cpu", dtype=torch.float16):
        half = input_gradient(model, images)
    assert exact.abs().max() > 0
    assert (half.sign() == exact.sign()).float().mean() > 0.9
