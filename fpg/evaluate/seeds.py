"""Several seeds of one method: means and standard deviations over seeds, differences with intervals over videos and seeds, paired tests.

A number of one trained network moves with the choice of videos and with the luck of one training. Both are estimated apart, the first by
the bootstrap over videos (`fpg.evaluate.bootstrap`) of the mean over seeds, the second by the variance between seeds, and their variances
are added; the degrees of freedom of the sum are Satterthwaite's (Biometrics Bulletin 1946), the quantile is Student's. What seeds and
videos do together is counted in both parts, so intervals err on the wide side. With one seed only the videos are counted, as said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fpg.evaluate.bootstrap import CONFIDENCE, interval

Interval = tuple[float, float]


@dataclass(frozen=True)
class MethodRuns:
    """The runs of one method: one, or several seeds."""

    name: str
    runs: tuple[str, ...]
    seeds: tuple[int | None, ...]


@dataclass(frozen=True)
class MethodRow:
    """One method on one group of videos, over its seeds."""

    method: str
    runs: list[str]
    seeds: list[int | None]
    auc: float | None
    """Mean over the seeds; None where undefined."""
    auc_std: float | None
    """Standard deviation over the seeds (of a sample); None with one."""
    auc_interval: Interval | None
    """95 %, over videos and seeds; over videos alone with one seed."""
    ap: float | None
    eer: float | None
    """Means over the seeds."""
    difference: float | None
    """Of the mean AUCs, to the baseline method's; None for the baseline."""
    difference_interval: Interval | None
    """95 %, over videos and seeds."""
    p: float | None
    """Two-sided, of the difference, over videos and seeds."""
    p_videos: float | None
    """Two-sided, over videos alone (bootstrap)."""
    p_seeds: float | None
    """Two-sided t-test over seeds alone: paired where both methods have the same seeds, else Welch's; None with one seed."""
    verdict: str
    """As of `fpg.evaluate.compare.Row`."""

    def to_json(self) -> dict[str, Any]:
        """As a dict."""
        return asdict(self)


@dataclass(frozen=True)
class SeedEstimate:
    """A value with what it owes to the choice of videos and to the luck of training."""

    value: float
    interval: Interval
    p: float | None
    p_videos: float
    p_seeds: float | None


def families(runs: Sequence[Any]) -> list[MethodRuns]:
    """Runs (`EvaluatedRun`) by method, in the order in which each comes first."""
    members: dict[str, list[Any]] = {}
    for run in runs:
        members.setdefault(run.family or run.name, []).append(run)
    return [MethodRuns(name, tuple(r.name for r in own), tuple(r.seed for r in own)) for name, own in members.items()]


def estimate(draws: np.ndarray, values: np.ndarray, others: np.ndarray | None = None, *, paired: bool = False) -> SeedEstimate:
    """The mean over seeds, or a difference of two, with its interval over videos and seeds.

    Args:
        draws: bootstrap values of the mean (or of the difference of the means) over videos, [resamples].
        values: of each seed on all videos, [n].
        others: of the other method's seeds, [m], for a difference; None for a mean.
        paired: value i and other i are of the same seed.
    """
    value = float(values.mean() - (0.0 if others is None else others.mean()))
    below = float((draws <= 0).mean())
    p_videos = min(1.0, max(2 * min(below, float((draws >= 0).mean())), 1 / (len(draws) + 1)))
    parts = [values - others] if paired and others is not None else [values] if others is None else [values, others]
    spread = [(float(part.var(ddof=1)) / len(part), len(part) - 1) for part in parts if len(part) > 1]
    seeds = sum(variance for variance, _ in spread)
    if not spread or seeds == 0:
        return SeedEstimate(value, interval(draws), None if not spread else p_videos, p_videos, None)
    videos = float(draws.var(ddof=1))
    between = seeds**2 / sum(variance**2 / free for variance, free in spread)
    total = videos + seeds
    free = between * (total / seeds) ** 2
    half = _quantile(free) * math.sqrt(total)
    p_seeds = _two_sided(value / math.sqrt(seeds), between) if len(spread) == len(parts) and others is not None else None
    return SeedEstimate(value, (value - half, value + half), _two_sided(value / math.sqrt(total), free), p_videos, p_seeds)


def _quantile(free: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + CONFIDENCE / 2, free))


def _two_sided(ratio: float, free: float) -> float:
    from scipy.stats import t

    return float(2 * t.sf(abs(ratio), free))


def clipped(bounds: Interval) -> Interval:
    """An interval of a fraction, within 0 and 1."""
    return max(0.0, bounds[0]), min(1.0, bounds[1])
