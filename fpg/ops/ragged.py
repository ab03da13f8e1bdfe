"""Batches of images of different sizes: one flat buffer, and per item its offset, height and width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fpg.ops.backend import native
from fpg.ops.memory import recycled, to_device


@dataclass(frozen=True)
class RaggedBatch:
    """Images that keep their native sizes, interleaved channels, back to back in one tensor."""

    data: Tensor
    """Flat, uint8 or float32, contiguous."""
    offsets: Tensor
    """int64 [B], in elements, on the device of `data`."""
    sizes: Tensor
    """int32 [B, 2] = (height, width), on the device of `data`."""
    channels: int
    host_sizes: tuple[tuple[int, int], ...]
    """The same sizes where Python can read them without waiting for a GPU."""

    def __len__(self) -> int:
        return len(self.host_sizes)

    @property
    def max_size(self) -> tuple[int, int]:
        """Largest height and largest width, 0 for an empty batch."""
        return max((h for h, _ in self.host_sizes), default=0), max((w for _, w in self.host_sizes), default=0)

    @classmethod
    def empty(
        cls, sizes: Sequence[tuple[int, int]], channels: int, dtype: torch.dtype = torch.uint8, device: torch.device | str = "cpu"
    ) -> RaggedBatch:
        """An uninitialised batch of the given (height, width)."""
        host = tuple((int(h), int(w)) for h, w in sizes)
        counts = np.array([h * w * channels for h, w in host], np.int64)
        offsets = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64) if host else np.zeros(0, np.int64)
        total = (int(counts.sum()),)
        return cls(
            recycled(total, dtype) if torch.device(device).type == "cpu" else torch.empty(total, dtype=dtype, device=device),
            to_device(torch.from_numpy(offsets), device),
            to_device(torch.from_numpy(np.array(host, np.int32).reshape(-1, 2)), device),
            channels,
            host,
        )

    @classmethod
    def from_list(cls, images: Sequence[np.ndarray]) -> RaggedBatch:
        """Copy images [H, W] or [H, W, C] of one dtype (uint8 or float32) and one C into a batch on the CPU.

        Raises:
            ValueError: no image, other dtypes, or different numbers of channels.
        """
        if not images:
            raise ValueError("images: expected at least one, got none")
        dtypes, channels = {i.dtype for i in images}, {1 if i.ndim == 2 else i.shape[2] if i.ndim == 3 else -1 for i in images}
        if len(dtypes) != 1 or len(channels) != 1 or -1 in channels or next(iter(dtypes)) not in (np.uint8, np.float32):
            shapes = ", ".join(f"{i.dtype} {list(i.shape)}" for i in images[:4])
            raise ValueError(f"images: expected uint8 or float32 [H, W] or [H, W, C] alike, got {shapes}")
        dtype = torch.uint8 if images[0].dtype == np.uint8 else torch.float32
        batch = cls.empty([(i.shape[0], i.shape[1]) for i in images], channels.pop(), dtype)
        flat = batch.data.numpy()
        for image, offset in zip(images, batch.offsets.tolist(), strict=True):
            flat[offset : offset + image.size] = image.reshape(-1)
        return batch

    def to(self, device: torch.device | str) -> RaggedBatch:
        """The same batch on another device."""
        move = {name: to_device(getattr(self, name), device) for name in ("data", "offsets", "sizes")}
        return RaggedBatch(**move, channels=self.channels, host_sizes=self.host_sizes)

    def item(self, index: int) -> Tensor:
        """Image `index` as a view: [H, W] for one channel, else [H, W, C] (reads its offset: waits for a GPU)."""
        height, width = self.host_sizes[index]
        start = int(self.offsets[index])
        view = self.data[start : start + height * width * self.channels]
        return view.view(height, width) if self.channels == 1 else view.view(height, width, self.channels)

    def native(self) -> native.Ragged:
        """The batch as the compiled module takes it: addresses and sizes."""
        height, width = self.max_size
        pointers = self.data.data_ptr(), self.offsets.data_ptr(), self.sizes.data_ptr()
        return native.Ragged(*pointers, len(self), self.channels, height, width)
