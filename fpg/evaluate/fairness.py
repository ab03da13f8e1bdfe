"""Groups of annotated attributes: AUC, FPR and TPR at the chosen threshold in each, gaps between them, all with intervals.

Words (Hardt et al., NeurIPS 2016; Verma and Rubin, FairWare 2018): a gap in TPR is a difference in *equal opportunity*, one in FPR a
difference in *predictive equality*, the larger of the two the difference in *equalised odds*. Rates have Wilson's interval (JASA 1927),
differences of rates Newcombe's (Statistics in Medicine 1998, method 10), AUCs the bootstrap's. The gap that is reported is the largest of
all pairs of groups; its interval is one of simultaneous intervals over all pairs (Bonferroni), so that having looked for the largest does
not make it too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Protocol

import numpy as np

from fpg.common.rng import stream
from fpg.data.manifest import FAKE, REAL
from fpg.evaluate.bootstrap import CONFIDENCE, bootstrap_aucs, interval
from fpg.evaluate.metrics import auc

SMALL = 30
"""With fewer scored real or fake videos a group is marked: its rates move by more than three points with a single video."""
MEASURES = ("auc", "fpr", "tpr")
UNKNOWN = "unknown"
"""Videos without a value of an attribute form this group, which takes no part in gaps."""


class _KnownVideo(Protocol):
    """What a group needs to know about a video."""

    @property
    def label(self) -> int: ...
    @property
    def score(self) -> float | None: ...
    @property
    def attributes(self) -> dict[str, str]: ...


def wilson(hits: int, number: int, z: float) -> tuple[float, float]:
    """Wilson's score interval of a fraction, `hits` of `number`; (0, 1) of none."""
    if not number:
        return 0.0, 1.0
    fraction, scale = hits / number, 1 + z * z / number
    centre = (fraction + z * z / (2 * number)) / scale
    half = z / scale * math.sqrt(fraction * (1 - fraction) / number + z * z / (4 * number * number))
    return max(0.0, centre - half), min(1.0, centre + half)


def rate_difference(first: tuple[int, int], second: tuple[int, int], z: float) -> tuple[float, float]:
    """Newcombe's interval of the difference of two independent fractions, each (hits, number)."""
    (a, n), (b, m) = first, second
    (low_a, high_a), (low_b, high_b) = wilson(a, n, z), wilson(b, m, z)
    p, q = a / n, b / m
    return (
        p - q - math.sqrt((p - low_a) ** 2 + (high_b - q) ** 2),
        p - q + math.sqrt((high_a - p) ** 2 + (q - low_b) ** 2),
    )


def by_attribute(results: Sequence[_KnownVideo], threshold: float, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Every attribute that some video has: its groups, and the largest gaps between them.

    Args:
        results: every video, those without a score included.
        threshold: probability from which a video is called fake.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    names = sorted({name for result in results for name in result.attributes})
    return [_attribute(name, results, threshold, resamples, seed) for name in names]


def _attribute(name: str, results: Sequence[_KnownVideo], threshold: float, resamples: int, seed: int) -> dict[str, Any]:
    members: dict[str, list[_KnownVideo]] = {}
    for result in results:
        members.setdefault(result.attributes.get(name) or UNKNOWN, []).append(result)
    values = sorted(members, key=lambda value: (value == UNKNOWN, value))
    found = [_group(name, value, members[value], threshold, resamples, seed) for value in values]
    groups, draws = [group for group, _ in found], {group["value"]: part for group, part in found}
    known = [group for group in groups if group["value"] != UNKNOWN]
    gaps = {measure: _gap(measure, known, draws) for measure in MEASURES}
    rates = [abs(gap["value"]) for gap in (gaps["fpr"], gaps["tpr"]) if gap is not None]
    return {
        "attribute": name,
        "threshold": threshold,
        "small": SMALL,
        "groups": groups,
        "gaps": gaps,
        "equalised_odds": max(rates) if len(rates) == 2 else None,
        "intervals": f"rates: Wilson; AUC: bootstrap, {resamples} resamples; gaps: the largest of all pairs, simultaneous {CONFIDENCE:.0%}",
    }


def _group(
    name: str, value: str, members: Sequence[_KnownVideo], threshold: float, resamples: int, seed: int
) -> tuple[dict[str, Any], np.ndarray | None]:
    """A group, and the bootstrapped AUC [resamples] where there is one."""
    scored = [(m.label, m.score) for m in members if m.score is not None]
    labels, scores = np.array([y for y, _ in scored], np.int64), np.array([s for _, s in scored], np.float64)
    real, fake = int((labels == REAL).sum()), int((labels == FAKE).sum())
    called = scores >= threshold
    counts = {"fpr": (int(called[labels == REAL].sum()), real), "tpr": (int(called[labels == FAKE].sum()), fake)}
    z = _z(1)
    rates = {key: hits / number if number else None for key, (hits, number) in counts.items()}
    bounds: dict[str, list[float]] = {key: list(wilson(*pair, z)) for key, pair in counts.items() if pair[1]}
    draws = None
    if real and fake:
        draws = bootstrap_aucs(labels, scores[None], resamples, stream(seed, "attribute", name, value))[:, 0]
        bounds["auc"] = list(interval(draws))
    group = {
        "value": value,
        "videos": len(members),
        "without_score": len(members) - len(scored),
        "real": real,
        "fake": fake,
        "small": min(real, fake) < SMALL,
        "auc": auc(labels, scores) if real and fake else None,
        **rates,
        "called_fake": {key: list(pair) for key, pair in counts.items()},
        "intervals": bounds,
    }
    return group, draws


def _z(comparisons: int) -> float:
    from scipy.stats import norm

    return float(norm.ppf(1 - (1 - CONFIDENCE) / 2 / comparisons))


def _gap(measure: str, groups: Sequence[dict[str, Any]], draws: dict[str, np.ndarray | None]) -> dict[str, Any] | None:
    """The two groups that differ most in a measure; None with fewer than two in which it is defined."""
    pairs = list(combinations([group for group in groups if group[measure] is not None], 2))
    if not pairs:
        return None
    z = _z(len(pairs))
    high, low = max(
        (sorted(pair, key=lambda group: -group[measure]) for pair in pairs), key=lambda pair: pair[0][measure] - pair[1][measure]
    )
    value = high[measure] - low[measure]
    if measure == "auc":
        one, other = draws[high["value"]], draws[low["value"]]
        assert one is not None
        assert other is not None
        half = z * math.sqrt(float(one.var(ddof=1) + other.var(ddof=1)))
        bounds = (value - half, value + half)
    else:
        bounds = rate_difference(tuple(high["called_fake"][measure]), tuple(low["called_fake"][measure]), z)
    return {
        "value": value,
        "high": high["value"],
        "low": low["value"],
        "interval": [max(-1.0, bounds[0]), min(1.0, bounds[1])],
        "pairs": len(pairs),
        "small": high["small"] or low["small"],
    }
