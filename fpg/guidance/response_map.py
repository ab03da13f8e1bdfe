"""Where the detector responds to an image: Grad-CAM of class "fake" at the last block (FPG, ACM MM 2024, response map).

Grad-CAM: Selvaraju et al., ICCV 2017. Everything here is read in evaluation mode and leaves no trace in the model: modes,
running statistics, `requires_grad` and `.grad` are afterwards what they were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FAKE = 1
"""Index of the class "fake" in the logits."""


class Perceiver(Protocol):
    """What guidance needs of a detector: an `nn.Module` in two parts, split after the last block."""

    def last_block(self, images: Tensor, /) -> Tensor:
        """Images float32 [B, 3, S, S] to the activations [B, C, h, w] of the last block."""
        ...

    def head(self, activations: Tensor, /) -> tuple[Tensor, Tensor]:
        """Those activations to logits [B, 2] and quality [B]."""
        ...


@contextlib.contextmanager
def perception_mode(model: Perceiver) -> Iterator[None]:
    """Evaluation mode without parameter gradients; every module's mode and every parameter's flag return at the end.

    That parameters do not require gradients spares keeping what their gradients would need, and keeps autocast (of torch
    versions where its cache ignores `no_grad`) from handing casts without a graph to a training pass in the same context.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    modes = [(module, module.training) for module in model.modules()]
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        model.eval()
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
        for module, training in modes:
            module.training = training


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _unit_range(maps: Tensor) -> Tensor:
    """(c - min) / (max(c - min) + 1e-7) per map."""
    maps = maps - maps.amin(dim=(1, 2), keepdim=True)
    return maps / (maps.amax(dim=(1, 2), keepdim=True) + 1e-7)


def grad_cam(activations: Tensor, gradients: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Response maps from a layer's activations and the gradients of a logit with respect to them.

    Channel weights are the spatial means of the gradients; ReLU of the weighted sum; scaled to [0, 1]; bilinear to
    `size` (pixel centres); scaled again.

    Args:
        activations: [B, C, h, w], any floating type (computed in at least float32).
        gradients: [B, C, h, w].
        size: (height, width) of the maps, or one number for both.

    Returns:
        [B, height, width] in [0, 1]; all zero where no channel speaks for the class.

    Raises:
        ValueError: shapes that do not fit.
    """
    if activations.ndim != 4 or activations.shape != gradients.shape:
        raise ValueError(f"gradients: expected the activations' [B, C, h, w], got {list(gradients.shape)} for {list(activations.shape)}")
    activations, gradients = at_least_float32(activations), at_least_float32(gradients)
    maps = (gradients.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1).relu()
    target = (size, size) if isinstance(size, int) else size
    resized = F.interpolate(_unit_range(maps)[:, None], size=target, mode="bilinear", align_corners=False)
    return _unit_range(resized[:, 0])


def response_map(model: Perceiver, images: Tensor) -> tuple[Tensor, Tensor]:
    """Response map and probability of "fake" in one pass: no gradient up to the last block, autograd through the head only.

    Args:
        model: a detector (see `Perceiver`).
        images: float32 [B, 3, H, W] in [0, 1].

    Returns:
        maps, float32 [B, H, W] in [0, 1], and probability, float32 [B]; both detached.
    """
    if images.ndim != 4:
        raise ValueError(f"images: expected [B, 3, H, W], got {list(images.shape)}")
    with perception_mode(model):
        with torch.no_grad():
            activations = model.last_block(images)
        with torch.enable_grad():
            activations = activations.detach().requires_grad_(True)
            logits = model.head(activations)[0]
            (gradients,) = torch.autograd.grad(logits[:, FAKE].sum(), activations)
    height, width = images.shape[-2:]
    with torch.no_grad():
        maps = grad_cam(activations, gradients, (height, width))
        return maps, at_least_float32(logits).softmax(dim=1)[:, FAKE]
