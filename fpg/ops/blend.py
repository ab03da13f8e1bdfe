"""Blending with a soft mask: the forgery in uint8, and its float form with gradients for guidance.

SBI (CVPR 2022): f = m s + (1 - m) b. FPG (ACM MM 2024), magnitude refinement: which way the blend should move, and the move itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fpg.ops import reference_blend
from fpg.ops.backend import backend, native_module, native_target
from fpg.ops.launch import check_batch, dense, describe, flat_sizes, ragged, views
from fpg.ops.ragged import RaggedBatch


def blend(source: RaggedBatch, background: RaggedBatch, masks: RaggedBatch) -> RaggedBatch:
    """m s + (1 - m) b in float32, truncated to uint8.

    Args:
        source, background: uint8, 3 channels, of the same sizes.
        masks: float32, 1 channel, of the same sizes; clipped to [0, 1], NaN counts as 0.

    Returns:
        uint8, 3 channels, laid out as `background`.

    Raises:
        ValueError: wrong dtype, number of channels, sizes or device.

    Source: SBI (CVPR 2022).
    """
    check_batch("source", source, torch.uint8, 3)
    check_batch("background", background, torch.uint8, 3, source, apart=True)
    check_batch("masks", masks, torch.float32, 1, source)
    offsets = (source.offsets, background.offsets, masks.offsets)
    data = _blend(source.data, background.data, masks.data, *offsets, background.sizes, flat_sizes(source))
    return RaggedBatch(data, background.offsets, background.sizes, 3, background.host_sizes)


@torch.library.custom_op("fpg::blend", mutates_args=())
def _blend(
    source: Tensor,
    background: Tensor,
    masks: Tensor,
    source_offsets: Tensor,
    offsets: Tensor,
    mask_offsets: Tensor,
    sizes: Tensor,
    host_sizes: Sequence[int],
) -> Tensor:
    source, background, masks = source.contiguous(), background.contiguous(), masks.contiguous()
    result = torch.empty_like(background)
    if backend(source.device.type) == "reference":
        batches = ((source, source_offsets, 3), (background, offsets, 3), (masks, mask_offsets, 1), (result, offsets, 3))
        for s, b, m, out in zip(*(views(data, start, host_sizes, channels) for data, start, channels in batches), strict=True):
            out.copy_(reference_blend.blend(s, b, m))
        return result
    if background.numel() == 0:
        return result
    native_module().blend(
        source=ragged(source, source_offsets, sizes, 3, host_sizes),
        background=ragged(background, offsets, sizes, 3, host_sizes),
        masks=ragged(masks, mask_offsets, sizes, 1, host_sizes),
        out=result.data_ptr(),
        target=native_target(source.device),
    )
    return result


@_blend.register_fake
def _(
    source: Tensor,
    background: Tensor,
    masks: Tensor,
    source_offsets: Tensor,
    offsets: Tensor,
    mask_offsets: Tensor,
    sizes: Tensor,
    host_sizes: Sequence[int],
) -> Tensor:
    return torch.empty_like(background, memory_format=torch.contiguous_format)


def reblend(source: Tensor, background: Tensor, mask: Tensor) -> Tensor:
    """f = m s + (1 - m) b, differentiable in all three (once).

    Args:
        source, background: float32 [B, C, H, W], C >= 1. With the reference backend any floating dtype.
        mask: [B, 1, H, W], the same dtype.

    Returns:
        [B, C, H, W].

    Raises:
        ValueError: wrong shapes, dtypes or devices.

    Source: SBI (CVPR 2022); FPG (ACM MM 2024).
    """
    _check(source, {"background": background}, mask)
    return _reblend(source, background, mask)


def residual(fake: Tensor, source: Tensor, background: Tensor, mask: Tensor) -> Tensor:
    """e = f - (m s + (1 - m) b), what no blend explains: all as in `reblend`, `fake` [B, C, H, W]."""
    _check(source, {"background": background, "fake": fake}, mask)
    return fake - _reblend(source, background, mask)


def _check(source: Tensor, images: dict[str, Tensor], mask: Tensor | None) -> None:
    if source.dim() != 4 or source.shape[1] < 1 or not source.is_floating_point():
        raise ValueError(f"source: expected float32 [B, C, H, W], got {describe(source)}")
    b, _, h, w = source.shape
    expected = {name: (tensor, list(source.shape)) for name, tensor in images.items()}
    if mask is not None:
        expected["mask"] = (mask, [b, 1, h, w])
    for name, (tensor, shape) in expected.items():
        if list(tensor.shape) != shape or tensor.dtype != source.dtype:
            raise ValueError(f"{name}: expected {str(source.dtype).removeprefix('torch.')} {shape}, got {describe(tensor)}")
        if tensor.device != source.device:
            raise ValueError(f"{name}: expected device {source.device}, got {tensor.device}")
    if source.dtype != torch.float32 and backend(source.device.type) == "native":
        raise ValueError(f"source: expected float32 [B, C, H, W], got {describe(source)}")


@torch.library.custom_op("fpg::reblend", mutates_args=())
def _reblend(source: Tensor, background: Tensor, mask: Tensor) -> Tensor:
    if backend(source.device.type) == "reference":
        return reference_blend.reblend(source, background, mask)
    source, background, mask = source.contiguous(), background.contiguous(), mask.contiguous()
    out = torch.empty_like(source)
    native_module().reblend(
        source=dense(source), background=dense(background), mask=dense(mask), out=dense(out), target=native_target(source.device)
    )
    return out


@_reblend.register_fake
def _(source: Tensor, background: Tensor, mask: Tensor) -> Tensor:
    return torch.empty_like(source, memory_format=torch.contiguous_format)


@torch.library.custom_op("fpg::reblend_backward", mutates_args=())
def _reblend_backward(gradient: Tensor, source: Tensor, background: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if backend(source.device.type) == "reference":
        return reference_blend.reblend_backward(gradient, source, background, mask)
    gradient, source, background, mask = (t.contiguous() for t in (gradient, source, background, mask))
    outs = torch.empty_like(source), torch.empty_like(source), torch.empty_like(mask)
    native_module().reblend_backward(
        gradient=dense(gradient),
        source=dense(source),
        background=dense(background),
        mask=dense(mask),
        source_gradient=dense(outs[0]),
        background_gradient=dense(outs[1]),
        mask_gradient=dense(outs[2]),
        target=native_target(source.device),
    )
    return outs


@_reblend_backward.register_fake
def _(gradient: Tensor, source: Tensor, background: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    dense_format = torch.contiguous_format
    like = (torch.empty_like(t, memory_format=dense_format) for t in (source, source, mask))
    return next(like), next(like), next(like)


def _save(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _backward(ctx, gradient):  # type: ignore[no-untyped-def]
    return _reblend_backward(gradient, *ctx.saved_tensors)


_reblend.register_autograd(_backward, setup_context=_save)


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
    return _magnitude_vote(grad.detach(), source.detach(), background.detach())


@torch.library.custom_op("fpg::magnitude_vote", mutates_args=())
def _magnitude_vote(grad: Tensor, source: Tensor, background: Tensor) -> Tensor:
    if backend(source.device.type) == "reference":
        return reference_blend.magnitude_vote(grad, source, background)
    grad, source, background = grad.contiguous(), source.contiguous(), background.contiguous()
    votes = source.new_empty(source.shape[0], dtype=torch.int64)
    native_module().magnitude_vote(
        gradient=dense(grad),
        source=dense(source),
        background=dense(background),
        votes=votes.data_ptr(),
        target=native_target(source.device),
    )
    return votes


@_magnitude_vote.register_fake
def _(grad: Tensor, source: Tensor, background: Tensor) -> Tensor:
    return source.new_empty(source.shape[0], dtype=torch.int64)


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
    source, background = source.detach(), background.detach()
    votes = _magnitude_vote(grad.detach(), source, background)
    refined = _magnitude_step(source, background, fake.detach(), mask.detach(), votes, eps)
    return refined, torch.where(votes > 0, 1, -1)


@torch.library.custom_op("fpg::magnitude_step", mutates_args=())
def _magnitude_step(source: Tensor, background: Tensor, fake: Tensor, mask: Tensor, votes: Tensor, eps: float) -> Tensor:
    if backend(source.device.type) == "reference":
        return reference_blend.magnitude_step(source, background, fake, mask, votes, eps)
    source, background, fake, mask, votes = (t.contiguous() for t in (source, background, fake, mask, votes))
    out = torch.empty_like(source)
    native_module().magnitude_step(
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


@_magnitude_step.register_fake
def _(source: Tensor, background: Tensor, fake: Tensor, mask: Tensor, votes: Tensor, eps: float) -> Tensor:
    return torch.empty_like(source, memory_format=torch.contiguous_format)
