"""A small detector with every kind of layer that guidance must leave alone, and random pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from fpg.pairs import Pairs


class Output(NamedTuple):
    logits: Tensor
    quality: Tensor
    features: Tensor


class TinyDetector(nn.Module):
    """Convolutions, batch normalisation, dropout and the two branches; the last block has 1/4 of the resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, padding_mode="reflect"), nn.BatchNorm2d(8), nn.SiLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1, padding_mode="reflect"), nn.BatchNorm2d(16), nn.SiLU(),
        )  # fmt: skip
        self.top = nn.Sequential(nn.Conv2d(16, 24, 1), nn.BatchNorm2d(24), nn.SiLU())
        self.dropout = nn.Dropout(0.4)
        self.classifier = nn.Linear(24, 2)
        self.rate = nn.Linear(24, 1)

    def last_block(self, images: Tensor) -> Tensor:
        return self.blocks(images)

    def head(self, activations: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.top(activations).mean(dim=(2, 3))
        return self.classifier(self.dropout(pooled)), self.rate(pooled)[:, 0]

    def forward(self, images: Tensor) -> Output:
        features = self.last_block(images)
        return Output(*self.head(features), features)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny() -> TinyDetector:
    """In training mode, with running statistics of smooth images, and varied answers that lean towards "fake"."""
    torch.manual_seed(3)
    model = TinyDetector()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        model(nn.functional.interpolate(torch.rand(16, 3, 7, 7), size=(48, 48), mode="bicubic").clamp(0, 1))
        for norm in norms:
            norm.momentum = 0.1
        model.classifier.weight.mul_(15)
        model.classifier.bias.copy_(torch.tensor([-0.5, 0.5]))
    return model


@pytest.fixture
def make_pairs() -> Callable[..., Pairs]:
    def make(n: int, size: int = 48, seed: int = 0) -> Pairs:
        """Smooth random faces; soft discs as masks."""
        rng = torch.Generator().manual_seed(seed)
        coarse = torch.rand(2, n, 3, 7, 7, generator=rng)
        real, source = (nn.functional.interpolate(c, size=(size, size), mode="bicubic").clamp(0, 1) for c in coarse)
        grid = torch.arange(size) - size / 2 + 0.5
        distance = (grid[:, None].square() + grid.square()).sqrt()
        radius = size * (0.25 + 0.2 * torch.rand(n, generator=rng)).view(n, 1, 1, 1)
        mask = ((radius - distance) / 4).clamp(0, 1) * (0.3 + 0.7 * torch.rand(n, 1, 1, 1, generator=rng))
        noise = 0.02 * torch.randn(n, 3, size, size, generator=rng)  # as JPEG leaves behind
        return Pairs((mask * source + (1 - mask) * real + noise).clamp(0, 1), real, source, mask)

    return make
