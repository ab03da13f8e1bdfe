"""The losses of one batch in one process, from the sums that training adds up over processes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fpg.guidance.losses import LossConfig, Losses, Output, loss_sums, pool_features


class Features(NamedTuple):
    """An output of which only the features count."""

    logits: Tensor
    quality: Tensor
    features: Tensor


class Similarity(NamedTuple):
    loss: Tensor
    selected: Tensor
    pooled: Tensor


def fpg_loss(output: Output, mask: Tensor, quality_target: Tensor, config: LossConfig | None = None) -> Losses:
    """L_cls + 0.075 L_sim + L_q, each a mean over the selected pairs."""
    config = config or LossConfig()
    return loss_sums(output, mask, quality_target, config.class_weights).means(config)


def similarity_loss(features: Tensor, mask: Tensor) -> Similarity:
    """L_sim, a mean over the selected pairs; 0 if there is none."""
    nothing = torch.zeros(len(features), dtype=features.dtype)
    sums = loss_sums(Features(torch.stack([nothing, nothing], 1), nothing, features), mask, nothing)
    return Similarity(sums.similarity / sums.selected.sum().clamp(min=1), *pool_features(features, mask))
