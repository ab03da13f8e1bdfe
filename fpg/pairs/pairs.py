"""Pairs of a real face and the forgery made from it, as a detector sees them: what every step from augmentation to the loss hands on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Pairs:
    """N pairs, RGB, float32 in [0, 1], all on one device. As made, fake = mask x source + (1 - mask) x real, up to the photometric change.

    Raises:
        ValueError: images that are not [N, 3, H, W], or parts that differ in size or are not float32.
    """

    fake: Tensor
    """f, the forgeries, [N, 3, S, S]."""
    real: Tensor
    """b, the backgrounds, which are the real faces, [N, 3, S, S]."""
    source: Tensor
    """s, the warped copies that were blended in, [N, 3, S, S]."""
    mask: Tensor
    """m, the soft masks of both halves of a pair, [N, 1, S, S]. One that is zero everywhere leaves its forgery equal to the real face."""

    def __post_init__(self) -> None:
        if self.real.ndim != 4 or self.real.shape[1] != 3:
            raise ValueError(f"real: expected [N, 3, S, S], got {list(self.real.shape)}")
        n, _, height, width = self.real.shape
        for name, channels in (("real", 3), ("fake", 3), ("source", 3), ("mask", 1)):
            tensor, shape = getattr(self, name), [n, channels, height, width]
            if list(tensor.shape) != shape or tensor.dtype != torch.float32:
                got = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
                raise ValueError(f"{name}: expected float32 {shape}, got {got}")

    @classmethod
    def empty(cls, size: int) -> Pairs:
        """No pair, of images of `size` pixels a side, on the CPU."""
        images = torch.empty(0, 3, size, size)
        return cls(images, images, images, images[:, :1])

    @classmethod
    def cat(cls, parts: list[Pairs]) -> Pairs:
        """All pairs of at least one part, in order."""
        return cls(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

    def __len__(self) -> int:
        return len(self.real)

    def __iter__(self) -> Iterator[Tensor]:
        """Fake, real, source, mask."""
        return (getattr(self, field.name) for field in fields(self))

    def map(self, change: Callable[[Tensor], Tensor]) -> Pairs:
        """The pairs with each of the four tensors changed: moved to a device, laid out otherwise, detached."""
        return Pairs(*(change(tensor) for tensor in self))

    def __getitem__(self, part: slice) -> Pairs:
        """Some of the pairs, as views."""
        return self.map(lambda tensor: tensor[part])

    def images(self) -> Tensor:
        """The batch [2N, 3, S, S]: the reals, then their forgeries in the same order."""
        return torch.cat([self.real, self.fake])

    def labels(self) -> Tensor:
        """int64 [2N]: 0 real, 1 fake."""
        return torch.arange(2, device=self.real.device).repeat_interleave(len(self))
