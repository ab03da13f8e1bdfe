"""What the mask operations need to know about each item, in the record that the kernels read (`MaskItem`, csrc/masks/masks.h)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fpg.common.landmarks import COORDINATE_LIMIT, HULL_FAMILIES
from fpg.ops.backend import native
from fpg.ops.memory import to_device

FEATHER_RADIUS = 32
"""Largest radius of a feathering kernel, pixels."""
ELASTIC_RADIUS = 64
"""Largest radius of the elastic field's Gaussian, in grid steps of 2 pixels: sigma up to 32 pixels."""
GPU_SCRATCH = 512 << 20
"""Bytes of scratch memory of the mask kernels on a GPU: of a batch that would need more, so many items are worked on at once as fit."""

_ITEM = np.dtype(
    [
        ("scale", "f8", 2),
        ("shift", "f8", 2),
        ("landmarks", "f4", (81, 2)),
        ("family", "i4"),
        ("points", "i4"),
        ("size", "i4", 2),
        ("origin", "i4", 2),
        ("key", "u8"),
        ("erode", "i4", 4),
        ("small", "i4", 2),
        ("radius", "i4", 2),
        ("weights", "f4", (2, FEATHER_RADIUS + 1)),
        ("ratio", "f4"),
        ("reserved", "i4"),
    ]
)

_SMALL_KERNELS = {1: (1.0,), 3: (0.5, 0.25), 5: (0.375, 0.25, 0.0625), 7: (0.28125, 0.21875, 0.109375, 0.03125)}
_SMALL_KERNELS[9] = (0.234375, 0.19921875, 0.1171875, 0.05078125, 0.015625)


@functools.cache
def gaussian_weights(side: int, sigma: float) -> np.ndarray:
    """Half of a Gaussian kernel from the middle outwards: float32 [side // 2 + 1], the whole sums to 1.

    With `sigma` 0 the standard deviation follows from the side as OpenCV derives it, 0.3 ((side - 1) / 2 - 1) + 0.8, and sides up to 9 have
    OpenCV's binary fractions.
    """
    if not sigma > 0 and side in _SMALL_KERNELS:
        return np.array(_SMALL_KERNELS[side], np.float32)
    deviation = sigma if sigma > 0 else 0.3 * ((side - 1) * 0.5 - 1) + 0.8
    half = np.exp(-0.5 * (np.arange(side // 2 + 1) / deviation) ** 2)
    return (half / (2 * half.sum() - half[0])).astype(np.float32)


class MaskTable:
    """Parameters of a batch of masks, one record per item. Made on the CPU, checked as they are set, sent to a GPU in one copy.

    An operation reads its own part: `fpg.ops.feathering.feather_masks` the feathering, `fpg.pairs.operations.soft_masks` all of it.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        """A table for full images of the given (height, width): identity warp, no erosion, ratio 1, output windows of the full size.

        Raises:
            ValueError: a side that is not 1 to 32767 pixels.
        """
        self._rows = np.zeros(len(sizes), _ITEM)
        self.sizes = tuple((int(h), int(w)) for h, w in sizes)
        """(height, width) of the full images."""
        self.windows = tuple((0, 0, h, w) for h, w in self.sizes)
        """(y0, x0, height, width) of the outputs of `feather_masks` and `soft_masks` within the full images."""
        size = np.array(self.sizes, np.int64).reshape(-1, 2)
        if len(size) and not (size.min() >= 1 and size.max() <= COORDINATE_LIMIT):
            raise ValueError(f"sizes: expected sides of 1 to {COORDINATE_LIMIT} pixels, got {size.min()} to {size.max()}")
        self._rows["size"] = size
        self._rows["scale"] = 1
        self._rows["ratio"] = 1
        self._rows["points"] = 81
        self._rows["small"] = 1
        self._rows["weights"][:, :, 0] = 1

    def __len__(self) -> int:
        return len(self._rows)

    def set_hulls(self, landmarks: Sequence[np.ndarray], families: Sequence[str], points: Sequence[int]) -> None:
        """Hulls of each item.

        Args:
            landmarks: [68 or 81, 2] each, (x, y) in pixels of the full image; may lie outside.
            families: of `HULL_FAMILIES`.
            points: 81 to use the forehead where there is one, 68 to leave it out.

        Raises:
            ValueError: a wrong shape or number, coordinates that are not finite or beyond +-32767, an unknown family.
        """
        self._check_count(landmarks=landmarks, families=families, points=points)
        for index, (marks, family, count) in enumerate(zip(landmarks, families, points, strict=True)):
            marks = np.asarray(marks)
            if marks.shape not in ((68, 2), (81, 2)):
                raise ValueError(f"landmarks of item {index}: expected [68 or 81, 2], got {list(marks.shape)}")
            if not (np.abs(marks) <= COORDINATE_LIMIT).all():
                raise ValueError(f"landmarks of item {index}: expected finite coordinates within +-{COORDINATE_LIMIT} pixels")
            if family not in HULL_FAMILIES:
                raise ValueError(f"family of item {index}: expected one of {', '.join(HULL_FAMILIES)}, got {family}")
            if count not in (68, 81):
                raise ValueError(f"points of item {index}: expected 68 or 81, got {count}")
            row = self._rows[index : index + 1]
            row["landmarks"][0, : len(marks)] = np.trunc(marks)  # before float32 can round a coordinate up
            row["family"] = HULL_FAMILIES.index(family)
            row["points"] = min(count, len(marks))

    def set_warp(self, scale: Any, translate: Any, noise_keys: Sequence[int]) -> None:
        """p' = c + S (p - c) + t about the image's centre, and the elastic field's key.

        Args:
            scale: [B, 2], S for x and y, more than 0.
            translate: [B, 2], t for x and y as a fraction of width and height.
            noise_keys: 64 bits each.

        Raises:
            ValueError: wrong shapes, or values that are not finite or not positive.
        """
        scale, translate = np.asarray(scale, np.float64), np.asarray(translate, np.float64)
        for name, values in (("scale", scale), ("translate", translate)):
            if values.shape != (len(self), 2) or not np.isfinite(values).all():
                raise ValueError(f"{name}: expected finite [{len(self)}, 2], got {list(values.shape)}")
        if not (scale > 0).all():
            raise ValueError(f"scale: expected more than 0, got {scale.min()}")
        self._check_count(noise_keys=noise_keys)
        self._rows["scale"] = scale
        self._rows["shift"] = translate * self._rows["size"][:, ::-1]
        self._rows["key"] = np.array([int(key) & 0xFFFFFFFFFFFFFFFF for key in noise_keys], np.uint64)

    def set_feather(self, draws: Any, ratio: Any = 1.0) -> None:
        """Feathering of each item.

        Args:
            draws: [B, 5] = (height, width, k1, k2, sigma): the size at which it blurs; odd kernel sides up to 65, the first with OpenCV's
                standard deviation, the second with `sigma`, all in pixels.
            ratio: [B] or a number in [0, 1] that the result is multiplied by.

        Raises:
            ValueError: a wrong shape, or a value out of its range.
        """
        draws = np.asarray(draws, np.float64)
        if draws.shape != (len(self), 5):
            raise ValueError(f"draws: expected [{len(self)}, 5] = (height, width, k1, k2, sigma), got {list(draws.shape)}")
        whole, sigma = draws[:, :4].astype(np.int64), draws[:, 4]
        sides = whole[:, 2:]
        if not ((whole[:, :2] >= 1) & (whole[:, :2] <= COORDINATE_LIMIT)).all():
            raise ValueError(f"draws: expected heights and widths of 1 to {COORDINATE_LIMIT} pixels")
        if not ((sides % 2 == 1) & (sides >= 1) & (sides <= 2 * FEATHER_RADIUS + 1)).all():
            raise ValueError(f"draws: expected odd kernel sides of 1 to {2 * FEATHER_RADIUS + 1} pixels, got {sides.tolist()}")
        if not (sigma > 0).all() or not np.isfinite(sigma).all():
            raise ValueError(f"draws: expected sigma more than 0, got {sigma.tolist()}")
        if not ((np.asarray(ratio) >= 0) & (np.asarray(ratio) <= 1)).all():
            raise ValueError(f"ratio: expected numbers in [0, 1], got {ratio}")
        self._rows["small"] = whole[:, :2]
        self._rows["radius"] = sides // 2
        for index, (k1, k2) in enumerate(sides.tolist()):
            for kernel, weights in enumerate((gaussian_weights(k1, 0.0), gaussian_weights(k2, float(sigma[index])))):
                self._rows["weights"][index, kernel, : len(weights)] = weights
        self._rows["ratio"] = ratio

    def set_windows(self, windows: Sequence[tuple[int, int, int, int]]) -> None:
        """Which part of the soft masks to compute: (y0, x0, height, width) within each full image.

        Raises:
            ValueError: a window that is empty or leaves its image.
        """
        self._check_count(windows=windows)
        for index, ((y0, x0, height, width), (full_height, full_width)) in enumerate(zip(windows, self.sizes, strict=True)):
            if not (0 <= y0 < y0 + height <= full_height and 0 <= x0 < x0 + width <= full_width):
                size = f"{full_height} x {full_width}"
                raise ValueError(f"window of item {index}: expected one within {size}, got y {y0} + {height}, x {x0} + {width}")
        self.windows = tuple((int(y), int(x), int(h), int(w)) for y, x, h, w in windows)
        self._rows["origin"] = np.array([w[:2] for w in self.windows], np.int32).reshape(-1, 2)

    def set_erosion(self, sides: Any) -> None:
        """Erosion before `feather_masks`.

        Args:
            sides: [B, 2] = (rows, columns) of a kernel of ones, anchored at its middle, which is after the centre for even sides.

        Raises:
            ValueError: a wrong shape or a side less than 1.
        """
        sides = np.asarray(sides, np.int32)
        if sides.shape != (len(self), 2) or (sides < 1).any():
            raise ValueError(f"sides: expected [{len(self)}, 2] of at least 1, got {list(sides.shape)}")
        before = sides // 2
        after = sides - 1 - before
        self._rows["erode"] = np.stack([before[:, 0], after[:, 0], before[:, 1], after[:, 1]], -1)

    def records(self) -> Tensor:
        """The records as the kernels read them: uint8 [B, bytes], on the CPU."""
        return torch.from_numpy(self._rows.view(np.uint8).reshape(len(self), _ITEM.itemsize))

    def limits(self) -> list[int]:
        """Largest full height and width, feathering height and width, window height and width."""

        def largest(values: np.ndarray) -> list[int]:
            return [int(v) for v in values.max(0)] if len(values) else [1, 1]

        windows = np.array(self.windows, np.int64).reshape(-1, 4)
        return largest(self._rows["size"]) + largest(self._rows["small"]) + largest(windows[:, 2:])

    def _check_count(self, **sequences: Sequence[Any]) -> None:
        for name, values in sequences.items():
            if len(values) != len(self):
                raise ValueError(f"{name}: expected {len(self)}, got {len(values)}")


def record_dtype() -> np.dtype:
    """The NumPy type of one record of `MaskTable.records`."""
    return _ITEM


def mask_chain(
    table: MaskTable, device: torch.device | str, alpha: float = 0.0, sigma: float = 0.5, *, scratch: bool = True
) -> tuple[native.MaskChain, tuple[Tensor, ...]]:
    """A table and the elastic field as the kernels take them, and the memory behind their addresses: keep it as long as the call runs.

    Args:
        table: parameters.
        device: of the operation.
        alpha: strength of the elastic field, pixels.
        sigma: its standard deviation, pixels, at most 32.
        scratch: False for an operation that has scratch memory of its own.

    Raises:
        ValueError: alpha or sigma out of range.
        MissingDependencyError: no compiled module.
    """
    weights = elastic_weights(alpha, sigma)
    records, limits = to_device(table.records(), device), table.limits()
    if records.shape[1] != native.MASK_ITEM_BYTES:
        raise RuntimeError(f"fpg._C: expected records of {native.MASK_ITEM_BYTES} bytes, got {records.shape[1]}; build it again")
    each = native.mask_scratch_bytes(limits, alpha / 2, weights) if scratch and len(table) else 0
    slots = min(len(table), scratch_slots(each, records.is_cuda)) if each else 0
    memory = torch.empty(slots * each, dtype=torch.uint8, device=records.device)
    chain = native.MaskChain(records.data_ptr(), len(table), limits, alpha / 2, weights, memory.data_ptr() if slots else 0, slots)
    return chain, (records, memory)


def scratch_slots(each: int, on_gpu: bool) -> int:
    """How many items, of `each` bytes of scratch memory, are worked on at once: one per thread; on a GPU as many as `GPU_SCRATCH` holds."""
    return max(1, GPU_SCRATCH // each) if on_gpu else torch.get_num_threads()


def elastic_weights(alpha: float, sigma: float) -> list[float]:
    """The Gaussian that gives the elastic field its standard deviation, from the middle outwards (`elastic_blur`).

    Raises:
        ValueError: alpha or sigma out of range.
    """
    grid_sigma, radius = elastic_blur(sigma)
    if not (sigma > 0 and radius <= ELASTIC_RADIUS):
        raise ValueError(f"sigma: expected more than 0 and at most 32 pixels, got {sigma}")
    if not 0 <= alpha <= 2**15:
        raise ValueError(f"alpha: expected 0 to {2**15} pixels, got {alpha}")
    return [1.0] if radius == 0 else [float(w) for w in gaussian_weights(2 * radius + 1, grid_sigma)]


def elastic_blur(sigma: float) -> tuple[float, int]:
    """Standard deviation and radius, in grid steps of 2 pixels, of the Gaussian that gives a field of standard deviation `sigma` pixels.

    Interpolation between grid points is a blur of its own, of variance 3/16 (weights 1/4 and 3/4 at every pixel); it is taken off.
    """
    grid_sigma = float(np.sqrt(max(0.0, (sigma / 2) ** 2 - 3 / 16)))
    return grid_sigma, int(4 * grid_sigma + 0.5)
