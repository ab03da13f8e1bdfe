"""What a file of the corpus is, and the scene that all of them hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 120, 160
SEVERAL, CUT = "holds several pictures", "truncated"
Write = Callable[[Path, np.ndarray], object]
"""Writes a scene, uint8 [H, W, 3] RGB, to a file."""


def scene(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """uint8 [H, W, 3]: smooth colours without any symmetry, so that every turn and mirror shows."""
    y, x = np.mgrid[:height, :width] / np.array([height, width], float).reshape(2, 1, 1)
    image = np.stack([60 + 120 * x, 70 + 100 * y, 160 - 90 * x * y], -1)
    image[height // 8 : height // 3, width // 8 : width // 2] = (200, 90, 60)
    return cv2.GaussianBlur(image.astype(np.uint8), (0, 0), 2)


@dataclass(frozen=True)
class Case:
    """One file of the corpus."""

    name: str
    """Its file name."""
    format: str
    """For the table in the docs."""
    kind: str
    write: Write = field(repr=False)
    shown: Callable[[np.ndarray], np.ndarray] = field(repr=False, default=lambda image: image)
    """The scene as it is to be shown."""
    tolerance: float = 6.0
    """Mean difference that the coding may make."""
    refused: str | None = None
    """Part of the reason, where it must not be read."""
    cpp_refused: str | None = None
    """Where only the C++ runtime may not read it."""
    warning: str | None = None
    """Part of a warning that must come."""
    frames: int | None = None
    """How many a video shows, where that is not how many it holds."""
    compared: bool = True
    """Whether Pillow, or FFmpeg's program, shows it right, too."""


def then(write: Write, change: Callable[[bytes], bytes]) -> Write:
    """Writes, then changes the file's bytes."""

    def both(path: Path, image: np.ndarray) -> None:
        write(path, image)
        path.write_bytes(change(path.read_bytes()))

    return both


def as_grey(image: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(image).convert("L").convert("RGB"))


def green(image: np.ndarray) -> np.ndarray:
    return np.repeat(image[..., 1:2], 3, axis=2)
