"""Masks of a part of the face: what lip synchronisation, gaze correction and other local edits change.

The hull families of self-blended images cover whole faces, so that a detector may learn to look for the outline of a face. A mask of the
mouth, the nose, the eyes, or the lower or upper half leaves most of the outline alone, and puts the boundary where local forgeries have it
(after the more diverse masks of the Practical Manipulation Model, PMM: Hopf and Timofte, ICCV Workshops 2025, arXiv 2506.05119). The part
is the convex hull of its landmarks, which may be larger about its middle; all that follows (affine and elastic change, feathering,
guidance) is the same as for whole faces. Off by default: the method has whole faces only. What it changes is measured in
`docs/results.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fpg.common.landmarks import COORDINATE_LIMIT
from fpg.common.rng import odd_integer
from fpg.pairs.checks import check_section

Part = Literal["mouth", "nose", "eyes", "lower", "upper"]
POINTS: dict[Part, tuple[int, ...]] = {
    "mouth": tuple(range(48, 60)),
    "nose": tuple(range(27, 36)),
    "eyes": (*range(17, 27), *range(36, 48)),
    "lower": (*range(2, 15), *range(31, 36)),
    "upper": (0, *range(16, 31), *range(36, 48), *range(68, 81)),
}
"""Landmarks of each part: lips; nose; brows and eyes; jaw up to the base of the nose; all above the tip of the nose, the forehead where
there are landmarks of it."""
PARTS: tuple[Part, ...] = tuple(POINTS)
_HALVES = ("lower", "upper")


@dataclass(frozen=True)
class PartConfig:
    """When and of what a mask covers a part of the face instead of all of it. Ranges include both ends."""

    probability: float = 0.0
    """Chance that a mask covers one part of the face; 0 leaves out this step."""
    kinds: tuple[Part, ...] = PARTS
    """Drawn uniformly: lips, nose, brows and eyes, jaw up to the nose, all above the nose."""
    grow: tuple[float, float] = (1.0, 1.4)
    """Width and height of the mask of mouth, nose and eyes, as multiples of their landmarks' extent; halves end where the face does."""
    feather_kernel: tuple[int, int] = (3, 9)
    """Range of the first blur kernel of feathering, odd; the method's larger kernels would leave only a dot of a mouth."""

    def __post_init__(self) -> None:
        """Refuse values that no mask can be made with.

        Raises:
            UsageError: naming the field, what was expected and what came.
        """
        require = check_section("augment.part", self)
        require(self.kinds != () and set(self.kinds) <= set(PARTS), "kinds", f"some of {', '.join(PARTS)}")
        require(self.grow[0] >= 0.1 and self.grow[1] <= 10, "grow", "within 0.1..10")
        require(all(k % 2 == 1 and 0 < k <= 65 for k in self.feather_kernel), "feather_kernel", "odd numbers up to 65")


@dataclass(frozen=True)
class PartParams:
    """All draws of one pair's part."""

    kind: Part
    grow: float
    k1: int
    """Side of the first blur kernel of feathering."""


def draw_part(rng: np.random.Generator, config: PartConfig) -> PartParams | None:
    """Draw one pair's part, None for the whole face; every draw is consumed whatever the outcome of the others."""
    happens = float(rng.random())
    kind, grow = config.kinds[int(rng.integers(len(config.kinds)))], float(rng.uniform(*config.grow))
    k1 = odd_integer(rng, *config.feather_kernel)
    return PartParams(kind, grow, k1) if happens < config.probability else None


def part_outline(landmarks: np.ndarray, params: PartParams) -> np.ndarray:
    """The points whose convex hull is the part: float64 [81, 2], in pixels of the landmarks.

    Args:
        landmarks: [68 or 81, 2].
        params: from `draw_part`.

    Returns:
        As many points as the mask of a whole face has; some of them several times, which changes no hull.
    """
    points = landmarks[[index for index in POINTS[params.kind] if index < len(landmarks)]].astype(np.float64)
    middle, factor = (points.min(0) + points.max(0)) / 2, 1.0 if params.kind in _HALVES else params.grow
    grown = np.clip(middle + factor * (points - middle), -COORDINATE_LIMIT, COORDINATE_LIMIT)
    return np.resize(grown, (81, 2))
