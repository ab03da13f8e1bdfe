"""Whole self-blended pairs from the windows of their images: every operation of a pair in one call (SBI, CVPR 2022).

On the CPU a fused kernel takes item after item through all steps, so that what lies between them stays in the cache. Elsewhere the
operations of `fpg.ops` run one after the other on the whole batch: their number does not grow with it, and none waits for the device.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fpg.ops.backend import backend, native_module, native_target
from fpg.ops.blend import blend
from fpg.ops.crop import crop_resize
from fpg.ops.jpeg import jpeg_round_trip
from fpg.ops.launch import check_batch
from fpg.ops.mask_table import MaskTable
from fpg.ops.masks import mask_chain, soft_masks
from fpg.ops.memory import recycled, to_device
from fpg.ops.photometry import change_color, resample
from fpg.ops.ragged import RaggedBatch
from fpg.ops.warp import warp

PAIR_RECORD = np.dtype(
    [
        ("affine", "f8", 4),
        ("pixels", "i8"),
        ("size", "i4", 2),
        ("window", "i4", 4),
        ("warped", "i4", 4),
        ("coded", "i4", 4),
        ("crop", "i4", 4),
        ("recolors_source", "i4"),
        ("quality", "i4"),
        ("color", "f4", 9),
        ("resample", "f4", 3),
        ("shared", "f4", 9),
        ("reserved", "i4"),
    ]
)
"""What a pair needs beside its row of the mask table (`SelfBlendItem`, csrc/include/fpg/self_blend.h).

`size` is (height, width) of the full image; `window`, `warped` and `coded` are parts of it, (y0, x0, height, width); `crop` is
(y0, y1, x0, x1) in `coded`; `pixels` is where the window starts in its batch. `color` and `shared` are rows of
`photometry.color_fields`, `resample` of `photometry.resample_fields`, `affine` of `warp.affine_fields`.
"""


class BlendedPairs(NamedTuple):
    """Forgery, background, source and mask after the detection crop."""

    fake: Tensor
    """float32 [B, 3, S, S] in [0, 1], as `real` and `source`."""
    real: Tensor
    source: Tensor
    mask: Tensor
    """float32 [B, 1, S, S] in [0, 1]."""


def self_blend(
    windows: RaggedBatch, records: np.ndarray, masks: MaskTable, size: int, *, alpha: float = 50.0, sigma: float = 7.0
) -> BlendedPairs:
    """Make pairs; the same bits on every device and with any number of threads.

    Args:
        windows: uint8, 3 channels, RGB: the part `window` of each image.
        records: [B] of `PAIR_RECORD`.
        masks: all set, their windows those of `coded`.
        size: S, in pixels.
        alpha, sigma: of the elastic field, pixels.

    Raises:
        ValueError: another number of records or masks, batches of another kind, parts that do not lie in each other.
        MissingDependencyError: `FPG_BACKEND=native` without kernels for this device.

    Source: SBI (CVPR 2022), as FPG (ACM MM 2024) uses it.
    """
    check_batch("windows", windows, torch.uint8, 3)
    if records.dtype != PAIR_RECORD or records.shape != (len(windows),) or len(masks) != len(windows):
        raise ValueError(f"records, masks: expected {len(windows)} of each, got {list(records.shape)} and {len(masks)}")
    if size < 1:
        raise ValueError(f"size: expected at least 1 pixel, got {size}")
    device = windows.data.device
    if device.type == "cpu" and backend("cpu") == "native":
        return _fused(windows, records, masks, size, alpha, sigma)
    return _composed(windows, records, masks, size, alpha, sigma)


def _fused(windows: RaggedBatch, records: np.ndarray, masks: MaskTable, size: int, alpha: float, sigma: float) -> BlendedPairs:
    native, count = native_module(), len(records)
    if PAIR_RECORD.itemsize != native.SELF_BLEND_ITEM_BYTES:
        raise RuntimeError(f"fpg._C: expected records of {native.SELF_BLEND_ITEM_BYTES} bytes, got {PAIR_RECORD.itemsize}; build it again")
    out = [recycled((count, channels, size, size), torch.float32) for channels in (3, 3, 3, 1)]
    rows, pixels = np.ascontiguousarray(records), windows.data.contiguous()
    mask_rows = masks.records()
    inputs = {
        "windows": pixels.data_ptr(),
        "bytes": pixels.numel(),
        "items": rows.ctypes.data,
        "masks": mask_chain(mask_rows, masks.limits(), alpha, sigma),
    }
    slots = min(count, torch.get_num_threads())
    scratch = recycled((slots * native.self_blend_scratch_bytes(**inputs),), torch.uint8)
    native.self_blend(
        **inputs,
        out=[tensor.data_ptr() for tensor in out],
        side=size,
        scratch=scratch.data_ptr(),
        slots=slots,
        target=native_target(pixels.device),
    )
    return BlendedPairs(*out)


def _composed(windows: RaggedBatch, records: np.ndarray, masks: MaskTable, size: int, alpha: float, sigma: float) -> BlendedPairs:
    device, count = windows.data.device, len(records)
    from_source = records["recolors_source"] != 0

    def rows(values: np.ndarray) -> Tensor:
        return to_device(torch.from_numpy(np.ascontiguousarray(values)), device)

    def frames(parts: np.ndarray) -> np.ndarray:
        return np.concatenate([parts[:, :2], records["size"]], 1)

    def layout(parts: np.ndarray) -> RaggedBatch:
        return RaggedBatch.empty([(int(h), int(w)) for h, w in parts[:, 2:]], 3, torch.uint8, device)

    coded = layout(records["coded"])
    coded_frames, window_frames = rows(frames(records["coded"])), frames(records["window"])

    # what is recoloured: as far as the warp reads it if that is the source, else as far as the background goes
    parts = np.where(from_source[:, None], records["warped"], records["coded"])
    colored = change_color(windows, rows(records["color"]))
    changed = resample(colored, rows(records["resample"]), windows=rows(window_frames), out=layout(parts), out_windows=rows(frames(parts)))
    both = torch.cat([windows.data, changed.data])
    moved = changed.offsets + windows.data.numel()

    def choose(which: np.ndarray) -> tuple[RaggedBatch, Tensor]:
        """The recoloured copies of some, the images of the others, and their windows."""
        flags = rows(which)
        sizes = [b if pick else a for a, b, pick in zip(windows.host_sizes, changed.host_sizes, which.tolist(), strict=True)]
        offsets = torch.where(flags, moved, windows.offsets)
        size_rows = torch.where(flags[:, None], changed.sizes, windows.sizes)
        chosen = rows(np.where(which[:, None], frames(parts), window_frames))
        return RaggedBatch(both, offsets, size_rows, 3, tuple(sizes)), chosen

    image, image_frames = choose(from_source)
    source = warp(image, rows(records["affine"]), windows=image_frames, out=coded, out_windows=coded_frames)
    image, image_frames = choose(~from_source)
    nothing = torch.zeros((count, 3), dtype=torch.float32, device=device)
    background = resample(image, nothing, windows=image_frames, out=coded, out_windows=coded_frames)
    soft = soft_masks(masks, alpha=alpha, sigma=sigma, device=device)
    fake = blend(source, background, soft)

    # forgery, background and source as one batch of three times as many
    offsets = torch.cat([coded.offsets + k * fake.data.numel() for k in range(3)])
    data = torch.cat([fake.data, background.data, source.data])
    images = RaggedBatch(data, offsets, coded.sizes.repeat(3, 1), 3, coded.host_sizes * 3)
    images = change_color(images, rows(np.tile(records["shared"], (3, 1))))
    images = jpeg_round_trip(images, torch.from_numpy(np.tile(records["quality"], 3)))
    three = [RaggedBatch(images.data, images.offsets[k * count : (k + 1) * count], coded.sizes, 3, coded.host_sizes) for k in range(3)]
    crops = crop_resize(three, soft, rows(records["crop"]), size)
    assert crops.masks is not None
    return BlendedPairs(crops.images[0], crops.images[1], crops.images[2], crops.masks)
