"""Photometric steps in uint8 (METHOD 2.4 and 2.8). Each takes and returns uint8 [H, W, 3], RGB.

Rounding: pointwise steps are tables of 256 entries, clipped and then **truncated** to uint8 (as albumentations builds them);
the convolution and the resizes round to nearest, as OpenCV does. Sources: SBI (CVPR 2022); albumentations' documented transforms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from fpg.augment.params import ColorParams, ResampleParams
from fpg.ops.jpeg import jpeg_file

_LEVELS = np.arange(256, dtype=np.float32)


def change_color(image: np.ndarray, params: ColorParams) -> np.ndarray:
    """RGB shift, then HSV shift, then contrast and brightness, those that were drawn."""
    if params.rgb_shift is not None:
        image = shift_rgb(image, params.rgb_shift)
    if params.hsv_shift is not None:
        image = shift_hsv(image, params.hsv_shift)
    if params.contrast is not None:
        image = change_contrast(image, *params.contrast)
    return image


def shift_rgb(image: np.ndarray, shift: tuple[int, int, int]) -> np.ndarray:
    """Add an integer per channel, clip to 0..255."""
    table = np.clip(_LEVELS[:, None] + np.asarray(shift, np.float32), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[None])


def shift_hsv(image: np.ndarray, shift: tuple[float, float, float]) -> np.ndarray:
    """Shift hue (0..179, modulo 180), saturation and value (0..255, clipped) in OpenCV's uint8 HSV, truncating.

    With shifts in (-0.3, 0.3) this is -1 in a channel whose shift is negative (hue 0 becomes 179; saturation and value 0 stay 0)
    and none otherwise. The way to uint8 HSV and back changes colours a little in any case.
    """
    hue, saturation, value = shift
    levels = np.arange(256, dtype=np.float64)
    table = np.stack([np.mod(levels + hue, 180), np.clip(levels + saturation, 0, 255), np.clip(levels + value, 0, 255)], -1)
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), table.astype(np.uint8)[None])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def change_contrast(image: np.ndarray, a: float, b: float) -> np.ndarray:
    """v -> clip(a v + 255 b), truncated; computed in float32."""
    table = np.clip(_LEVELS * np.float32(a) + np.float32(255 * b), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table)


def resample(image: np.ndarray, params: ResampleParams) -> np.ndarray:
    """Scale down and up again, or sharpen, whichever was drawn."""
    if params.down_scale is not None:
        return scale_down_and_up(image, params.down_scale)
    if params.sharpen is not None:
        return sharpen(image, *params.sharpen)
    return image


def scale_down_and_up(image: np.ndarray, factor: int) -> np.ndarray:
    """Down to floor(size / factor), at least 1 pixel, nearest; back up bilinear."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def sharpen(image: np.ndarray, amount: float, lightness: float) -> np.ndarray:
    """v -> (1 - t) v + t K v with K the 3 x 3 kernel of -1 with 8 + l in the middle; border mirrored without its edge pixel."""
    kernel = np.full((3, 3), -amount, np.float32)
    kernel[1, 1] = (1 - amount) + amount * (8 + lightness)
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


compress_jpeg = jpeg_file
