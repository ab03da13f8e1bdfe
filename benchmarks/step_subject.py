"""What `benchmarks/step.py` times: a network with its optimiser and a batch, and its training steps, plain, guided, released and SAM's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from alternatives.released_step import Plain, released_step
from torch import Tensor

from fpg.guidance.config import GuidanceConfig
from fpg.guidance.draws import GuidanceDraws, draw_guidance
from fpg.guidance.guide import Refined, refine
from fpg.guidance.losses import LossConfig, loss_sums
from fpg.guidance.perception import Perception
from fpg.models.config import DetectorConfig
from fpg.models.detector import Detector
from fpg.pairs import Pairs
from fpg.train.sam import ascended

SAM_RHO = 0.05


@dataclass
class Subject:
    """One network with its optimiser and one batch, on the device."""

    model: Detector
    optimizer: torch.optim.Optimizer
    pairs: Pairs
    draws: dict[bool, GuidanceDraws]
    """By coin."""
    quality: Tensor
    config: GuidanceConfig
    losses: LossConfig
    autocast: Callable[[], contextlib.AbstractContextManager[Any]]
    device: torch.device
    perception: Perception

    def differentiate(self, pairs: Pairs, losses: LossConfig) -> None:
        """Forward, losses, backward."""
        self.model.train()
        torch.manual_seed(0)
        with self.autocast():
            output = self.model(pairs.images())
        total = loss_sums(output, pairs.mask, self.quality).means(losses, pairs=len(pairs)).total  # as fpg-train: nothing waits
        assert total is not None
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()

    def learn(self, pairs: Pairs) -> None:
        """And AdamW: a plain step, and what follows guidance in a guided one."""
        self.differentiate(pairs, self.losses)
        self.optimizer.step()

    def sam(self) -> None:
        """The step of SBI with SAM: classification alone, twice."""
        losses = replace(self.losses, similarity=0.0, quality=0.0)
        self.differentiate(self.pairs, losses)
        with ascended(self.model, SAM_RHO):
            self.differentiate(self.pairs, losses)
        self.optimizer.step()

    def plain(self) -> None:
        self.learn(self.pairs)

    def guided(self, coin: bool) -> Refined:
        with self.autocast():
            refined = refine(self.model, self.pairs, self.draws[coin], self.config, self.perception)
        self.learn(refined.pairs)
        return refined

    def released(self, coin: bool) -> Plain:
        with self.autocast():
            return released_step(self.model, self.pairs, self.draws[coin], self.quality, self.config, self.losses, self.optimizer)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def make_pairs(count: int, size: int) -> Pairs:
    """Smooth random faces, soft discs as masks, a little noise as JPEG leaves it."""
    coarse = torch.rand(2, count, 3, 9, 9)
    real, source = (F.interpolate(x, size=(size, size), mode="bicubic").clamp(0, 1) for x in coarse)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    radius = torch.rand(count, 1, 1, 1) * 0.3 + 0.5
    mask = (8 * (1 - (x**2 + y**2).sqrt() / radius)).clamp(0, 1)
    fake = (mask * source + (1 - mask) * real + 0.01 * torch.randn_like(real)).clamp(0, 1)
    return Pairs(fake, real, source, mask)


def make_subject(backbone: str, size: int, batch: int, device: torch.device, precision: str) -> Subject:
    """A network with random weights and settled statistics; draws that refine every second forgery."""
    count = batch // 2
    torch.manual_seed(0)
    pairs = make_pairs(count, size)
    model = Detector(DetectorConfig(backbone=backbone, image_size=size)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    pairs = pairs.map(lambda tensor: tensor.to(device, memory_format=layout))
    _settle(model, pairs.images())
    fused = device.type == "cuda" or None
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2, fused=fused)
    config = GuidanceConfig(threshold=1.0, certainty=0.0)
    drawn = replace(draw_guidance(0, 0, 0, range(count), config), refine_u=np.arange(count) % 2 * 1.0)
    draws = {coin: replace(drawn, step_coin=coin) for coin in (True, False)}
    enabled = precision == "bf16"

    def autocast() -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)

    quality = torch.linspace(0, 2, 2 * count, device=device)
    return Subject(model, optimizer, pairs, draws, quality, config, LossConfig(), autocast, device, Perception(model))


@torch.no_grad()
def _settle(model: torch.nn.Module, images: Tensor) -> None:
    """Running statistics of these images: with those of a new network activations shrink to denormal numbers, which are slow."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    model(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def check(subject: Subject, precision: str) -> int:
    """Both implementations refine the same forgeries to the same images; how many in shape."""
    state = {name: value.clone() for name, value in subject.model.state_dict().items()}
    with subject.autocast():
        ours = refine(subject.model, subject.pairs, subject.draws[True], subject.config, subject.perception)
        other = released_step(subject.model, subject.pairs, subject.draws[True], subject.quality, subject.config, subject.losses)
    subject.model.load_state_dict(state)
    count = int(ours.refined.sum())
    if not count:
        raise RuntimeError("no forgery is refined in shape; nothing that is timed would mean anything")
    if precision == "fp32":
        assert ours.refined.tolist() == other.refined
        agreeing = (ours.direction.cpu() == torch.tensor(other.direction)).float().mean()
        assert agreeing >= 0.5, "the magnitude gradients disagree"
        different = (ours.pairs.fake - other.fake).abs().flatten(1).amax(1).median()
        assert different < 2e-2, f"the refined forgeries differ by {different}"
    return count
