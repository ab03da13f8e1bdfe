"""Whole pairs with the compiled kernels, from the windows of their images (SBI, CVPR 2022, as FPG (ACM MM 2024) uses it).

On the CPU a fused kernel takes item after item through all steps, so that what lies between them stays in the cache. On a GPU the
operations run one after the other on the whole batch: their number does not grow with it, and none waits for the device.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fpg.common.rectangles import Crop
from fpg.ops.backend import native, native_target
from fpg.ops.checks import check_batch
from fpg.ops.crop import crop_resize
from fpg.ops.mask_table import MaskTable, mask_chain
from fpg.ops.memory import recycled, to_device
from fpg.ops.ragged import RaggedBatch
from fpg.pairs.operations import RESAMPLE_FIELDS, blend, change_color, jpeg_round_trip, resample, soft_masks, warp
from fpg.pairs.pairs import Pairs
from fpg.pairs.records import PAIR_RECORD


def self_blend(
    windows: RaggedBatch,
    records: np.ndarray,
    masks: MaskTable,
    size: int,
    *,
    alpha: float = 50.0,
    sigma: float = 7.0,
    nearest: bool = False,
) -> Pairs:
    """Make pairs, on the device of the windows; the same bits on every device and with any number of threads.

    Args:
        windows: uint8, 3 channels, RGB: the part `window` of each image.
        records: [B] of `PAIR_RECORD`.
        masks: all set, their windows those of `coded`.
        size: S, in pixels.
        alpha, sigma: strength and standard deviation of the elastic field, pixels.
        nearest: the blend is rounded instead of truncated.

    Raises:
        ValueError: another number of records or masks, batches of another kind, parts that do not lie in each other.
        MissingDependencyError: no compiled module.
    """
    check_batch("windows", windows, torch.uint8, 3)
    if records.dtype != PAIR_RECORD or records.shape != (len(windows),) or len(masks) != len(windows):
        raise ValueError(f"records, masks: expected {len(windows)} of each, got {list(records.shape)} and {len(masks)}")
    if size < 1:
        raise ValueError(f"size: expected at least 1 pixel, got {size}")
    make = _fused if windows.data.device.type == "cpu" else _composed
    return make(windows, records, masks, size, alpha, sigma, nearest)


def _fused(windows: RaggedBatch, records: np.ndarray, masks: MaskTable, size: int, alpha: float, sigma: float, nearest: bool) -> Pairs:
    count = len(records)
    if PAIR_RECORD.itemsize != native.SELF_BLEND_ITEM_BYTES:
        raise RuntimeError(f"fpg._C: expected records of {native.SELF_BLEND_ITEM_BYTES} bytes, got {PAIR_RECORD.itemsize}; build it again")
    out = [recycled((count, channels, size, size), torch.float32) for channels in (3, 3, 3, 1)]
    rows, pixels = np.ascontiguousarray(records), windows.data
    chain, _kept = mask_chain(masks, "cpu", alpha, sigma, scratch=False)
    slots = min(count, torch.get_num_threads())
    size_of_slot = native.self_blend_scratch_bytes(windows=pixels.data_ptr(), bytes=pixels.numel(), items=rows.ctypes.data, masks=chain)
    scratch = recycled((slots * size_of_slot,), torch.uint8)
    native.self_blend(
        windows=pixels.data_ptr(),
        bytes=pixels.numel(),
        items=rows.ctypes.data,
        masks=chain,
        out=[tensor.data_ptr() for tensor in out],
        side=size,
        scratch=scratch.data_ptr(),
        slots=slots,
        nearest=nearest,
        target=native_target(pixels.device),
    )
    return Pairs(*out)


def _composed(windows: RaggedBatch, records: np.ndarray, masks: MaskTable, size: int, alpha: float, sigma: float, nearest: bool) -> Pairs:
    device, count = windows.data.device, len(records)
    from_source = records["recolors_source"] != 0

    def rows(values: np.ndarray) -> Tensor:
        return to_device(torch.from_numpy(np.ascontiguousarray(values)), device)

    def frames(crops: np.ndarray) -> np.ndarray:
        """Rows of `Window`."""
        return np.concatenate([crops[:, [0, 2]], records["size"]], 1)

    def layout(crops: np.ndarray) -> RaggedBatch:
        sizes = [(crop.height, crop.width) for crop in (Crop(*row) for row in crops.tolist())]
        return RaggedBatch.empty(sizes, 3, torch.uint8, device)

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
    nothing = torch.zeros((count, RESAMPLE_FIELDS), dtype=torch.float32, device=device)
    background = resample(image, nothing, windows=image_frames, out=coded, out_windows=coded_frames)
    soft = soft_masks(masks, alpha=alpha, sigma=sigma, device=device)
    fake = blend(source, background, soft, nearest=nearest)

    # forgery, background and source as one batch of three times as many
    offsets = torch.cat([coded.offsets + k * fake.data.numel() for k in range(3)])
    data = torch.cat([fake.data, background.data, source.data])
    images = RaggedBatch(data, offsets, coded.sizes.repeat(3, 1), 3, coded.host_sizes * 3)
    images = change_color(images, rows(np.tile(records["shared"], (3, 1))))
    images = jpeg_round_trip(images, torch.from_numpy(np.tile(records["quality"], 3)))
    three = [RaggedBatch(images.data, images.offsets[k * count : (k + 1) * count], coded.sizes, 3, coded.host_sizes) for k in range(3)]
    crops = crop_resize(three, soft, rows(records["crop"]), size)
    assert crops.masks is not None
    fake_crop, real_crop, source_crop = crops.images
    return Pairs(fake_crop, real_crop, source_crop, crops.masks)
