"""The blended-in copy with the texture of a generated face: smoother than what surrounds it.

Networks that paint faces work at a fixed, small size and leave out skin texture, grain and the traces of the camera's encoder, which the
surroundings keep. The copies of self-blended images differ by resampling with nearest neighbours or by sharpening, which no generator does.
Here the source is smoothed as generators do, and blended in anew with the same mask. Off by default: the method has nothing of it. What it
changes is measured in `docs/results.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from fpg.pairs.checks import check_section

Kind = Literal["resample", "gaussian", "bilateral", "median"]
KINDS: tuple[Kind, ...] = ("resample", "gaussian", "bilateral", "median")
_DOWN = (cv2.INTER_AREA, cv2.INTER_LINEAR)
_UP = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


@dataclass(frozen=True)
class RetextureConfig:
    """How the source of a pair is smoothed. Ranges include both ends."""

    probability: float = 0.0
    """Chance that the source is smoothed; 0 leaves out this step."""
    kinds: tuple[Kind, ...] = KINDS
    """Drawn uniformly: smaller and larger again, Gaussian blur, bilateral filter, median."""
    scale: tuple[float, float] = (1.3, 3.0)
    """Factor of `resample`, drawn log-uniformly."""
    sigma: tuple[float, float] = (0.6, 1.8)
    """Standard deviation of `gaussian`, in pixels of the network's input."""
    bilateral: tuple[float, float] = (15.0, 60.0)
    """Range of the standard deviation in intensity of `bilateral`, of 255."""

    def __post_init__(self) -> None:
        """Refuse values that nothing can be smoothed with.

        Raises:
            UsageError: naming the field, what was expected and what came.
        """
        require = check_section("augment.retexture", self)
        require(self.kinds != () and set(self.kinds) <= set(KINDS), "kinds", f"some of {', '.join(KINDS)}")
        for name, least in (("scale", 1.0), ("sigma", 0.1), ("bilateral", 1.0)):
            require(getattr(self, name)[0] >= least, name, f"at least {least:g}")


@dataclass(frozen=True)
class RetextureParams:
    """All draws of one pair's smoothing."""

    kind: Kind
    scale: float
    down: int
    up: int
    sigma: float
    intensity: float
    median: int


def draw_retexture(rng: np.random.Generator, config: RetextureConfig) -> RetextureParams | None:
    """Draw one pair's smoothing, None for none; every draw is consumed whatever the outcome of the others."""
    c = config
    happens = float(rng.random())
    kind = c.kinds[int(rng.integers(len(c.kinds)))]
    scale = math.exp(float(rng.uniform(math.log(c.scale[0]), math.log(c.scale[1]))))
    down, up = _DOWN[int(rng.integers(len(_DOWN)))], _UP[int(rng.integers(len(_UP)))]
    sigma, intensity = float(rng.uniform(*c.sigma)), float(rng.uniform(*c.bilateral))
    median = (3, 5)[int(rng.integers(2))]
    return RetextureParams(kind, scale, down, up, sigma, intensity, median) if happens < c.probability else None


def retexture(fake: np.ndarray, source: np.ndarray, mask: np.ndarray, params: RetextureParams) -> tuple[np.ndarray, np.ndarray]:
    """Smooth the source, and blend what changed into the forgery.

    Args:
        fake, source: uint8 [S, S, 3] RGB.
        mask: float32 [S, S] in [0, 1].
        params: from `draw_retexture`.

    Returns:
        Forgery and source, uint8 [S, S, 3]; where the mask is 0 the forgery is as it was.
    """
    smooth = _smooth(source, params)
    change = (smooth.astype(np.float32) - source) * mask[..., None]
    return np.clip(np.rint(fake + change), 0, 255).astype(np.uint8), smooth


def _smooth(image: np.ndarray, params: RetextureParams) -> np.ndarray:
    height, width = image.shape[:2]
    if params.kind == "resample":
        size = tuple(max(4, round(side / params.scale)) for side in (width, height))
        return cv2.resize(cv2.resize(image, size, interpolation=params.down), (width, height), interpolation=params.up)
    if params.kind == "gaussian":
        return cv2.GaussianBlur(image, (0, 0), params.sigma)
    if params.kind == "bilateral":
        return cv2.bilateralFilter(image, 7, params.intensity, 3.0)
    return cv2.medianBlur(image, params.median)
