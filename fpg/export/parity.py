"""Whether an exported network answers as the trained one does: on the same images, in several batch sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fpg.engines.base import Engine, fake_probability

TOLERANCE = 1e-3
"""Largest allowed difference of probability."""
MAP_TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2}
"""Largest allowed difference of the activation map, as a share of its largest absolute value; by precision."""
BATCHES = (1, 2, 5)
"""Batch sizes in turn: a batch that was frozen into the graph fails."""


@dataclass(frozen=True)
class Parity:
    """The outcome of one comparison."""

    images: int
    source: str
    """What the images were."""
    probability: float
    """Largest difference of the probability of "fake"."""
    activation_map: float
    """Largest difference of the activation map / its largest absolute value."""
    tolerance: float
    map_tolerance: float

    @property
    def passed(self) -> bool:
        """Whether both differences are within tolerance (NaN is not)."""
        return self.probability <= self.tolerance and self.activation_map <= self.map_tolerance

    def __str__(self) -> str:
        return (
            f"probability differs by {self.probability:.2e} (allowed {self.tolerance:g}), "
            f"activation map by {self.activation_map:.2e} (allowed {self.map_tolerance:g}), on {self.images} {self.source}"
        )


def compare(reference: Engine, engine: Engine, images: np.ndarray, source: str, map_tolerance: float = MAP_TOLERANCE["fp32"]) -> Parity:
    """Run both on the same images.

    Args:
        reference: usually the torch engine.
        engine: the exported network.
        images: float32 [N, 3, S, S] in [0, 1], N >= 1.
        source: what the images are, for the report.
        map_tolerance: see `MAP_TOLERANCE`.
    """
    probability = difference = largest = 0.0
    for part in _batches(images):
        expected, actual = reference(part), engine(part)
        probability = max_or_nan(probability, np.abs(fake_probability(actual.logits) - fake_probability(expected.logits)))
        difference = max_or_nan(difference, np.abs(actual.activation_map - expected.activation_map))
        largest = max_or_nan(largest, np.abs(expected.activation_map))
    relative = difference / largest if largest > 0 else difference
    return Parity(len(images), source, probability, relative, TOLERANCE, map_tolerance)


def max_or_nan(value: float, more: np.ndarray) -> float:
    """The larger of both; NaN when either holds one (Python's `max` would lose it)."""
    return float(np.maximum(value, more.max()))


def _batches(images: np.ndarray) -> Iterator[np.ndarray]:
    start = turn = 0
    while start < len(images):
        size = BATCHES[turn % len(BATCHES)]
        yield images[start : start + size]
        start, turn = start + size, turn + 1


def random_images(size: int, count: int = 8, seed: int = 0) -> np.ndarray:
    """Images to compare on when there are no crops: every other one noise, the others smooth colours; float32 [count, 3, size, size]."""
    rng = np.random.default_rng(seed)
    images = rng.random((count, 3, size, size), dtype=np.float32)
    coarse = rng.random((count, 3, 4, 4), dtype=np.float32)
    steps = np.linspace(0, 3, size)
    low = np.minimum(steps.astype(int), 2)
    share = (steps - low).astype(np.float32)
    for i in range(1, count, 2):
        rows = coarse[i][:, low] * (1 - share)[:, None] + coarse[i][:, low + 1] * share[:, None]
        images[i] = rows[:, :, low] * (1 - share) + rows[:, :, low + 1] * share
    return images
