"""Paired bootstrap of AUCs: the same resampled videos for every detector, real and fake ones resampled apart.

Percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). The AUC is the Mann-Whitney
statistic with ties counting half, computed from weighted counts per score level, so that a resample costs O(videos).
"""

from __future__ import annotations

import numpy as np

CONFIDENCE = 0.95
_BLOCK = 1 << 22
"""Elements of the largest intermediate array."""


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve of one set of scores.

    Args:
        labels: 0 real, 1 fake; [N], both present.
        scores: finite, [N].

    Raises:
        ValueError: one class is missing, or the lengths differ.
    """
    y, s = _checked(labels, scores[None])
    counts = np.ones((1, len(y)))
    return float(_weighted(y, s[0], counts)[0])


def bootstrap_aucs(labels: np.ndarray, scores: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """AUCs of R detectors over `resamples` resamples of the same videos, float64 [resamples, R].

    A resample draws as many real and as many fake videos as there are, each class with replacement from itself; all
    detectors are judged on the same draws.

    Args:
        labels: 0 real, 1 fake; [N], both present.
        scores: finite, [R, N].
        resamples: how many, >= 1.
        rng: draws the resamples.

    Raises:
        ValueError: one class is missing, or shapes that do not fit.
    """
    y, s = _checked(labels, scores)
    result = np.empty((resamples, len(s)))
    block = max(1, _BLOCK // len(y))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        counts = np.empty((rows, len(y)))
        for label in (0, 1):
            chosen = np.flatnonzero(y == label)
            counts[:, chosen] = rng.multinomial(len(chosen), np.full(len(chosen), 1 / len(chosen)), size=rows)
        for index, row in enumerate(s):
            result[start : start + rows, index] = _weighted(y, row, counts)
    return result


def interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The percentile interval of bootstrap values [resamples]."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return float(low), float(high)


def _checked(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, s = np.asarray(labels), np.asarray(scores, np.float64)
    if y.ndim != 1 or s.ndim != 2 or s.shape[1] != len(y):
        raise ValueError(f"scores: expected [R, N] for labels [N], got {list(s.shape)} for {list(y.shape)}")
    if not ((y == 0).any() and (y == 1).any() and np.isin(y, (0, 1)).all()):
        raise ValueError("labels: expected 0 (real) and 1 (fake), both present")
    return y, s


def _weighted(labels: np.ndarray, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """AUC [B] when video i counts `counts[b, i]` times, [B, N]."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    levels = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # where each distinct score begins
    counts = counts[:, order]
    fake = np.add.reduceat(counts * (labels[order] == 1), levels, axis=1)
    real = np.add.reduceat(counts * (labels[order] == 0), levels, axis=1)
    below = np.cumsum(real, axis=1) - real / 2
    return np.asarray((fake * below).sum(axis=1) / (fake.sum(axis=1) * real.sum(axis=1)))
