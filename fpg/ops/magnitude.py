"""Magnitude refinement: which way the blend should move, and the move itself (FPG, ACM MM 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from fpg.ops.backend import backend, native, native_target
from fpg.ops.checks import dense, describe


def magnitude_vote(grad: Tensor, source: Tensor, background: Tensor) -> Tensor:
    """Per sample, how many elements of g (s - b) are > 0 less how many are < 0. Integers: the same on every device.

    Args:
        grad, source, background: float32 [B, C, H, W].

    Returns:
        int64 [B]. No gradient flows.

    Raises:
        ValueError: wrong shapes, dtypes or devices.

    Source: FPG (ACM MM 2024), magnitude refinement.
    """
    _check(source, {"background": background, "grad": grad}, None)
    return _vote(grad.detach(), source.detach(), background.detach())


def magnitude_refinement(source: Tensor, background: Tensor, fake: Tensor, mask: Tensor, grad: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Move the blend by eps in the direction of the vote; what no blend explains stays. Two passes over the data.

    v = +1 if `magnitude_vote` is positive, else -1; m'' = clip(m (1 + eps v), 0, 1);
    f := clip(s m'' + b (1 - m'') + (f - (s m + b (1 - m))), 0, 1).

    Args:
        source, background, fake, grad: float32 [B, C, H, W].
        mask: float32 [B, 1, H, W] in [0, 1].
        eps: relative change of the mask.

    Returns:
        f float32 [B, C, H, W] and v int64 [B]. No gradient flows.

    Raises:
        ValueError: wrong shapes, dtypes or devices.

    Source: FPG (ACM MM 2024), magnitude refinement.
    """
    _check(source, {"background": background, "fake": fake, "grad": grad}, mask)
    source, background, fake, mask = (t.detach() for t in (source, background, fake, mask))
    votes = _vote(grad.detach(), source, background)
    return _step(source, background, fake, mask, votes, eps), torch.where(votes > 0, 1, -1)


def magnitude_vote_reference(grad: Tensor, source: Tensor, background: Tensor) -> Tensor:
    """`magnitude_vote` in pure torch, independent of `csrc/`."""
    growth = (grad * (source - background)).flatten(1)
    return (growth > 0).sum(1) - (growth < 0).sum(1)


def magnitude_step_reference(source: Tensor, background: Tensor, fake: Tensor, mask: Tensor, votes: Tensor, eps: float) -> Tensor:
    """The step of `magnitude_refinement` in pure torch: the mask moved by eps in the direction of the vote, plus the residual, clipped."""
    residual = fake - (source * mask + background * (1 - mask))
    direction = torch.where(votes > 0, 1, -1).to(mask.dtype).view(-1, 1, 1, 1)
    moved = (mask * (1 + eps * direction)).clamp(0, 1)
    return (source * moved + background * (1 - moved) + residual).clamp(0, 1)


def _check(source: Tensor, images: dict[str, Tensor], mask: Tensor | None) -> None:
    if source.dim() != 4 or source.shape[1] < 1 or source.dtype != torch.float32:
        raise ValueError(f"source: expected float32 [B, C, H, W], got {describe(source)}")
    b, _, h, w = source.shape
    expected = {name: (tensor, list(source.shape)) for name, tensor in images.items()}
    if mask is not None:
        expected["mask"] = (mask, [b, 1, h, w])
    for name, (tensor, shape) in expected.items():
        if list(tensor.shape) != shape or tensor.dtype != source.dtype:
            raise ValueError(f"{name}: expected float32 {shape}, got {describe(tensor)}")
        if tensor.device != source.device:
            raise ValueError(f"{name}: expected device {source.device}, got {tensor.device}")


def _vote(grad: Tensor, source: Tensor, background: Tensor) -> Tensor:
    if backend(source.device.type) == "reference":
        return magnitude_vote_reference(grad, source, background)
    grad, source, background = grad.contiguous(), source.contiguous(), background.contiguous()
    votes = source.new_empty(source.shape[0], dtype=torch.int64)
    native.magnitude_vote(
        gradient=dense(grad),
        source=dense(source),
        background=dense(background),
        votes=votes.data_ptr(),
        target=native_target(source.device),
    )
    return votes


def _step(source: Tensor, background: Tensor, fake: Tensor, mask: Tensor, votes: Tensor, eps: float) -> Tensor:
    if backend(source.device.type) == "reference":
        return magnitude_step_reference(source, background, fake, mask, votes, eps)
    source, background, fake, mask = (t.contiguous() for t in (source, background, fake, mask))
    out = torch.empty_like(source)
    native.magnitude_step(
        source=dense(source),
        background=dense(background),
        fake=dense(fake),
        mask=dense(mask),
        votes=votes.data_ptr(),
        eps=eps,
        out=dense(out),
        target=native_target(source.device),
    )
    return out
