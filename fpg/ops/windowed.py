"""Operations on windows of images: an item may be a part of a larger image, and what they compute depends on where it lies there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fpg.ops.backend import backend, native_module, native_target
from fpg.ops.launch import check_batch, check_layout, check_rows, flat_sizes, ragged, views, whole_images
from fpg.ops.ragged import RaggedBatch

Reference = Callable[[Tensor, Sequence[int], tuple[int, int], Sequence[int], Sequence[float]], Tensor]
"""(image [H, W, 3], its window, size of the result, its window, the item's parameters) -> uint8 [h, w, 3]."""


def windowed_operator(name: str, parameters_name: str, reference: Reference) -> Callable[..., Tensor]:
    """Register `fpg::NAME`: `_C.NAME` where its backend is native, else the reference, image after image.

    Args:
        name: of the operator and of the compiled function.
        parameters_name: what the compiled function calls the rows of parameters, one per item.
        reference: the same for one image.
    """

    def run(
        data: Tensor,
        offsets: Tensor,
        sizes: Tensor,
        host_sizes: Sequence[int],
        windows: Tensor,
        out_offsets: Tensor,
        out_sizes: Tensor,
        out_host_sizes: Sequence[int],
        out_elements: int,
        out_windows: Tensor,
        parameters: Tensor,
    ) -> Tensor:
        result = data.new_empty(out_elements)
        if backend(data.device.type) == "reference":
            images, outs = views(data, offsets, host_sizes, 3), views(result, out_offsets, out_host_sizes, 3)
            rows = zip(images, outs, windows.tolist(), out_windows.tolist(), parameters.tolist(), strict=True)
            for image, out, window, out_window, row in rows:
                out.copy_(reference(image, window, (out.shape[0], out.shape[1]), out_window, row))
            return result
        data = data.contiguous()
        getattr(native_module(), name)(
            images=ragged(data, offsets, sizes, 3, host_sizes),
            windows=windows.data_ptr(),
            out=ragged(result, out_offsets, out_sizes, 3, out_host_sizes),
            out_windows=out_windows.data_ptr(),
            target=native_target(data.device),
            **{parameters_name: parameters.data_ptr()},
        )
        return result

    operator = torch.library.custom_op(f"fpg::{name}", run, mutates_args=())

    @operator.register_fake
    def _(
        data: Tensor,
        offsets: Tensor,
        sizes: Tensor,
        host_sizes: Sequence[int],
        windows: Tensor,
        out_offsets: Tensor,
        out_sizes: Tensor,
        out_host_sizes: Sequence[int],
        out_elements: int,
        out_windows: Tensor,
        parameters: Tensor,
    ) -> Tensor:
        return data.new_empty(out_elements)

    return operator


def apply_windowed(
    operator: Callable[..., Tensor],
    images: RaggedBatch,
    windows: Tensor | None,
    out: RaggedBatch | None,
    out_windows: Tensor | None,
    parameters: Tensor,
) -> RaggedBatch:
    """Call an operator of `windowed_operator` on a batch, with the windows that a caller may leave out.

    Raises:
        ValueError: as `check_windows`.
    """
    layout, windows, out_windows = check_windows(images, windows, out, out_windows)
    inputs = (images.data, images.offsets, images.sizes, flat_sizes(images), windows)
    data = operator(*inputs, layout.offsets, layout.sizes, flat_sizes(layout), layout.data.numel(), out_windows, parameters)
    return RaggedBatch(data, layout.offsets, layout.sizes, 3, layout.host_sizes)


def check_windows(
    images: RaggedBatch, windows: Tensor | None, out: RaggedBatch | None, out_windows: Tensor | None
) -> tuple[RaggedBatch, Tensor, Tensor]:
    """Input and output windows of an operation that looks at neighbours: the layout of the result, and both windows in full.

    Raises:
        ValueError: wrong dtype, number of channels, shape or device, an empty item, or `out` without `out_windows`.
    """
    check_batch("images", images, torch.uint8, 3, apart=out is None)
    if any(0 in size for size in images.host_sizes):
        raise ValueError(f"images: expected no empty item, got sizes {list(images.host_sizes)}")
    if out is not None and (out_windows is None or out.channels != 3 or len(out) != len(images)):
        given = "no out_windows" if out_windows is None else f"{len(out)} of {out.channels}"
        raise ValueError(f"out: expected {len(images)} items of 3 channels with their windows, got {given}")
    windows = whole_images(images) if windows is None else check_rows("windows", windows, images, 4, torch.int32)
    layout = images if out is None else out
    if out is not None:
        check_layout("out", out, apart=True)
    if layout.offsets.device != images.data.device:
        raise ValueError(f"out: expected device {images.data.device}, got {layout.offsets.device}")
    return layout, windows, windows if out_windows is None else check_rows("out_windows", out_windows, images, 4, torch.int32)
