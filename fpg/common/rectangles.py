"""Rectangles, each with one order of its numbers: `Box`, `Crop`, `Window`. They are tuples: arrays of them have these columns.

x points to the right, y down. C++ has the same order in the structures of these names (`csrc/common/rectangles.h`).
"""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    """Where a face is, in pixels of its image: real numbers, as detectors give them."""

    x0: float
    y0: float
    x1: float
    y1: float


class Crop(NamedTuple):
    """Pixels of an image, half open: `image[crop.y0 : crop.y1, crop.x0 : crop.x1]`, or `image[crop.slices]`."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of these pixels in an array [H, W, ...]."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def moved(self, y: int, x: int) -> Crop:
        """The same rectangle, `y` rows further down and `x` columns further to the right."""
        return Crop(self.y0 + y, self.y1 + y, self.x0 + x, self.x1 + x)

    def union(self, other: Crop) -> Crop:
        """The smallest rectangle around both."""
        return Crop(min(self.y0, other.y0), max(self.y1, other.y1), min(self.x0, other.x0), max(self.x1, other.x1))


class Window(NamedTuple):
    """Where an image lies in the larger one that it was cut from: its first pixel there, and the size of the larger one."""

    y0: int
    x0: int
    full_height: int
    full_width: int
