"""Bootstrap over videos: real and fake ones resampled apart, the same draws for everything that is to be compared.

Percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Frames of one video are no
independent evidence, so for frame-level metrics too it is videos that are drawn, each with all of its frames.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fpg.evaluate.metrics import NAMES, ScoreLevels, require_both

CONFIDENCE = 0.95
RESAMPLES = 2000
_BLOCK = 1 << 22
"""Elements of the largest intermediate array."""


def resampled(labels: np.ndarray, resamples: int, rng: np.random.Generator, width: int) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of (number of the first resample, how often each video was drawn [rows, N]).

    A resample draws as many real and as many fake videos as there are, each class with replacement from itself.

    Args:
        labels: of the videos, [N]: 0 and 1, or any strata that are to be resampled apart.
        resamples: how many in all.
        rng: draws them.
        width: elements per resample of the arrays that the caller makes; bounds the rows of a block.
    """
    block = max(1, _BLOCK // max(1, width))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        counts = np.empty((rows, len(labels)))
        for label in np.unique(labels):
            chosen = np.flatnonzero(labels == label)
            counts[:, chosen] = rng.multinomial(len(chosen), np.full(len(chosen), 1 / len(chosen)), size=rows)
        yield start, counts


def bootstrap_aucs(labels: np.ndarray, scores: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """AUCs of R detectors over `resamples` resamples of the same videos, float64 [resamples, R].

    Args:
        labels: 0 real, 1 fake; [N], both present.
        scores: finite, [R, N].
        resamples: how many, >= 1.
        rng: draws the resamples.

    Raises:
        ValueError: one class is missing, or shapes that do not fit.
    """
    y, s = np.asarray(labels), np.asarray(scores, np.float64)
    if y.ndim != 1 or s.ndim != 2 or s.shape[1] != len(y):
        raise ValueError(f"scores: expected [R, N] for labels [N], got {list(s.shape)} for {list(y.shape)}")
    require_both(y)
    levels = [ScoreLevels(y, row) for row in s]
    result = np.empty((resamples, len(s)))
    for start, counts in resampled(y, resamples, rng, len(y)):
        for index, level in enumerate(levels):
            result[start : start + len(counts), index] = level.auc(*level.counts(counts))
    return result


def bootstrap_metrics(
    labels: np.ndarray, scores: np.ndarray, threshold: float, resamples: int, rng: np.random.Generator, videos: np.ndarray | None = None
) -> np.ndarray:
    """Every metric of `fpg.evaluate.metrics.NAMES` over resamples of the videos, float64 [resamples, len(NAMES)].

    Args:
        labels: 0 real, 1 fake; [N], both present.
        scores: finite, [N].
        threshold: for the accuracies.
        resamples: how many, >= 1.
        rng: draws them.
        videos: number of the video that each score belongs to, [N]; None when every score is a video. All scores of a video
            have its label.

    Raises:
        ValueError: one class is missing, or a video with both labels.
    """
    y, s = np.asarray(labels), np.asarray(scores, np.float64)
    require_both(y)
    if videos is None:
        of, video_labels = np.arange(len(y)), y
    else:
        _, first, of = np.unique(videos, return_index=True, return_inverse=True)
        video_labels = y[first]
        if (video_labels[of] != y).any():
            raise ValueError("videos: expected one label per video, got both for one of them")
    levels = ScoreLevels(y, s)
    result = np.empty((resamples, len(NAMES)))
    for start, counts in resampled(video_labels, resamples, rng, len(y)):
        result[start : start + len(counts)] = levels.all(*levels.counts(counts[:, of]), threshold)
    return result


def interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The percentile interval of bootstrap values [resamples]."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return float(low), float(high)


def metric_intervals(
    labels: np.ndarray, scores: np.ndarray, threshold: float, resamples: int, rng: np.random.Generator, videos: np.ndarray | None = None
) -> dict[str, list[float]]:
    """Name of each metric -> [low, high]; arguments as of `bootstrap_metrics`. Empty when a class is missing."""
    y = np.asarray(labels)
    if len(set(y.tolist())) < 2:
        return {}
    draws = bootstrap_metrics(y, scores, threshold, resamples, rng, videos)
    return {name: list(interval(draws[:, index])) for index, name in enumerate(NAMES)}
