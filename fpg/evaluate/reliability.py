"""Measuring how far a model's scores can be relied on: the score bounds of the levels of evidence, and the conditions they hold under.

Bounds are fitted on labelled videos, both classes weighed alike. Evidence is `strong` from the lowest score on at which two things are
borne out: the videos that score at least as high have odds of 19 to 1 for forged, at the lower end of a one-sided 95 % interval; and so do
videos with about that score, by isotonic regression of the labels on the scores. `moderate`: 4 to 1. `none` and `little` are the same for
real. What is reported of the levels is measured by cross-fitting: each video is judged by bounds that were fitted without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fpg.common.rng import stream
from fpg.evaluate.calibration import log_loss
from fpg.evaluate.protocol import Result
from fpg.findings.limits import CONDITIONS, HIGH
from fpg.findings.strength import LITTLE, MODERATE, NONE, STRONG, WORDS, Reliability, level_of_score
from fpg.findings.tables import TABLES

ODDS: dict[str, float] = TABLES["odds"]
Z = 1.6449
"""Of a one-sided 95 % interval."""
FOLDS = 5
OUTSIDE = 0.025
"""Fraction of the videos that may lie beyond the bound of a condition."""
LEAST_WEIGHT = 0.01
"""In a fusion, of a model whose scores say nothing."""


def measure_reliability(results: Sequence[Result], data: Sequence[str] = (), seed: int = 0) -> Reliability:
    """What a model's sidecar states of its scores.

    Args:
        results: of labelled videos, at the temperature that the model has; those without a score are left out.
        data: names of the data.
        seed: of the folds.

    Raises:
        ValueError: fewer than `FOLDS` videos of a class.
    """
    scored = [r for r in results if r.score is not None]
    y = np.array([r.label for r in scored], np.int64)
    s = np.array([r.score for r in scored], np.float64)
    fake = int(y.sum())
    if min(fake, len(y) - fake) < FOLDS:
        raise ValueError(f"at least {FOLDS} real and {FOLDS} forged videos with a score are needed, got {len(y) - fake} and {fake}")
    levels = {name: {"real": 0, "fake": 0} for name in WORDS if name != "not_calibrated"}
    fold = _folds(y, seed)
    for left_out in range(FOLDS):
        bounds = fit_bounds(y[fold != left_out], s[fold != left_out])
        for label, score in zip(y[fold == left_out], s[fold == left_out], strict=True):
            levels[level_of_score(float(score), bounds)]["fake" if label else "real"] += 1
    return Reliability(fit_bounds(y, s), len(y) - fake, fake, levels, usual_conditions(scored), fusion_weight(y, s), tuple(data))


def fit_bounds(labels: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    """The score bounds of the levels, see the module.

    Args:
        labels: 0 real, 1 fake; [N], both there.
        scores: in [0, 1], [N].
    """
    up = {name: _bound(labels, scores, ODDS[name]) for name in (STRONG, MODERATE)}
    down = {name: _bound(1 - labels, -scores, ODDS[odds]) for name, odds in ((LITTLE, MODERATE), (NONE, STRONG))}
    return {**up, **{name: None if bound is None else -bound for name, bound in down.items()}}


def _bound(positive: np.ndarray, scores: np.ndarray, odds: float) -> float | None:
    """The lowest score from which on the odds for `positive` are borne out; halfway to the next score below."""
    distinct = np.unique(scores)
    likely = isotonic(positive, scores)
    for at, score in enumerate(distinct):
        fraction = float(likely[scores == score][0])
        if fraction >= odds / (1 + odds) and _tail_odds(positive, scores >= score) >= odds:
            return float(score if at == 0 else (score + distinct[at - 1]) / 2)
    return None


def _tail_odds(positive: np.ndarray, tail: np.ndarray) -> float:
    """The lower end of the interval of the odds in a tail, classes weighed alike: log-normal, half a video added to each count."""
    total = (positive == 1).sum(), (positive == 0).sum()
    inside = (tail & (positive == 1)).sum(), (tail & (positive == 0)).sum()
    hit, other = ((k + 0.5) / (n + 0.5) for k, n in zip(inside, total, strict=True))
    variance = sum(1 / (k + 0.5) - 1 / (n + 0.5) for k, n in zip(inside, total, strict=True))
    return math.exp(math.log(hit / other) - Z * math.sqrt(max(0.0, variance)))


def isotonic(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Fraction of label 1 at each score if it never falls as scores rise, classes weighed alike (pool adjacent violators); [N]."""
    weights = np.where(labels == 1, 1 / max(1, (labels == 1).sum()), 1 / max(1, (labels == 0).sum()))
    distinct, where = np.unique(scores, return_inverse=True)
    mass = np.bincount(where, weights, minlength=len(distinct))
    ones = np.bincount(where, weights * labels, minlength=len(distinct))
    pools: list[list[float]] = []
    for m, one in zip(mass, ones, strict=True):
        pools.append([float(m), float(one), 1])
        while len(pools) > 1 and pools[-2][1] * pools[-1][0] >= pools[-1][1] * pools[-2][0]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    fractions = np.concatenate([np.full(int(count), one / m) for m, one, count in pools])
    return np.asarray(fractions[where])


def usual_conditions(results: Sequence[Result]) -> dict[str, float]:
    """Where the conditions of all but `OUTSIDE` of the videos end; of those that are known for all of them."""
    found: dict[str, float] = {}
    seen = [conditions for r in results if (conditions := r.judgement.conditions) is not None]
    for name in CONDITIONS:
        values = [getattr(conditions, name) for conditions in seen]
        if values and None not in values:
            found[name] = float(np.quantile(values, 1 - OUTSIDE if HIGH[name] else OUTSIDE))
    return found


def fusion_weight(labels: np.ndarray, scores: np.ndarray) -> float:
    """The fraction of what there is to know about the labels that the scores tell: 1 - log loss / entropy, `LEAST_WEIGHT` at least."""
    fraction = float(labels.mean())
    entropy = -(fraction * math.log(fraction) + (1 - fraction) * math.log(1 - fraction))
    return max(LEAST_WEIGHT, 1 - log_loss(labels, scores) / entropy)


def _folds(labels: np.ndarray, seed: int) -> np.ndarray:
    """Number of each video's fold; both classes are spread evenly."""
    fold = np.zeros(len(labels), np.int64)
    for label in (0, 1):
        places = stream(seed, "folds", str(label)).permutation(np.flatnonzero(labels == label))
        fold[places] = np.arange(len(places)) % FOLDS
    return fold


def describe_reliability(found: Reliability) -> list[str]:
    """For people: the bounds and what was measured of them."""
    words = {STRONG: "from", MODERATE: "from", LITTLE: "below", NONE: "below"}
    bounds = [f"{name} {how} {found.bounds[name]:.4g}" for name, how in words.items() if found.bounds[name] is not None]
    missing = [name for name in words if found.bounds[name] is None]
    lines = [
        "levels of evidence: " + (", ".join(bounds) or "none") + (f"; the data bear out no {', no '.join(missing)}" if missing else "")
    ]
    counts = [f"{name} {row['real']} real and {row['fake']} fake" for name, row in found.levels.items()]
    return [*lines, f"of {found.real} real and {found.fake} fake videos, each judged by bounds fitted without it: {', '.join(counts)}"]
