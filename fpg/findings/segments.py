"""When a face is suspicious: the parts of a track whose frame scores reach the threshold, or stand out from the rest.

A place of change is looked for with a scan statistic: of all parts of the track (also those at its ends) the one whose mean log-odds
differ most from the rest, in units of the deviation that is left. It counts beyond a bound that tracks without a change pass in 5 % of
cases, be neighbours correlated by up to 0.7 (simulated: `benchmarks/segment_bounds.py`, bounds in `tables.json`). Frames less than a
quarter of a second apart are more alike than that, and are taken together in groups. Each part found is looked at again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fpg.findings.intervals import block_mean
from fpg.findings.tables import TABLES

_T = TABLES["segments"]
SHORTEST: int = _T["shortest"]
"""Groups of frames that a part and the rest must have."""
FEWEST: int = _T["fewest"]
"""Groups below which no change is looked for."""
STANDS_OUT = math.log(TABLES["odds"]["moderate"])
"""Log-odds by which a part stands out: the ratio that is called moderate evidence."""
SECONDS: float = _T["seconds"]
"""Frames closer together than this are taken together."""
MOST: int = _T["most"]
"""Groups at most, so that the search stays quadratic in a small number."""


@dataclass(frozen=True)
class Segment:
    """A suspicious part of a track; times and frames of the first and last frame looked at in it."""

    start_s: float
    end_s: float
    first_frame: int
    last_frame: int
    frames: int
    score: float
    """Mean over its frames."""
    reaches_threshold: bool
    """Whether the score does; else the part stands out from the rest of its track."""
    stands_out_by: float | None
    """Mean log-odds of its frames over those of the rest; None of a whole track."""


def find_segments(scores: Sequence[float], times: Sequence[float], indices: Sequence[int], threshold: float) -> tuple[Segment, ...]:
    """The suspicious segments of a track, in order of time.

    Args:
        scores: of its frames in order of time, in [0, 1], [N].
        times: in seconds, [N].
        indices: of the frames, [N].
        threshold: mean score from which a part is suspicious.
    """
    values = np.asarray(scores, np.float64)
    odds = log_odds(values)
    found: list[tuple[int, int]] = []
    for start, end in parts(values, times):
        apart = stands_out_by(odds, start, end)
        if block_mean(values, start, end) >= threshold or (apart is not None and apart >= STANDS_OUT):
            if found and found[-1][1] == start:
                start = found.pop()[0]
            found.append((start, end))
    return tuple(_segment(values, odds, times, indices, part, threshold) for part in found)


def _segment(
    values: np.ndarray, odds: np.ndarray, times: Sequence[float], indices: Sequence[int], part: tuple[int, int], threshold: float
) -> Segment:
    (a, b), score = part, block_mean(values, *part)
    return Segment(times[a], times[b - 1], indices[a], indices[b - 1], b - a, score, score >= threshold, stands_out_by(odds, a, b))


def stands_out_by(odds: np.ndarray, start: int, end: int) -> float | None:
    """How far the mean of `odds[start:end]` lies above that of the rest; None without a rest."""
    rest = np.concatenate((odds[:start], odds[end:]))
    return block_mean(odds, start, end) - block_mean(rest, 0, len(rest)) if len(rest) else None


def parts(scores: np.ndarray, times: Sequence[float]) -> list[tuple[int, int]]:
    """Where a track's scores change: half-open ranges of positions that cover it, in order; one range without a change.

    Args:
        scores: float64 in [0, 1], [N].
        times: in seconds, rising, [N].
    """
    return _parts(log_odds(scores), times, 0, len(scores)) if len(scores) else []


def log_odds(scores: np.ndarray) -> np.ndarray:
    """ln(p / (1 - p)) within what float32 scores can tell."""
    edge = 1 / (1 + math.exp(_T["largest_logit"]))
    p = np.clip(np.asarray(scores, np.float64), edge, 1 - edge)
    return np.asarray(np.log(p) - np.log1p(-p))


def _parts(values: np.ndarray, times: Sequence[float], start: int, end: int) -> list[tuple[int, int]]:
    group = group_size(end - start, times[end - 1] - times[start])
    count = (end - start) // group
    if count < FEWEST:
        return [(start, end)]
    edges = [start + (end - start) * g // count for g in range(count + 1)]
    statistic, first, last = scan(np.array([block_mean(values, a, b) for a, b in itertools.pairwise(edges)]))
    if statistic <= bound(count):
        return [(start, end)]
    ranges = [(start, edges[first]), (edges[first], edges[last]), (edges[last], end)]
    return [part for low, high in ranges if low < high for part in _parts(values, times, low, high)]


def group_size(frames: int, seconds: float) -> int:
    """How many consecutive frames are taken together: `SECONDS` of them, and so many that there are at most `MOST` groups.

    Args:
        frames: looked at in the part.
        seconds: from the first to the last of them.
    """
    fewest = -(-frames // MOST)
    return max(fewest, math.ceil(SECONDS * (frames - 1) / seconds - 1e-6)) if seconds > 0 else fewest


def scan(values: np.ndarray) -> tuple[float, int, int]:
    """The part [first, last) whose mean differs most from the rest: |difference| over its standard error were the rest noise alone.

    Args:
        values: [n], n >= `FEWEST`.

    Returns:
        statistic, first, last; (0, 0, 0) where all values are the same.
    """
    n = len(values)
    sums = np.concatenate(([0.0], np.cumsum(values - values.mean())))
    first, last = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    length = last - first
    allowed = (length >= SHORTEST) & (n - length >= SHORTEST)
    allowed &= ((first == 0) | (first >= SHORTEST)) & ((last == n) | (n - last >= SHORTEST))
    gain = np.where(allowed, (sums[last] - sums[first]) ** 2 * n / np.maximum(length * (n - length), 1), -1.0)
    best = int(gain.argmax())
    i, j = divmod(best, n + 1)
    total = float(((values - values.mean()) ** 2).sum())
    most = float(gain.flat[best])
    if not total > _T["still"] * n:
        return 0.0, 0, 0
    left = max(total - most, 1e-9 * total)
    return math.sqrt(most * (n - 2) / left), i, j


def bound(count: int) -> float:
    """What the statistic of so many groups without a change passes in 5 % of cases; straight lines between the table's rows."""
    rows = _T["bounds"]
    return float(np.interp(count, [row[0] for row in rows], [row[1] for row in rows]))
