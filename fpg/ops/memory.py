"""Memory: large results on the CPU, and the way to a GPU.

Blocks for large results on the CPU are used again when nobody holds them any more. A fresh batch of pairs is tens of megabytes, and a
system hands out new memory page by page, each cleared: that takes longer than computing what is written there. A block comes back by
itself when the last tensor on it is gone.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

ALIGNMENT = 64
"""Of the first byte."""
SMALLEST = 1 << 17
"""Bytes below which memory is not kept: the C library does that for small blocks."""
IDLE_LIMIT = 1 << 28
"""Bytes that are kept for later."""


class BlockPool:
    """Blocks of memory on the CPU that are used again once no tensor is left on them.

    Args:
        limit: bytes that are kept for later.
    """

    def __init__(self, limit: int = IDLE_LIMIT) -> None:
        self._limit = limit
        self._idle: dict[int, np.ndarray] = {}
        """Its operations are atomic, so that no lock can be left behind by a fork or taken twice."""

    @property
    def idle_bytes(self) -> int:
        """Bytes that are kept now."""
        return sum(len(block) for block in list(self._idle.values()))

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor on the CPU, in memory that an earlier one no longer needs where there is such."""
        size = math.prod(shape) * dtype.itemsize
        if size < SMALLEST:
            return torch.empty(tuple(shape), dtype=dtype, device="cpu")
        block = self._take(size + ALIGNMENT)
        start = -block.ctypes.data % ALIGNMENT
        part = block[start : start + size]
        weakref.finalize(part, self._give_back, block).atexit = False
        return torch.from_numpy(part).view(dtype).view(tuple(shape))

    def _take(self, needed: int) -> np.ndarray:
        blocks = list(self._idle.values())  # not items(): making its pairs may collect garbage, and that may give a block back meanwhile
        for _, key in sorted((len(block), id(block)) for block in blocks if needed <= len(block) <= 4 * needed):
            if (block := self._idle.pop(key, None)) is not None:
                return block
        return np.empty(needed, np.uint8)

    def _give_back(self, block: np.ndarray) -> None:
        self._idle[id(block)] = block
        for key in list(self._idle):  # the oldest first
            if self.idle_bytes <= self._limit:
                break
            self._idle.pop(key, None)


_POOL = BlockPool()


def recycled(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """`BlockPool.empty` of the pool that all results of the process share."""
    return _POOL.empty(shape, dtype)


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor on a device; from the CPU to a GPU through page-locked memory, so that nobody waits for what the GPU still does.

    The way back waits: who reads a tensor on the CPU finds its values there.
    """
    device = torch.device(device)
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor if tensor.is_pinned() else tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type != "cpu")
