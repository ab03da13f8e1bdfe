"""Philox-4x32-10, the counter-based generator behind random fields: any part of a field can be made anywhere, in any order.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. `csrc/masks/rng.h` is the same generator.
"""

from __future__ import annotations

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)

_BLOCK = 32
"""Columns of a field whose words come from 8 consecutive counters."""


def philox4x32(counter: np.ndarray, key: int) -> np.ndarray:
    """Four words for each counter.

    Args:
        counter: uint32 [4, ...].
        key: 64 bits; its low half is the first word of the key.

    Returns:
        uint32 [4, ...].
    """
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    for step in range(10):
        k0, k1 = (np.uint64(((key >> 32 * i & 0xFFFFFFFF) + step * _WEYL[i]) & 0xFFFFFFFF) for i in (0, 1))
        a, b = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (b >> _SHIFT) ^ c1 ^ k0, b & _LOW, (a >> _SHIFT) ^ c3 ^ k1, a & _LOW
    return np.stack([c0, c1, c2, c3]).astype(np.uint32)


def noise_field(key: int, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """Uniform noise of two components in (-1, 1) at the points of a part of an unbounded grid: float32 [rows, columns, 2].

    Point (y, x) owns word (x mod 32) // 8 of the counter (8 (x // 32) + x mod 8, y, 0, 0), so that eight neighbours come from the
    same word of eight consecutive counters. The low 16 bits u of the word give the first component, the high ones the second:
    (u + 1/2) / 2^15 - 1.

    Args:
        key: 64 bits.
        rows, columns: first and one past the last, at least 0.
    """
    first, last = columns[0] // _BLOCK, -(-columns[1] // _BLOCK)
    y, x = np.meshgrid(np.arange(*rows), np.arange(8 * first, 8 * last), indexing="ij")
    words = philox4x32(np.stack([x, y, np.zeros_like(x), np.zeros_like(x)]).astype(np.uint32), key)
    words = words.reshape(4, y.shape[0], last - first, 8).transpose(1, 2, 0, 3).reshape(y.shape[0], -1)
    words = words[:, columns[0] - first * _BLOCK : columns[1] - first * _BLOCK]
    halves = np.stack([words & 0xFFFF, words >> 16], -1)
    return (halves.astype(np.float32) + np.float32(0.5)) * np.float32(2**-15) - np.float32(1)
