"""Are the probabilities right? Expected calibration error, reliability, temperature scaling, a threshold for a wanted error rate.

What is calibrated is the probability of fake itself: among inputs with a score of 0.8, 80 % should be fake. That depends on the
fraction of fakes in the data; no calibration carries over to a population with another fraction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fpg.evaluate.metrics import check_arrays, require_both

BINS = 15
"""As in Guo et al., On Calibration of Modern Neural Networks, ICML 2017."""
LARGEST_LOGIT = 24 * math.log(2)
"""Scores are float32: closer to 0 or 1 than 2^-24 they say no more."""
TEMPERATURES = (0.02, 50.0)
"""Where a temperature is looked for; beyond it is no calibration."""


@dataclass(frozen=True)
class Bin:
    """Inputs with similar scores."""

    low: float
    high: float
    count: int
    score: float
    """Their mean score."""
    fake: float
    """The fraction of fakes among them."""


def reliability(
    labels: Sequence[int] | np.ndarray,
    scores: Sequence[float] | np.ndarray,
    bins: int = BINS,
    kind: Literal["mass", "width"] = "mass",
) -> list[Bin]:
    """Bins of a reliability diagram, empty ones left out.

    Args:
        labels: 0 real, 1 fake; [N].
        scores: in [0, 1], [N].
        bins: how many at most.
        kind: `mass`: as many inputs in each as equal scores allow (they are never parted); `width`: equal parts of [0, 1].

    Raises:
        ValueError: as `fpg.evaluate.metrics.check_arrays`, or a score outside [0, 1].
    """
    y, s = check_arrays(labels, scores)
    if not len(y):
        return []
    if s.min() < 0 or s.max() > 1:
        raise ValueError(f"scores: expected probabilities in [0, 1], got {s.min():g} to {s.max():g}")
    inner = np.arange(1, bins) / bins
    cuts = np.unique(np.quantile(s, inner, method="inverted_cdf")) if kind == "mass" else inner
    which = np.searchsorted(cuts, s, side="left")  # a bin holds its upper end
    edges = np.r_[0.0, cuts, 1.0]
    found = []
    for index in np.unique(which):
        inside = which == index
        found.append(Bin(float(edges[index]), float(edges[index + 1]), int(inside.sum()), float(s[inside].mean()), float(y[inside].mean())))
    return found


def calibration_error(found: Sequence[Bin]) -> float | None:
    """Expected calibration error of binned scores: mean over inputs of |mean score - fraction of fakes| of their bin; None without any."""
    total = sum(b.count for b in found)
    return sum(b.count * abs(b.score - b.fake) for b in found) / total if total else None


def log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean negative log-likelihood in nats; scores closer to 0 or 1 than float32 can tell are taken as that close."""
    edge = 1 / (1 + math.exp(LARGEST_LOGIT))
    s = np.clip(scores, edge, 1 - edge)
    return float(-np.mean(np.where(labels == 1, np.log(s), np.log1p(-s))))


def calibration_summary(labels: Sequence[int] | np.ndarray, scores: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """Calibration of one set of scores, for JSON: errors, log loss and the bins of the diagram."""
    y, s = check_arrays(labels, scores)
    mass, width = reliability(y, s, kind="mass"), reliability(y, s, kind="width")
    return {
        "ece": calibration_error(mass),
        "ece_equal_width": calibration_error(width),
        "log_loss": log_loss(y, s) if len(y) else None,
        "share_fake": float(y.mean()) if len(y) else None,
        "rule": f"ece: {BINS} bins of equal mass; ece_equal_width: {BINS} bins of equal width; both of the probability of fake",
        "bins": [vars(b) for b in mass],
    }


def logit(scores: np.ndarray) -> np.ndarray:
    """ln(p / (1 - p)); scores of exactly 0 and 1 lie ln 2 beyond all others, and at least that far beyond what float32 can tell."""
    s = np.asarray(scores, np.float64)
    inside = s[(s > 0) & (s < 1)]
    finite = np.log(inside) - np.log1p(-inside)
    reach = math.log(2) + max(LARGEST_LOGIT, float(np.abs(finite).max()) if len(finite) else 0.0)
    values = np.where(s >= 1, reach, -reach)
    values[(s > 0) & (s < 1)] = finite
    return values


def rescaled(scores: np.ndarray, ratio: float) -> np.ndarray:
    """Scores as another temperature gives them: the logit is divided by `ratio`, the new temperature over the old one."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logit(scores) / ratio)))


@dataclass(frozen=True)
class TemperatureFit:
    """A temperature and what it does to the data it was fitted on."""

    ratio: float
    """The new temperature over the one that the scores were made with."""
    before: float
    """Log loss per video in nats."""
    after: float


def fit_temperature(labels: np.ndarray, frames: np.ndarray, videos: np.ndarray) -> TemperatureFit:
    """The temperature with the least log loss of the *videos'* scores (temperature scaling, Guo et al., ICML 2017).

    A video's score is the mean over its frames; the temperature acts on the logits of the frames, as in `EngineSpec`.

    Args:
        labels: of the videos, 0 real, 1 fake; [V], both present.
        frames: scores of all frames in [0, 1], [F].
        videos: number in [0, V) of the video of each frame, [F]; every video has one.

    Raises:
        ValueError: a class is missing, or the best temperature lies outside `TEMPERATURES`: scores that separate the classes
            perfectly, or that say nothing about them.
    """
    y, of = np.asarray(labels), np.asarray(videos)
    require_both(y)
    logits, counts = logit(frames), np.bincount(of, minlength=len(y))

    def loss(log_ratio: float) -> float:
        p = 0.5 * (1 + np.tanh(0.5 * logits / math.exp(log_ratio)))
        return log_loss(y, np.bincount(of, p, minlength=len(y)) / counts)

    low, high = (math.log(t) for t in TEMPERATURES)
    grid = np.linspace(low, high, 121)
    best = int(np.argmin([loss(x) for x in grid]))
    if best in (0, len(grid) - 1):
        what = "separate real from fake perfectly" if best == 0 else "do not tell real from fake"
        raise ValueError(f"no temperature can be fitted: these scores {what}; calibrate on more videos, or on harder ones")
    x = _golden(loss, float(grid[best - 1]), float(grid[best + 1]))
    return TemperatureFit(math.exp(x), loss(0.0), loss(x))


def _golden(function: Any, low: float, high: float, rounds: int = 40) -> float:
    """Where a function with one minimum in [low, high] has it (golden-section search)."""
    part = (math.sqrt(5) - 1) / 2
    a, b = high - part * (high - low), low + part * (high - low)
    fa, fb = function(a), function(b)
    for _ in range(rounds):
        if fa <= fb:
            high, b, fb = b, a, fa
            a = high - part * (high - low)
            fa = function(a)
        else:
            low, a, fa = a, b, fb
            b = low + part * (high - low)
            fb = function(b)
    return (low + high) / 2


def threshold_at(labels: np.ndarray, scores: np.ndarray, rate: float) -> float:
    """The lowest threshold that calls at most `rate` of the real ones fake, halfway to the next score above.

    Args:
        labels: 0 real, 1 fake; [N].
        scores: in [0, 1], [N].
        rate: wanted false positive rate in [0, 1).

    Raises:
        ValueError: no real ones, or so many of them score 1 that no threshold does it.
    """
    y, s = check_arrays(labels, scores)
    real = np.sort(s[y == 0])[::-1]
    if not len(real):
        raise ValueError("no real videos: a false positive rate is a fraction of them")
    highest = float(real[math.floor(rate * len(real) + 1e-9)])  # the first real one that must not be called fake
    above = s[s > highest]
    if not len(above) and highest >= 1:
        raise ValueError(f"too many real videos score 1: no threshold calls at most {100 * rate:g} % of them fake")
    following = float(above.min()) if len(above) else 1.0
    middle = (highest + following) / 2
    return middle if middle > highest else following
