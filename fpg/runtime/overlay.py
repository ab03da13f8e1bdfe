"""Activation maps over faces: where the network found evidence, and in which direction."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from fpg.runtime.judgement import Highlight

FOR_FAKE = (225, 60, 20)
FOR_REAL = (30, 110, 220)
"""Colours (RGB) of evidence for fake and for real."""
OPACITY = 0.65
"""Of the strongest evidence; the rest in proportion."""
FADE = 0.18
"""Fraction of a side over which a soft map fades out."""


def map_scale(highlights: Iterable[Highlight]) -> float:
    """The largest magnitude among the maps: one scale for all faces of a report, so that they can be compared."""
    maps = [h.activation_map for h in highlights if h.activation_map is not None]
    return max((float(np.abs(found).max()) for found in maps if found.size), default=0.0)


def overlay(image: np.ndarray, activation_map: np.ndarray | None, scale: float) -> np.ndarray:
    """Paint a map over a grey copy of a face: red where it speaks for fake, blue for real, more opaque the stronger.

    Args:
        image: uint8 [S, S, 3] RGB.
        activation_map: float32 [h, w]; None where the model has none (the image is returned as it is).
        scale: magnitude shown at full strength, > 0 (likewise).

    Returns:
        uint8 [S, S, 3] RGB.
    """
    if activation_map is None or not scale > 0:
        return image
    return paint(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), activation_map, scale)


def paint(image: np.ndarray, activation_map: np.ndarray, scale: float, *, soft: bool = False) -> np.ndarray:
    """As `overlay`, over the image in its colours, uint8 [H, W, 3] RGB; scale > 0. `soft`: fading out towards the edges."""
    height, width = image.shape[:2]
    strength = cv2.resize(np.asarray(activation_map, np.float32), (width, height), interpolation=cv2.INTER_CUBIC)[..., None] / scale
    strength = np.clip(strength, -1, 1)
    colour = np.where(strength > 0, np.array(FOR_FAKE, np.float32), np.array(FOR_REAL, np.float32))
    alpha = OPACITY * np.abs(strength)
    if soft:
        alpha = alpha * (_fade(height)[:, None] * _fade(width))[..., None]
    return np.rint(image * (1 - alpha) + colour * alpha).astype(np.uint8)


def _fade(length: int) -> np.ndarray:
    """float32 [length]: 0 at both ends, 1 from `FADE` of the length on, a cosine in between."""
    place = (np.arange(length, dtype=np.float32) + 0.5) / length
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(np.minimum(place, 1 - place) / FADE, 0, 1))
