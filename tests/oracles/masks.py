"""The mask operations in NumPy: what the kernels are compared with.

Written on its own, from the equations: lines are walked pixel by pixel, every image is computed whole. Only feathering follows a
given order of float32 operations, because what it keeps depends on the last bit (see `fpg.ops.feathering`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fpg.common.landmarks import HULL_FAMILIES
from fpg.common.philox import noise_field
from fpg.ops.mask_table import record_dtype

_RIGHT_EYE, _LEFT_EYE = [*range(17, 22), *range(27, 36), 8], [*range(22, 27), *range(27, 36), 8]
_DFL_FULL = ([*range(17), *range(48, 68)], [*range(27, 31), 33], [*range(17, 27), 0, 27, 16, 33])
_COMPONENTS = (
    [*range(9), 17],
    [*range(8, 17), 26],
    [17, 18, 19, 8],
    [24, 25, 26, 8],
    [*range(19, 25), 8],
    _RIGHT_EYE,
    _LEFT_EYE,
    [*range(27, 36)],
)


def feather_masks(
    records: Tensor, masks: Tensor, mask_offsets: Tensor, mask_sizes: Tensor, out: Tensor, offsets: Tensor, sizes: Tensor
) -> None:
    """Write the soft masks; see `fpg.ops.feathering.feather_masks`."""
    given = _split(masks, mask_offsets, mask_sizes)
    shapes = sizes.tolist()
    _each(records, out, offsets, sizes, lambda row, index: _feather(row, _erode(row, given[index]), shapes[index]))


def soft_masks(records: Tensor, out: Tensor, offsets: Tensor, sizes: Tensor, elastic: list[float]) -> None:
    """Write the soft masks; see `fpg.pairs.operations.soft_masks`."""
    shapes = sizes.tolist()
    _each(records, out, offsets, sizes, lambda row, index: _feather(row, warp(row, face(row), *elastic), shapes[index]))


def _each(records: Tensor, out: Tensor, offsets: Tensor, sizes: Tensor, make: Callable[[np.void, int], np.ndarray]) -> None:
    rows = records.cpu().numpy().view(record_dtype()).reshape(-1)
    for index, (row, start, (height, width)) in enumerate(zip(rows, offsets.tolist(), sizes.tolist(), strict=True)):
        made = torch.from_numpy(np.ascontiguousarray(make(row, index)))
        out[start : start + height * width] = made.reshape(-1).to(out)


def _split(data: Tensor, offsets: Tensor, sizes: Tensor) -> list[np.ndarray]:
    host = data.cpu().numpy()
    return [host[start : start + h * w].reshape(h, w) for start, (h, w) in zip(offsets.tolist(), sizes.tolist(), strict=True)]


def face(row: np.void) -> np.ndarray:
    """The hard mask of a record's hulls, uint8 [H, W]."""
    height, width = row["size"].tolist()
    points = np.trunc(row["landmarks"]).astype(np.int64)
    family = HULL_FAMILIES[row["family"]]
    if family == "extended":
        points = _raise_eyebrows(points)
    groups = [range(row["points"])] if family == "facehull" else _DFL_FULL if family == "dfl_full" else _COMPONENTS
    mask = np.zeros((height, width), np.uint8)
    for group in groups:
        corners = _hull([tuple(p) for p in points[list(group)].tolist()])
        outline = [pixel for a, b in zip(corners, corners[1:] + corners[:1], strict=True) for pixel in _line(a, b) + _filling(a, b)]
        spans: dict[int, tuple[int, int]] = {}
        for x, y in outline:
            first, last = spans.get(y, (x, x))
            spans[y] = min(first, x), max(last, x)
        for y, (first, last) in spans.items():
            if 0 <= y < height and last >= 0:
                mask[y, max(0, first) : last + 1] = 1
    return mask


def _raise_eyebrows(points: np.ndarray) -> np.ndarray:
    right = np.vstack([(points[36] + (points[36] + points[0]) // 2) // 2, points[36:40]])
    left = np.vstack([points[42:46], (points[45] + (points[16] + points[45]) // 2) // 2])
    moved = points.copy()
    moved[17:22] += (points[17:22] - right) // 2
    moved[22:27] += (points[22:27] - left) // 2
    return moved


def _hull(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Corners of the convex hull by gift wrapping: the next corner has all others on one side, the farthest if several do."""
    points = sorted(set(points))
    corners = [points[0]]
    while True:
        x, y = corners[-1]
        best = None
        for p in points:
            if p == (x, y):
                continue
            if best is None:
                best = p
                continue
            cross = (best[0] - x) * (p[1] - y) - (best[1] - y) * (p[0] - x)
            farther = (p[0] - x) ** 2 + (p[1] - y) ** 2 > (best[0] - x) ** 2 + (best[1] - y) ** 2
            if cross < 0 or (cross == 0 and farther):
                best = p
        if best is None or best == corners[0]:
            return corners
        corners.append(best)


def _line(a: tuple[int, int], b: tuple[int, int]) -> list[tuple[int, int]]:
    """Bresenham's line from the left end to the right one."""
    (x, y), (x1, y1) = sorted([a, b], key=lambda p: p[0])
    dx, dy, step = x1 - x, abs(y1 - y), 1 if y1 > y else -1
    steep = dy > dx
    long, short = (dy, dx) if steep else (dx, dy)
    pixels, error = [(x, y)], long - 2 * short
    for _ in range(long):
        sideways = error < 0
        error += 2 * long - 2 * short if sideways else -2 * short
        x += 1 if not steep or sideways else 0
        y += step if steep or sideways else 0
        pixels.append((x, y))
    return pixels


def _filling(a: tuple[int, int], b: tuple[int, int]) -> list[tuple[int, int]]:
    """Where filling between edges ends, without the lower end: a position with 16 bits of fraction that steps from row to row."""
    (x, y), (x1, y1) = sorted([a, b], key=lambda p: p[1])
    rows = y1 - y
    if rows == 0:
        return []
    numerator = 2 * ((x1 - x) << 16) + rows
    step = abs(numerator) // (2 * rows) * (1 if numerator > 0 else -1)  # rounded as C's division does
    return [(((x << 16) + j * step + (1 << 15)) >> 16, y + j) for j in range(rows)]


def warp(row: np.void, mask: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
    """A hard mask after the affine and the elastic change, uint8 [H, W]."""
    height, width = mask.shape
    field = alpha / 2 * _elastic(int(row["key"]), sigma, height, width)

    def looked_up(axis: int, size: int, displacement: np.ndarray) -> np.ndarray:
        at = np.arange(size, dtype=np.float32)
        position = (at[:, None] if axis else at) + displacement.astype(np.float32)
        q = np.rint(position).astype(np.int64)
        q = np.zeros_like(q) if size == 1 else (size - 1) - np.abs((size - 1) - q % (2 * size - 2))
        center = size / 2 - 0.5
        return np.floor(center + (q - center - row["shift"][axis]) / row["scale"][axis] + 0.5).astype(np.int64)

    x, y = looked_up(0, width, field[..., 0]), looked_up(1, height, field[..., 1])
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.where(inside, mask[y.clip(0, height - 1), x.clip(0, width - 1)], 0).astype(np.uint8)


def _elastic(key: int, sigma: float, height: int, width: int) -> np.ndarray:
    """Smoothed noise of every pixel, float64 [H, W, 2]: noise at every second pixel, Gaussian, linear interpolation."""
    field = noise_field(key, (0, (height + 1) // 2), (0, (width + 1) // 2)).astype(np.float64)
    deviation = np.sqrt(max(0.0, sigma**2 / 4 - 3 / 16))
    radius = int(4 * deviation + 0.5)
    if radius:
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
        for axis in (0, 1):
            pad = [(radius, radius) if axis == a else (0, 0) for a in range(3)]
            padded = np.pad(field, pad, mode="symmetric")
            field = sum(k / kernel.sum() * padded.take(range(i, i + field.shape[axis]), axis) for i, k in enumerate(kernel))
    for axis, size in ((0, height), (1, width)):
        position = ((np.arange(size) - 0.5) / 2).clip(0, field.shape[axis] - 1)
        low = np.floor(position).astype(int)
        fraction = (position - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        high = np.minimum(low + 1, field.shape[axis] - 1)
        field = field.take(low, axis) * (1 - fraction) + field.take(high, axis) * fraction
    return field


def _erode(row: np.void, mask: np.ndarray) -> np.ndarray:
    up, down, left, right = row["erode"].tolist()
    padded = np.pad(mask, ((up, down), (left, right)), constant_values=255)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (up + down + 1, left + right + 1))
    return windows.min((2, 3))


def _feather(row: np.void, mask: np.ndarray, window: list[int]) -> np.ndarray:
    small, full = row["small"].tolist(), row["size"].tolist()
    soft = _resize(_resize(mask.astype(np.float32), 1, small[1]), 0, small[0])
    soft = _blur(soft, row["weights"][0][: row["radius"][0] + 1])
    if not soft.max() > 0:
        return np.zeros(window, np.float32)
    soft = (soft / soft.max() >= 1).astype(np.float32)
    soft = _blur(soft, row["weights"][1][: row["radius"][1] + 1])
    soft = _resize(_resize(soft / soft.max(), 1, full[1]), 0, full[0]) * row["ratio"]
    (y, x), (h, w) = row["origin"].tolist(), window
    return soft[y : y + h, x : x + w]


def _resize(image: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Linear interpolation along one axis, pixel centres, float32."""
    count = image.shape[axis]
    position = ((np.arange(size) + 0.5) * (count / size) - 0.5).astype(np.float32).clip(0, count - 1)
    low = np.floor(position).astype(int)
    fraction = (position - low.astype(np.float32)).reshape((-1, 1) if axis == 0 else (1, -1))
    return image.take(low, axis) * (np.float32(1) - fraction) + image.take(np.minimum(low + 1, count - 1), axis) * fraction


def _blur(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """OpenCV's float32 order: columns from left to right (small kernels from the middle), rows from the middle, all fused."""

    def fused(a: np.ndarray, weight: np.float32, b: np.ndarray) -> np.ndarray:
        return (a.astype(np.float64) * np.float64(weight) + b.astype(np.float64)).astype(np.float32)

    radius = len(weights) - 1
    for axis in (1, 0):
        size = image.shape[axis]
        index = np.arange(-radius, size + radius)
        index = np.zeros_like(index) if size == 1 else (size - 1) - np.abs((size - 1) - index % (2 * size - 2))
        taps = [image.take(index[i : i + size], axis) for i in range(2 * radius + 1)]
        if axis == 1 and radius > 2:
            image = taps[0] * weights[radius]
            for i in range(1, 2 * radius + 1):
                image = fused(taps[i], weights[abs(i - radius)], image)
        else:
            image = taps[radius] * weights[0]
            for i in range(1, radius + 1):
                image = fused(taps[radius + i] + taps[radius - i], weights[i], image)
    return image
