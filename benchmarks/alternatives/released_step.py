"""A guided training step as it was first released: every pass, host copies, a NumPy loop over the samples; without its defects.

FPG (ACM MM 2024). In forwards F of the whole batch: Grad-CAM of both halves with a backward pass through the whole network (3 F), another
forward for the scores (1 F), the magnitude gradient whatever the coin says (1 F), the step itself (3 F): 8 F. It shares with fpg only the
network, the draws and OpenCV's feathering, so the tests take it as the independent reference of `fpg.guidance`.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fpg.guidance.config import GuidanceConfig
from fpg.guidance.draws import GuidanceDraws
from fpg.guidance.losses import LossConfig
from fpg.models.detector import Detector, DetectorOutput
from fpg.ops.feathering import refeather_reference
from fpg.pairs import Pairs


class Plain(NamedTuple):
    """What the step made and found; gradients are in the model's parameters."""

    fake: Tensor
    """Refined forgeries [N, 3, S, S]."""
    mask: Tensor
    """Refined masks [N, 1, S, S]."""
    refined: list[bool]
    """Whose shape was refined."""
    direction: list[int]
    """+1 or -1: which way the magnitude gradient points, whether or not a step was taken."""
    losses: tuple[float, float, float, float]
    """Total, classification, similarity, quality."""


def both_cams(model: Detector, images: Tensor) -> np.ndarray:
    """Grad-CAM of "fake" for every image, on the host [2N, S, S]: a hook at the last block, backward through the whole network."""
    kept: list[Tensor] = []
    output = model(images)
    output.features.register_hook(kept.append)
    output.logits[:, 1].sum().backward()
    model.zero_grad(set_to_none=True)
    activations, gradients = output.features.detach().float().cpu().numpy(), kept[0].float().cpu().numpy()
    cams = []
    for activation, gradient in zip(activations, gradients, strict=True):
        weights = gradient.mean(axis=(1, 2))
        cam = np.maximum((weights[:, None, None] * activation).sum(axis=0), 0)
        cam = _scaled(cv2.resize(_scaled(cam), images.shape[:1:-1], interpolation=cv2.INTER_LINEAR))
        cams.append(cam)
    return np.stack(cams)


def _scaled(cam: np.ndarray) -> np.ndarray:
    cam = cam - cam.min()
    return cam / (cam.max() + np.float32(1e-7))


def refined_shapes(
    pairs: Pairs, cams: np.ndarray, scores: np.ndarray, draws: GuidanceDraws, config: GuidanceConfig
) -> tuple[np.ndarray, np.ndarray, list[bool]]:
    """Forgeries, masks and whose shape was refined: sample after sample on the host."""
    real, fake, mask = (x.cpu().numpy().copy() for x in (pairs.real, pairs.fake, pairs.mask))
    flags = []
    for i in range(len(fake)):
        cam = cams[len(fake) + i]
        cam = cam / cam.max() if cam.max() > 0 else cam
        inside = np.where(mask[i, 0] > 0, 1.0, 0.0)
        mean = cam[cam > 0].mean(dtype=np.float64).astype(np.float32) if (cam > 0).any() else 0
        dominant = np.where(cam > mean, 1.0, 0.0) * inside
        share = dominant.sum() / (inside.sum() + 1e-12)
        score = scores[len(fake) + i]
        flags.append(bool(share < config.threshold and score > config.certainty and inside.sum() > 1 and draws.refine_u[i] < score))
        if flags[-1]:
            rest = (inside - dominant).astype(np.float32)
            soft = refeather_reference(rest, **draws.refeather[i]._asdict(), erosion=config.erosion)
            if not (soft > 0).any():
                flags[-1] = False
                continue
            fake[i] = (1 - soft) * real[i] + soft * fake[i]
            mask[i, 0] = soft
    return fake, mask, flags


def refined_magnitudes(pairs: Pairs, fake: np.ndarray, mask: np.ndarray, gradient: np.ndarray, eps: float) -> tuple[np.ndarray, list[int]]:
    """Forgeries after the magnitude step, and the directions: sample after sample on the host."""
    source, real = pairs.source.cpu().numpy(), pairs.real.cpu().numpy()
    stepped, signs = [], []
    for s, b, f, m, g in zip(source, real, fake, mask, gradient, strict=True):
        growth = g * (s - b)
        signs.append(1 if (growth > 0).sum() > (growth < 0).sum() else -1)
        residual = f - (s * m + b * (1 - m))
        moved = np.clip(m * (1 + eps * signs[-1]), 0, 1)
        stepped.append(np.clip(s * moved + b * (1 - moved) + residual, 0, 1))
    return np.stack(stepped).astype(np.float32), signs


def plain_losses(output: DetectorOutput, mask: Tensor, quality: Tensor, config: LossConfig) -> list[Tensor]:
    """Total, classification, similarity and quality loss over the selected pairs, pair after pair."""
    n = len(mask)
    logits, features = output.logits.float(), output.features.float()
    small = F.interpolate((mask > 0).float(), size=features.shape[-2:], mode="nearest")[:, 0]
    classes, similarities, errors = [], [], []
    for i in range(n):
        region = small[i] > 0
        if not region.any():
            continue
        real, fake = (F.normalize(features[j][:, region].mean(dim=1), dim=0) for j in (i, n + i))
        similarities.append((torch.dot(real, fake) + 1) / 2)
        for j, label in ((i, 0), (n + i, 1)):
            classes.append(-logits[j].log_softmax(dim=0)[label])
            errors.append((output.quality[j].float() - quality[j]).square())
    parts = [torch.stack(values).mean() for values in (classes, similarities, errors)]
    return [parts[0] + config.similarity * parts[1] + config.quality * parts[2], *parts]


def released_step(
    model: Detector,
    pairs: Pairs,
    draws: GuidanceDraws,
    quality: Tensor,
    config: GuidanceConfig,
    losses: LossConfig,
    optimizer: torch.optim.Optimizer | None = None,
    seed: int = 0,
) -> Plain:
    """The whole step; the caller provides the draws, so that it can be compared with fpg's.

    Args:
        quality: targets of the quality head [2N].
        optimizer: updates the weights at the end; None leaves the gradients to look at.
        seed: of torch's generators before the training pass (dropout, stochastic depth).
    """
    images, n = pairs.images(), len(pairs)
    model.eval()
    cams = both_cams(model, images)
    with torch.no_grad():
        scores = model(images).logits.float().softmax(dim=1)[:, 1].cpu().numpy()
    fake, mask, refined = refined_shapes(pairs, cams, scores, draws, config)

    leaf = torch.from_numpy(fake).to(images.device).requires_grad_(True)
    labels = torch.ones(n, dtype=torch.int64, device=images.device)
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(leaf).logits.float(), labels, reduction="sum"), leaf)
    eps = config.eps if draws.step_coin else 0.0
    fake, direction = refined_magnitudes(pairs, fake, mask, gradient.cpu().numpy(), eps)

    model.train()
    torch.manual_seed(seed)
    new_fake, new_mask = torch.from_numpy(fake).to(images.device), torch.from_numpy(mask).to(images.device)
    parts = plain_losses(model(torch.cat([pairs.real, new_fake])), new_mask, quality, losses)
    model.zero_grad(set_to_none=True)
    parts[0].backward()
    if optimizer is not None:
        optimizer.step()
    total, classification, similarity, error = (float(part.detach()) for part in parts)
    return Plain(new_fake, new_mask, refined, direction, (total, classification, similarity, error))
