"""Blending by gradients instead of by a soft mask: what many tools for face swaps do last.

A soft mask leaves a ring where two images lie over each other. Tools that solve Poisson's equation (Perez, Gangnet and Blake, SIGGRAPH
2003) leave none: colours run smoothly across the border, and what remains is a change of texture at a sharp line (after the Practical
Manipulation Model, PMM: Hopf and Timofte, ICCV Workshops 2025, arXiv 2506.05119). The region is where the soft mask has at least half of
its largest value; unlike OpenCV's `seamlessClone`, which also changes what is around it, nothing else is touched. The result takes the
place of the source, and the region that of the mask, so that forgery = mask x source + (1 - mask) x real holds as for all pairs, and
guidance refines the region that was forged. Off by default: the method blends by soft masks. What it changes is measured in
`docs/results.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fpg.pairs.checks import check_section

_SWEEPS = 12
"""Relaxations at each resolution."""
_CROSS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4


@dataclass(frozen=True)
class PoissonConfig:
    """When pairs are blended by gradients."""

    probability: float = 0.0
    """Chance that a pair is blended in the gradient domain; 0 leaves out this step."""

    def __post_init__(self) -> None:
        """Refuse what is no probability.

        Raises:
            UsageError: naming the field, what was expected and what came.
        """
        check_section("augment.poisson", self)


def draw_poisson(rng: np.random.Generator, config: PoissonConfig) -> bool:
    """Draw whether one pair is blended by gradients."""
    return bool(rng.random() < config.probability)


def blend_poisson(real: np.ndarray, source: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Blend a source into a real face by gradients.

    Args:
        real, source: uint8 [S, S, 3] RGB.
        mask: float32 [S, S] in [0, 1].

    Returns:
        The forgery, uint8 [S, S, 3], and its mask, float32 [S, S], values {0, 1}; where the mask is 0 the forgery is the real face.
    """
    region = (mask > 0) & (mask >= 0.5 * float(mask.max()))
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    fake = real.copy()
    if len(rows):  # with a pixel around it, where there is one
        part = slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)
        difference = real[part].astype(np.float32) - source[part]
        blended = source[part] + membrane(difference, region[part])
        fake[part] = np.where(region[part][..., None], np.clip(np.rint(blended), 0, 255).astype(np.uint8), real[part])
    return fake, region.astype(np.float32)


def membrane(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The smoothest continuation of an image into a region: each pixel there is the mean of its four neighbours (Laplace's equation).

    A source plus the continuation of its difference to the target has the source's gradients in the region and the target's colours at its
    border: the solution of Poisson's equation. It is found from coarse to fine.

    Args:
        values: float32 [H, W, C]; those inside the region are not looked at.
        inside: bool [H, W], the region. Nothing flows across the border of the image.

    Returns:
        float32 [H, W, C], the values outside the region; zeros when there is nothing outside.
    """
    height, width = inside.shape
    known = (~inside).astype(np.float32)
    if not known.any():
        return np.zeros_like(values)
    if min(height, width) <= 2:
        guess = np.broadcast_to(values[~inside].mean(0), values.shape)
    else:
        size = ((width + 1) // 2, (height + 1) // 2)
        fraction = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
        sums = cv2.resize(values * known[..., None], size, interpolation=cv2.INTER_AREA)
        coarse = membrane(sums / np.maximum(fraction, 1e-6)[..., None], fraction < 1e-3)
        guess = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    filled: np.ndarray = np.where(inside[..., None], guess, values).astype(np.float32)
    region = inside.astype(np.uint8)
    for _ in range(_SWEEPS):
        filled = cv2.copyTo(cv2.filter2D(filled, -1, _CROSS, borderType=cv2.BORDER_REPLICATE), region, filled)
    return filled
