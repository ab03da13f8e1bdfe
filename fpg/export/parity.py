"""Whether an exported network answers as the trained one does: on the same images, in several batch sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from fpg.engines.base import Engine, fake_probability


class Tolerance(NamedTuple):
    """What an export may differ from torch by."""

    probability: float
    """Difference of the probability of "fake" ..."""
    share: float
    """... that this fraction of the images has to keep to."""
    activation_map: float
    """Largest difference of the activation map, as a fraction of its largest absolute value."""


TOLERANCES = {
    "fp32": Tolerance(1e-3, 1.0, 1e-3),
    "fp16": Tolerance(1e-2, 1.0, 5e-2),
    "bf16": Tolerance(0.05, 0.95, 0.2),
    "int8": Tolerance(0.05, 0.95, 0.5),
    "fp8": Tolerance(0.05, 0.95, 0.5),
}
"""By precision."""
AUC_DROP = 0.01
"""Largest loss of AUC over labelled images."""
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
    activation_map: float | None
    """Largest difference of the activation map / its largest absolute value; None where the detector has none."""
    share: float
    """Fraction of the images whose probability is within tolerance."""
    tolerance: Tolerance
    auc: tuple[float, float] | None = None
    """Of torch and of the export, where the images have labels of both classes."""

    @property
    def passed(self) -> bool:
        """Whether all is within tolerance (NaN is not)."""
        kept = self.auc is None or self.auc[0] - self.auc[1] <= AUC_DROP
        alike = self.activation_map is None or self.activation_map <= self.tolerance.activation_map
        return self.share >= self.tolerance.share and alike and kept

    def rows(self) -> list[tuple[str, str, str]]:
        """(what, found, allowed), for a table."""
        allowed = self.tolerance
        found = [
            ("probability of fake, largest difference", f"{self.probability:.2e}", "" if allowed.share < 1 else f"{allowed.probability:g}")
        ]
        if allowed.share < 1:
            found.append((f"images within {allowed.probability:g} of it", f"{self.share:.1%}", f"at least {allowed.share:.0%}"))
        if self.activation_map is not None:
            found.append(("activation map, largest relative difference", f"{self.activation_map:.2e}", f"{allowed.activation_map:g}"))
        if self.auc is not None:
            found.append(("AUC, torch and export", f"{self.auc[0]:.4f}, {self.auc[1]:.4f}", f"a loss of {AUC_DROP:g}"))
        return found

    def __str__(self) -> str:
        said = ", ".join(f"{what} {found}" + (f" (allowed {allowed})" if allowed else "") for what, found, allowed in self.rows())
        return f"{said}, on {self.images} {self.source}"


@dataclass(frozen=True)
class FaceParity:
    """The outcome for a face network: largest difference from torch by output, as a fraction of the output's largest magnitude."""

    images: int
    source: str
    differences: dict[str, float]
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether all are allowed (NaN is not)."""
        return all(difference <= self.allowed for difference in self.differences.values())

    def rows(self) -> list[tuple[str, str, str]]:
        """(what, found, allowed), for a table."""
        return [(f"{name}, largest relative difference", f"{value:.2e}", f"{self.allowed:g}") for name, value in self.differences.items()]

    def __str__(self) -> str:
        return ", ".join(f"{name} differ by {value:.2e} (allowed {self.allowed:g})" for name, value in self.differences.items())


def compare_outputs(
    reference: Engine,
    engine: Engine,
    images: np.ndarray,
    source: str,
    tolerance: Tolerance = TOLERANCES["fp32"],
    labels: np.ndarray | None = None,
) -> Parity:
    """Run both on the same images. Probabilities are those that are judged by: at the reference's temperature.

    Args:
        reference: usually the torch engine.
        engine: the exported network.
        images: float32 [N, 3, S, S] in [0, 1], N >= 1.
        source: what the images are, for the report.
        tolerance: what may differ.
        labels: int [N], 0 real, 1 fake; None where they are not known.
    """
    scores: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    difference = largest = 0.0
    maps = False
    for part in _batches(images):
        expected, actual = reference(part), engine(part)
        for found, output in zip(scores, (expected, actual), strict=True):
            found.append(fake_probability(output.logits, reference.spec.temperature))
        if expected.activation_map is not None and actual.activation_map is not None:
            maps = True
            difference = max_or_nan(difference, np.abs(actual.activation_map - expected.activation_map))
            largest = max_or_nan(largest, np.abs(expected.activation_map))
    ours, theirs = (np.concatenate(found) for found in scores)
    apart = np.abs(theirs - ours)
    relative = difference / largest if largest > 0 else difference
    auc = None
    if labels is not None and len(set(labels.tolist())) == 2 and np.isfinite(theirs).all():
        auc = (float(roc_auc_score(labels, ours)), float(roc_auc_score(labels, theirs)))
    share = float((apart <= tolerance.probability).mean())
    return Parity(len(images), source, max_or_nan(0.0, apart), relative if maps else None, share, tolerance, auc)


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
