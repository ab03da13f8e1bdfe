"""Another person's face as the source of a pair: what a face swap blends in, where self-blended images blend in the face itself.

The donor is chosen among a few others for landmarks that fit, brought into place by the affine map that fits them best, and given the
colours of the face that it covers, as swapping tools do. Off by default: the method makes its forgeries of the face itself (Face X-ray,
CVPR 2020, made them of two). What it changes is measured in `docs/results.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from fpg.pairs.checks import check_section


@dataclass(frozen=True)
class DonorConfig:
    """When and how another face is blended in. Ranges include both ends."""

    probability: float = 0.0
    """Chance that the source is another person's face; 0 leaves out this step."""
    candidates: int = 24
    """Faces among which the best fitting is chosen."""
    color: tuple[float, float] = (0.6, 1.0)
    """How much of the difference in colour (mean and standard deviation in CIELAB under the mask) is removed."""

    def __post_init__(self) -> None:
        """Refuse values that no donor can be blended with.

        Raises:
            UsageError: naming the field, what was expected and what came.
        """
        require = check_section("augment.donor", self)
        require(self.candidates >= 1, "candidates", "at least 1")
        require(self.color[0] >= 0 and self.color[1] <= 1, "color", "within [0, 1]")


@dataclass(frozen=True)
class DonorParams:
    """All draws of one pair's donor."""

    candidates: tuple[float, ...]
    """Of [0, 1): which of all faces are candidates."""
    color: float


@dataclass(frozen=True, eq=False)
class DonorFace:
    """A face to blend in: uint8 [H, W, 3] RGB, and its landmarks, float64 [N, 2] in its pixels."""

    image: np.ndarray
    landmarks: np.ndarray


def draw_donor(rng: np.random.Generator, config: DonorConfig) -> DonorParams | None:
    """Draw one pair's donor, None for none; every draw is consumed whatever the outcome of the others."""
    happens = float(rng.random())
    candidates, color = tuple(rng.random(config.candidates).tolist()), float(rng.uniform(*config.color))
    return DonorParams(candidates, color) if happens < config.probability else None


def choose_donor(
    landmarks: np.ndarray, params: DonorParams, count: int, landmarks_of: Callable[[int], np.ndarray], same: Callable[[int], bool]
) -> int | None:
    """The candidate whose landmarks an affine map brings closest to those of a face.

    Args:
        landmarks: of the face, [68 or 81, 2].
        params: from `draw_donor`.
        count: of all faces.
        landmarks_of: landmarks of a face by index.
        same: whether a face by index shows the same person, who is no donor.

    Returns:
        Its index, or None when all candidates show the same person.
    """
    indices = {int(u * count) for u in params.candidates}
    fits = [(_fit(landmarks_of(index), landmarks)[1], index) for index in sorted(indices) if not same(index)]
    return min(fits)[1] if fits else None


def blend_donor(
    real: np.ndarray, mask: np.ndarray, landmarks: np.ndarray, donor: DonorFace, params: DonorParams
) -> tuple[np.ndarray, np.ndarray]:
    """Blend another face into a real one.

    Args:
        real: uint8 [S, S, 3] RGB.
        mask: float32 [S, S] in [0, 1].
        landmarks: of the real face, [68 or 81, 2], in pixels of `real`.
        donor: the face to blend in.
        params: from `draw_donor`.

    Returns:
        Forgery and source, uint8 [S, S, 3]; where the mask is 0 the forgery is the real face.
    """
    height, width = real.shape[:2]
    matrix, _ = _fit(donor.landmarks, landmarks)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    image = donor.image
    if scale < 0.75:  # sampling would alias
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        matrix = np.hstack([matrix[:, :2] / scale, matrix[:, 2:]])
    warped = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    source = _with_colors_of(real, warped, mask, params.color)
    soft = mask[..., None]
    return np.clip(np.rint(soft * source + (1 - soft) * real), 0, 255).astype(np.uint8), source


def _fit(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """The affine map [2, 3] that brings landmarks closest to others (least squares), and how far they stay apart, by the face's width."""
    count = min(len(source), len(target))
    source, target = source[:count].astype(np.float64), target[:count].astype(np.float64)
    design = np.hstack([source, np.ones((count, 1))])
    solution, *_ = np.linalg.lstsq(design, target, rcond=None)
    error = float(np.sqrt(((design @ solution - target) ** 2).sum(1).mean()) / max(float(np.ptp(target[:, 0])), 1e-6))
    return np.ascontiguousarray(solution.T), error


def _with_colors_of(real: np.ndarray, image: np.ndarray, mask: np.ndarray, amount: float) -> np.ndarray:
    """Move mean and standard deviation under the mask towards those of the real face, in CIELAB (Reinhard et al., 2001)."""
    inside = mask > 0.5 * float(mask.max())
    if not inside.any():
        return image
    a, b = (cv2.cvtColor(x.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for x in (image, real))
    gain = np.clip(b[inside].std(0) / np.maximum(a[inside].std(0), 1e-3), 0.6, 1.6)
    matched = (a - a[inside].mean(0)) * gain + b[inside].mean(0)
    mixed = (a + amount * (matched - a)).astype(np.float32)
    return np.clip(np.rint(cv2.cvtColor(mixed, cv2.COLOR_LAB2RGB) * 255), 0, 255).astype(np.uint8)
