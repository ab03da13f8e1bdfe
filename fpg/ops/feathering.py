"""Feathering: a hard mask becomes a soft one that stays inside it (SBI, CVPR 2022, mask generation; FPG, ACM MM 2024, shape refinement).

Resize to a random size, blur, keep only what the blur left untouched, blur again, resize back. `feather` and `refeather_reference` do
it with OpenCV, one mask at a time: the reference of the compiled kernels, which take batches. All is float32, because the second step
tests `blurred / maximum < 1` exactly: pixels of the untouched interior are 1 up to the last bit, and which of them count as 1 depends on
the arithmetic. OpenCV's float32 blur is the reference of the published method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from fpg.ops.backend import native, native_target
from fpg.ops.checks import check_batch
from fpg.ops.mask_table import MaskTable, mask_chain
from fpg.ops.ragged import RaggedBatch

Erosion = Literal["released", "intended"]
"""2 rows x 1 column at OpenCV's anchor (one row goes), which is what the released code does; or k x k ones."""


def refeather(regions: Tensor, draws: Sequence[Sequence[float]], erosion: Erosion = "released") -> Tensor:
    """feather' of shape refinement for a batch of equal sizes, with the compiled kernels: erode, then feather (FPG, ACM MM 2024).

    Args:
        regions: uint8 [N, H, W], values {0, 1}.
        draws: N of (k_erode, height, width, k1, k2, sigma), as `refeather_reference` takes them.
        erosion: see `Erosion`.

    Returns:
        float32 [N, 1, H, W] in [0, 1], on the device of the regions.

    Raises:
        ValueError: a wrong shape, dtype, number of draws or erosion.
        MissingDependencyError: no kernels for this device.
    """
    if regions.dtype != torch.uint8 or regions.ndim != 3:
        raise ValueError(f"regions: expected uint8 [N, H, W], got {str(regions.dtype).removeprefix('torch.')} {list(regions.shape)}")
    _check_erosion(erosion)
    count, height, width = regions.shape
    values = np.asarray(draws, np.float64).reshape(-1, 6)
    table = MaskTable([(height, width)] * count)
    table.set_feather(values[:, 1:])
    table.set_erosion(np.tile([[2, 1]], (count, 1)) if erosion == "released" else values[:, [0, 0]])
    batch = RaggedBatch.empty(table.sizes, 1, torch.uint8, regions.device)
    masks = RaggedBatch(regions.contiguous().view(-1), batch.offsets, batch.sizes, 1, batch.host_sizes)
    return feather_masks(table, masks).data.view(count, 1, height, width)


def feather_masks(table: MaskTable, masks: RaggedBatch) -> RaggedBatch:
    """Soften hard masks of any sizes with the compiled kernels, after an erosion if one is set.

    Args:
        table: with the feathering set, and erosion and windows if there are any.
        masks: uint8, 1 channel, values {0, 1}, of the table's sizes.

    Returns:
        float32, 1 channel, in [0, 1], of the table's windows. A mask without a pixel, before or after any step, gives zeros.

    Raises:
        ValueError: masks of another kind or other sizes.
        MissingDependencyError: no kernels for this device.
    """
    check_batch("masks", masks, torch.uint8, 1)
    if masks.host_sizes != table.sizes:
        raise ValueError(f"masks: expected sizes {list(table.sizes[:4])}..., got {list(masks.host_sizes[:4])}...")
    device = masks.data.device
    out = RaggedBatch.empty([w[2:] for w in table.windows], 1, torch.float32, device)
    if len(table):
        chain, _kept = mask_chain(table, device)
        native.feather_masks(chain=chain, masks=masks.native(), out=out.native(), target=native_target(device))
    return out


def refeather_reference(
    mask: np.ndarray, k_erode: int, height: int, width: int, k1: int, k2: int, sigma: float, erosion: Erosion = "released"
) -> np.ndarray:
    """feather' of one mask with OpenCV: erode, then `feather`.

    Args:
        mask: [H, W] with values {0, 1}, any dtype.
        k_erode: side of the erosion kernel in pixels, used by `erosion="intended"`.
        height, width, k1, k2, sigma: as in `feather`.
        erosion: see `Erosion`.

    Returns:
        float32 [H, W] in [0, 1]; zeros if nothing is left after the erosion.

    Raises:
        ValueError: not two-dimensional or empty, or an unknown erosion.
    """
    _check_mask(mask)
    _check_erosion(erosion)
    kernel = np.ones((2, 1) if erosion == "released" else (k_erode, k_erode), np.uint8)
    return feather(cv2.erode(mask.astype(np.float32), kernel), height, width, k1, k2, sigma)


def feather(mask: np.ndarray, height: int, width: int, k1: int, k2: int, sigma: float) -> np.ndarray:
    """Soften one mask with OpenCV, before its ratio.

    Args:
        mask: [H, W], values in [0, 1], any dtype (hard edges as the hulls have them).
        height, width: size at which it is blurred, in pixels.
        k1: odd kernel side of the first blur; its standard deviation is OpenCV's 0.3 ((k - 1)/2 - 1) + 0.8.
        k2, sigma: odd kernel side and standard deviation of the second blur, in pixels.

    Returns:
        float32 [H, W] in [0, 1]. A mask that is zero everywhere, before or after any step, gives zeros.

    Raises:
        ValueError: not two-dimensional or empty.
    """
    _check_mask(mask)
    soft = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(soft, (k1, k1), 0)
    largest = soft.max()
    if not largest > 0:
        return np.zeros(mask.shape, np.float32)
    soft = soft / largest
    soft[soft < 1] = 0
    soft = cv2.GaussianBlur(soft, (k2, k2), sigma)
    soft = soft / soft.max()  # at least the pixel of the maximum is left, so this is never 0
    return cv2.resize(soft, (mask.shape[1], mask.shape[0]), interpolation=cv2.INTER_LINEAR)


def _check_mask(mask: np.ndarray) -> None:
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(f"mask: expected [H, W], not empty, got {list(mask.shape)}")


def _check_erosion(erosion: str) -> None:
    if erosion not in ("released", "intended"):
        raise ValueError(f"erosion: expected released or intended, got {erosion}")
