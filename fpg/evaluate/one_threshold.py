"""One detector, one threshold, several data sets: what a mean of AUCs, one for each set, cannot see.

An AUC of a set compares its fakes with its own real videos alone. Where scores of one set lie higher than those of another, each AUC may
be high while no threshold serves both. Here:

- *pooled AUC*: over the videos of all sets together; large sets weigh more.
- *cross-set AUC*: mean over all ordered pairs of different sets of the AUC of one set's fakes against the other's real videos.
- *worst set*: by AUC, FPR, TPR and balanced accuracy at the threshold.
- *polarisation*: 1-Wasserstein distance between the scores of fake and real videos, 0 (same distribution) to 1 (all at 0 and 1). A fall
  of it under an AUC that stands says that the order holds and the scores draw together (compare Nguyen et al., arXiv 2606.19184, whose
  Cross-AUC is another combination of such numbers).
- *leave one set out*: temperature and threshold are fitted on all other sets, and tried on the one left out: what a threshold is worth on
  data that nobody calibrated on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fpg.common.rng import stream
from fpg.data.manifest import FAKE, REAL
from fpg.evaluate.bootstrap import interval, resampled
from fpg.evaluate.calibration import calibration_error, fit_temperature, log_loss, reliability, rescaled, threshold_at
from fpg.evaluate.fairness import wilson
from fpg.evaluate.metrics import ScoreLevels
from fpg.evaluate.protocol import Result

LEFT_OUT_FPR = 0.05
"""The threshold of a set that is left out calls at most this fraction of the other sets' real videos fake."""
_Z = 1.959963984540054
"""Of 95 %."""


def one_threshold(results: Sequence[Result], threshold: float, resamples: int, seed: int) -> dict[str, Any] | None:
    """The `one_threshold` part of `metrics.json`; None with fewer than two data sets in which both classes are scored.

    Args:
        results: every video; those without a score are in none of these numbers.
        threshold: probability from which a video is called fake.
        resamples: of the bootstrap, over videos within each set and class.
        seed: of the bootstrap.
    """
    scored = [r for r in results if r.score is not None]
    classes: dict[str, set[int]] = {}
    for r in scored:
        classes.setdefault(r.dataset, set()).add(r.label)
    names = sorted(name for name, found in classes.items() if found == {REAL, FAKE})
    if len(names) < 2:
        return None
    chosen = [r for r in scored if r.dataset in names]
    labels, scores = np.array([r.label for r in chosen], np.int64), np.array([r.score for r in chosen], np.float64)
    of = np.array([names.index(r.dataset) for r in chosen], np.int64)
    pooled, matrix, draws = _aucs(labels, scores, of, len(names), resamples, stream(seed, "one threshold"))
    sets = [_set(name, labels[of == k], scores[of == k], threshold) for k, name in enumerate(names)]
    apart = ~np.eye(len(names), dtype=bool)
    for k, entry in enumerate(sets):
        entry |= {"auc": float(matrix[k, k]), "auc_interval": list(interval(draws["matrix"][:, k, k]))}
    worst = int(np.argmin(np.diag(matrix)))
    return {
        "threshold": threshold,
        "sets": sets,
        "pooled_auc": pooled,
        "pooled_auc_interval": list(interval(draws["pooled"])),
        "mean_auc": float(np.diag(matrix).mean()),
        "cross_auc": float(matrix[apart].mean()),
        "cross_auc_interval": list(interval(draws["matrix"][:, apart].mean(axis=1))),
        "cross_auc_matrix": {"fakes_of": names, "real_of": names, "auc": matrix.tolist()},
        "worst": {
            "auc": names[worst],
            "auc_value": float(matrix[worst, worst]),
            "fpr": max(sets, key=lambda s: s["fpr"])["dataset"],
            "tpr": min(sets, key=lambda s: s["tpr"])["dataset"],
            "balanced_accuracy": min(sets, key=lambda s: s["balanced_accuracy"])["dataset"],
        },
        "polarisation": polarisation(labels, scores),
        "left_out_fpr": LEFT_OUT_FPR,
        "left_out": [_left_out(name, chosen, of != k, threshold) for k, name in enumerate(names)],
    }


def polarisation(labels: np.ndarray, scores: np.ndarray) -> float:
    """1-Wasserstein distance between the scores of fake and of real videos, [N] each in [0, 1]."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(scores[labels == FAKE], scores[labels == REAL]))


def _aucs(
    labels: np.ndarray, scores: np.ndarray, of: np.ndarray, number: int, resamples: int, rng: np.random.Generator
) -> tuple[float, np.ndarray, dict[str, np.ndarray]]:
    """The pooled AUC; the AUC of the fakes of set i against the real videos of set j [K, K]; bootstrap draws of both."""
    whole = ScoreLevels(labels, scores)
    pairs = []
    for i in range(number):
        for j in range(number):
            mask = ((of == i) & (labels == FAKE)) | ((of == j) & (labels == REAL))
            pairs.append((i, j, mask, ScoreLevels(labels[mask], scores[mask])))

    def values(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        matrix = np.empty((len(counts), number, number))
        for i, j, mask, levels in pairs:
            matrix[:, i, j] = levels.auc(*levels.counts(counts[:, mask]))
        return whole.auc(*whole.counts(counts)), matrix

    pooled, matrix = values(np.ones((1, len(labels))))
    draws = {"pooled": np.empty(resamples), "matrix": np.empty((resamples, number, number))}
    for start, counts in resampled(2 * of + labels, resamples, rng, len(labels)):
        part = slice(start, start + len(counts))
        draws["pooled"][part], draws["matrix"][part] = values(counts)
    return float(pooled[0]), matrix[0], draws


def _set(name: str, labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, Any]:
    return {
        "dataset": name,
        "real": int((labels == REAL).sum()),
        "fake": int((labels == FAKE).sum()),
        **_rates(labels, scores, threshold),
        "polarisation": polarisation(labels, scores),
        "median_real": float(np.median(scores[labels == REAL])),
        "median_fake": float(np.median(scores[labels == FAKE])),
    }


def _rates(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, Any]:
    """FPR and TPR at a threshold with Wilson's intervals, and their balanced accuracy."""
    called = scores >= threshold
    values: dict[str, Any] = {}
    for key, label in (("fpr", REAL), ("tpr", FAKE)):
        hits, number = int(called[labels == label].sum()), int((labels == label).sum())
        values[key], values[f"{key}_interval"] = hits / number, list(wilson(hits, number, _Z))
    return {**values, "balanced_accuracy": (values["tpr"] + 1 - values["fpr"]) / 2}


def _left_out(name: str, results: Sequence[Result], others: np.ndarray, threshold: float) -> dict[str, Any]:
    """Calibrated on the other sets, tried on this one; without a temperature (and with the reason) where none fits."""
    fitted = [r for r, kept in zip(results, others, strict=True) if kept]
    tried = [r for r, kept in zip(results, others, strict=True) if not kept]
    labels, frames, videos = _frames(fitted)
    reason = None
    try:
        ratio = fit_temperature(labels, frames, videos).ratio
    except ValueError as error:
        ratio, reason = 1.0, str(error)
    limit = threshold_at(labels, _means(rescaled(frames, ratio), videos), LEFT_OUT_FPR)
    truth, own, within = _frames(tried)
    before, after = _means(own, within), _means(rescaled(own, ratio), within)
    return {
        "dataset": name,
        "temperature_ratio": ratio,
        "threshold": limit,
        "reason": reason,
        **_rates(truth, after, limit),
        "uncalibrated": _rates(truth, before, threshold),
        "ece": [calibration_error(reliability(truth, s)) for s in (before, after)],
        "log_loss": [log_loss(truth, s) for s in (before, after)],
    }


def _frames(results: Sequence[Result]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of videos [V], scores of their frames [F], number of each frame's video [F]."""
    rows = [(f.score, i) for i, r in enumerate(results) for f in r.judgement.frames if f.score is not None]
    labels = np.array([r.label for r in results], np.int64)
    return labels, np.array([s for s, _ in rows], np.float64), np.array([i for _, i in rows], np.int64)


def _means(frames: np.ndarray, videos: np.ndarray) -> np.ndarray:
    return np.asarray(np.bincount(videos, frames) / np.bincount(videos))
