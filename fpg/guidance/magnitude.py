"""Magnitude refinement: blend a little more or a little less, whichever raises the loss (FPG, ACM MM 2024)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fpg.guidance.response_map import FAKE, Perceiver, perception_mode
from fpg.ops import magnitude

FLOAT16_SCALE = 2.0**12
"""Under float16 autocast the loss is multiplied by it on the way back: the gradient of a detector that is sure would underflow to 0."""


class MagnitudeRefinement(NamedTuple):
    """Result of `magnitude_refinement`; N forgeries."""

    fake: Tensor
    """[N, 3, H, W] in [0, 1], detached."""
    direction: Tensor
    """v, int64 [N]: +1 blend more, -1 blend less."""


def input_gradient(model: Perceiver, images: Tensor) -> Tensor:
    """g = d CE(model(f), fake) / d f in evaluation mode, to the input alone (no gradient of any weight is computed).

    Args:
        model: a detector (see `fpg.guidance.response_map.Perceiver`).
        images: f, float32 [N, 3, H, W] in [0, 1].

    Returns:
        [N, 3, H, W]; the cross-entropies are summed, so that a sample's gradient does not depend on the batch.
    """
    with perception_mode(model), torch.enable_grad():
        images = images.detach().requires_grad_(True)
        logits = model.head(model.last_block(images))[0].float()
        labels = torch.full((len(images),), FAKE, device=images.device)
        kind = images.device.type
        half = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16
        scale = FLOAT16_SCALE if half else 1.0
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum") * scale, images)
    return gradient / scale


@torch.no_grad()
def magnitude_refinement(source: Tensor, background: Tensor, fake: Tensor, mask: Tensor, grad: Tensor, eps: float) -> MagnitudeRefinement:
    """Scale the mask by 1 + eps v, with v the majority of the signs of G = g (s - b); what no blend explains stays.

    With the residual e = f - (s m + b (1 - m)): v = +1 if more elements of G are > 0 than are < 0, else (ties too) -1;
    m'' = clip(m (1 + eps v), 0, 1); f := clip(s m'' + b (1 - m'') + e, 0, 1).

    Args:
        source: s, float32 [N, 3, H, W] in [0, 1].
        background: b, float32 [N, 3, H, W].
        fake: f, float32 [N, 3, H, W].
        mask: m, float32 [N, 1, H, W] in [0, 1].
        grad: g, float32 [N, 3, H, W]; only the signs matter, not the scale.
        eps: relative change of the mask; 0 gives f back up to rounding.

    Raises:
        ValueError: shapes that do not fit.
    """
    if fake.ndim != 4:
        raise ValueError(f"fake: expected [N, 3, H, W], got {list(fake.shape)}")
    n, _, height, width = fake.shape
    for name, tensor in (("source", source), ("background", background), ("grad", grad)):
        if tensor.shape != fake.shape:
            raise ValueError(f"{name}: expected {list(fake.shape)}, got {list(tensor.shape)}")
    if mask.shape != (n, 1, height, width):
        raise ValueError(f"mask: expected {[n, 1, height, width]}, got {list(mask.shape)}")

    return MagnitudeRefinement(*magnitude.magnitude_refinement(source, background, fake, mask, grad, eps))
