"""Feathering: a hard mask becomes a soft one that stays inside it (METHOD 2.6 and the feather' of 4.2).

Resize to a random size, blur, keep only what the blur left untouched, blur again, resize back. Everything is float32 and goes
through OpenCV, because the second step tests `blurred / maximum < 1` exactly: pixels of the untouched interior are 1 up to the last bit,
and which of them count as 1 depends on the arithmetic. OpenCV's float32 blur is the yardstick of the published method.

Source: SBI (CVPR 2022), mask generation; FPG (ACM MM 2024), shape refinement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

Erosion = Literal["released", "intended"]

SIZE = (192, 256)
"""Smallest and largest height and width at which masks are blurred, inclusive."""
REFEATHER_KERNEL = (17, 25)
"""Smallest and largest blur kernel of feather', odd, inclusive."""
REFEATHER_SIGMA = (15, 45)
"""Smallest and largest deviation of the second blur of feather', integer pixels, inclusive."""
REFEATHER_EROSION = (10, 14)
"""Smallest and largest erosion kernel of feather', even, inclusive."""


@dataclass(frozen=True)
class RefeatherParams:
    """The draws of one feather' (METHOD 4.2)."""

    k_erode: int
    """Side of the erosion kernel in pixels; only `erosion="intended"` looks at it."""
    height: int
    width: int
    """Size at which the mask is blurred."""
    k1: int
    k2: int
    """Odd sides of the two blur kernels."""
    sigma: int
    """Deviation of the second blur, in pixels of the blurred size."""


def odd_integer(rng: np.random.Generator, low: int, high: int) -> int:
    """A uniform draw from low, low + 2, ..., high."""
    return low + 2 * int(rng.integers((high - low) // 2 + 1))


def draw_refeather(
    rng: np.random.Generator,
    *,
    size: tuple[int, int] = SIZE,
    kernel: tuple[int, int] = REFEATHER_KERNEL,
    sigma: tuple[int, int] = REFEATHER_SIGMA,
    erosion: tuple[int, int] = REFEATHER_EROSION,
) -> RefeatherParams:
    """Draw the parameters of one feather' (six draws, always) from ranges that include both ends."""
    return RefeatherParams(
        k_erode=odd_integer(rng, *erosion),
        height=int(rng.integers(size[0], size[1] + 1)),
        width=int(rng.integers(size[0], size[1] + 1)),
        k1=odd_integer(rng, *kernel),
        k2=odd_integer(rng, *kernel),
        sigma=int(rng.integers(sigma[0], sigma[1] + 1)),
    )


def feather(mask: np.ndarray, height: int, width: int, k1: int, k2: int, sigma: float) -> np.ndarray:
    """Soften a mask (METHOD 2.6, before the ratio).

    Args:
        mask: [H, W], values in [0, 1], any dtype (hard edges as the hulls have them).
        height, width: size at which it is blurred, in pixels.
        k1: odd kernel side of the first blur; its deviation is OpenCV's 0.3 ((k - 1)/2 - 1) + 0.8.
        k2, sigma: odd kernel side and deviation of the second blur, in pixels.

    Returns:
        float32 [H, W] in [0, 1]. A mask that is zero everywhere, before or after any step, gives zeros.

    Raises:
        ValueError: not two-dimensional or empty.
    """
    _check(mask)
    soft = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(soft, (k1, k1), 0)
    largest = soft.max()
    if not largest > 0:
        return np.zeros(mask.shape, np.float32)
    soft = soft / largest
    soft[soft < 1] = 0
    soft = cv2.GaussianBlur(soft, (k2, k2), sigma)
    soft = soft / soft.max()  # at least the pixel of the maximum is left, so this is never 0
    return cv2.resize(soft, (mask.shape[1], mask.shape[0]), interpolation=cv2.INTER_LINEAR)


def refeather(
    mask: np.ndarray, k_erode: int, height: int, width: int, k1: int, k2: int, sigma: float, erosion: Erosion = "released"
) -> np.ndarray:
    """feather' of shape refinement: erode, then `feather` (METHOD 4.2).

    Args:
        mask: [H, W] with values {0, 1}, any dtype.
        k_erode: side of the erosion kernel in pixels, used by `erosion="intended"`.
        height, width, k1, k2, sigma: as in `feather`.
        erosion: "released" erodes with 2 rows x 1 column at OpenCV's anchor (one row goes), which is what the released code
            does; "intended" with k_erode x k_erode ones.

    Returns:
        float32 [H, W] in [0, 1]; zeros if nothing is left after the erosion.

    Raises:
        ValueError: not two-dimensional or empty, or an unknown erosion.
    """
    _check(mask)
    if erosion not in ("released", "intended"):
        raise ValueError(f"erosion: expected released or intended, got {erosion}")
    kernel = np.ones((2, 1) if erosion == "released" else (k_erode, k_erode), np.uint8)
    return feather(cv2.erode(mask.astype(np.float32), kernel), height, width, k1, k2, sigma)


def _check(mask: np.ndarray) -> None:
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(f"mask: expected [H, W], not empty, got {list(mask.shape)}")
