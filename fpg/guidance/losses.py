"""The explicit targets of a training step: class, similarity inside the forged region, quality (FPG, ACM MM 2024).

Sums and counts are kept apart (`LossSums`), so that several processes can take their means over the global batch.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from fpg.guidance.config import LossConfig
from fpg.guidance.response_map import at_least_float32


class Output(Protocol):
    """What the losses need of a detector's output for N reals, then their N forgeries."""

    @property
    def logits(self) -> Tensor:
        """[2N, 2]."""
        ...

    @property
    def quality(self) -> Tensor:
        """[2N]."""
        ...

    @property
    def features(self) -> Tensor:
        """A, activations of the last block, [2N, C, h, w]."""
        ...


class Losses(NamedTuple):
    """Means over what is selected. All None if no pair is: then there must be no update."""

    total: Tensor | None
    """L_cls + 0.075 L_sim + L_q, a scalar with gradient."""
    classification: Tensor | None
    """L_cls, detached scalar, over both halves of the selected pairs."""
    similarity: Tensor | None
    """L_sim, detached scalar in [0, 1], over the selected pairs."""
    quality: Tensor | None
    """L_q, detached scalar, over both halves of the selected pairs."""
    selected: Tensor
    """bool [N]: pairs whose mask is not empty on the grid of the features."""


class LossSums(NamedTuple):
    """Sums over the selected pairs of this process, and their number."""

    classification: Tensor
    """Sum of the cross-entropies of both halves."""
    similarity: Tensor
    """Sum over pairs of (u_real . u_fake + 1) / 2."""
    quality: Tensor
    """Sum of the squared errors of both halves."""
    selected: Tensor
    """bool [N]."""

    def means(self, config: LossConfig, pairs: int | None = None) -> Losses:
        """Divide by the number of selected pairs (twice that for what both halves contribute) and weigh.

        Args:
            config: weights.
            pairs: number to divide by: those selected here (the default), or in all processes. For the latter the caller
                scales for the averaging of gradients (by the number of processes) itself.
        """
        count = int(self.selected.sum()) if pairs is None else pairs
        if count == 0:
            return Losses(None, None, None, None, self.selected)
        classification, similarity, quality = self.classification / (2 * count), self.similarity / count, self.quality / (2 * count)
        total = classification + config.similarity * similarity + config.quality * quality
        return Losses(total, classification.detach(), similarity.detach(), quality.detach(), self.selected)


def loss_sums(output: Output, mask: Tensor, quality_target: Tensor, class_weights: tuple[float, float] = (1.0, 1.0)) -> LossSums:
    """Sums of the three losses over the selected pairs, those whose mask is not empty on the grid of the features.

    L_sim of a pair is (u_real . u_fake + 1) / 2, with u the normalised mean of A where the mask is. Class weights are scaled to a mean of
    1: every selected pair has an image of each class, so that means stay weighted means. Nothing waits for the device.

    Args:
        output: of the detector in training mode for N reals, then their N forgeries; half precision is computed in float32.
        mask: soft masks after refinement, [N, 1, H, W] or [2N, 1, H, W] with the masks of both halves; what is > 0 counts,
            nearest-resized to the grid of the features.
        quality_target: [2N], about 0 to 2; no gradient goes there.
        class_weights: of real and fake images.

    Raises:
        ValueError: shapes that do not fit.
    """
    selected, pooled = pool_features(output.features, mask)
    n = len(selected)
    for name, tensor, shape in (
        ("logits", output.logits, (2 * n, 2)),
        ("quality", output.quality, (2 * n,)),
        ("quality_target", quality_target, (2 * n,)),
    ):
        if tensor.shape != shape:
            raise ValueError(f"{name}: expected {list(shape)}, got {list(tensor.shape)}")
    logits, quality = at_least_float32(output.logits), at_least_float32(output.quality)
    labels = torch.arange(2, device=logits.device).repeat_interleave(n)
    both = torch.cat([selected, selected])
    classification = F.cross_entropy(logits, labels, reduction="none") * both
    if class_weights[0] != class_weights[1]:
        scale = 2 / sum(class_weights)
        classification = torch.cat([part * (weight * scale) for part, weight in zip(classification.split(n), class_weights, strict=True)])
    error = (quality - quality_target.detach().to(quality)).square() * both
    return LossSums(classification.sum(), _similarities(selected, pooled).sum(), error.sum(), selected)


def pool_features(features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the features where the mask is, L2-normalised.

    Args:
        features: A, [2N, C, h, w]: N reals, then their forgeries.
        mask: as `loss_sums`.

    Returns:
        selected, bool [N]: the mask of the pair is not empty on the grid of the features; and u, [2N, C], zeros for pairs that are not.
    """
    if features.ndim != 4 or len(features) % 2 or len(features) == 0:
        raise ValueError(f"features: expected [2N, C, h, w], got {list(features.shape)}")
    n = len(features) // 2
    if mask.ndim != 4 or len(mask) not in (n, 2 * n) or mask.shape[1] != 1:
        raise ValueError(f"mask: expected [{n}, 1, H, W] or [{2 * n}, 1, H, W], got {list(mask.shape)}")
    features = at_least_float32(features)
    region = F.interpolate((mask > 0).to(features.dtype), size=features.shape[-2:], mode="nearest")
    region = region if len(mask) == 2 * n else torch.cat([region, region])
    area = region.sum(dim=(1, 2, 3))
    selected = (area > 0).view(2, n).all(dim=0)
    region = region * torch.cat([selected, selected]).view(-1, 1, 1, 1)
    pooled = (features * region).sum(dim=(2, 3)) / area.clamp(min=1)[:, None]
    return selected, F.normalize(pooled, dim=1)


def _similarities(selected: Tensor, pooled: Tensor) -> Tensor:
    """(u_real . u_fake + 1) / 2 for each pair, [N]; 0 for pairs that are not selected."""
    real, fake = pooled.chunk(2)
    return ((real * fake).sum(dim=1) + 1) / 2 * selected
