"""One definition of randomness: a counter-based stream for every place that draws, keyed by what it is for.

A draw depends on the seed and its keys alone, never on the worker, process or order that makes it.
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *keys: int | str) -> np.random.Generator:
    """An independent generator for (`seed`, `keys`), e.g. `stream(seed, "pair", epoch, sample)`.

    Args:
        seed: the run's seed, >= 0.
        keys: names (hashed by CRC-32) and non-negative counters.
    """
    words = [zlib.crc32(key.encode()) if isinstance(key, str) else int(key) for key in keys]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([int(seed), *words])))


def odd_integer(rng: np.random.Generator, low: int, high: int) -> int:
    """A uniform draw from low, low + 2, ..., high."""
    return low + 2 * int(rng.integers((high - low) // 2 + 1))
