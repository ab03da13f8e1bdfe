"""Metrics of fake probabilities, fake being the positive class. What is undefined is None with a reason, never NaN.

Every metric has one definition: a function of how many fake and real inputs stand at each distinct score. A metric of some scores
and all of its bootstrap resamples (`fpg.evaluate.bootstrap`) are the same function of different counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

LOW_RATES = (0.01, 0.001)
"""False positive rates at which the true positive rate is reported."""
NAMES = ("auc", "ap", "eer", "accuracy", "balanced_accuracy", "tpr_at_fpr_1", "tpr_at_fpr_01", "brier")
"""Metrics that get intervals, in the order of `ScoreLevels.all`."""


@dataclass(frozen=True)
class Metrics:
    """Detection metrics; None where undefined, `reason` says why."""

    auc: float | None
    """Area under the ROC curve: the chance that a fake scores above a real one, ties counting half."""
    ap: float | None
    """Average precision: sum over the recall steps of (step x precision), without interpolation."""
    eer: float | None
    """Error rate where as many real ones are called fake as fake ones real, interpolated along the ROC curve."""
    accuracy: float | None
    """Fraction of right verdicts at `threshold` (fake when score >= threshold)."""
    balanced_accuracy: float | None
    """Mean of the fractions of right verdicts among real ones and among fake ones, at `threshold`."""
    tpr_at_fpr_1: float | None
    """Largest fraction of fakes found by a threshold that calls at most 1 % of the real ones fake; no interpolation."""
    tpr_at_fpr_01: float | None
    """The same at 0.1 %; with fewer than 1000 real ones that means none of them."""
    brier: float | None
    """Mean squared distance of the score from the label (Brier 1950, for one class): 0 is best, 0.25 is a constant 0.5."""
    threshold: float
    real: int
    fake: int
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As a dict."""
        return asdict(self)


class ScoreLevels:
    """Distinct scores, highest first, and how many real and fake inputs stand at each.

    Args:
        labels: 0 real, 1 fake; [N].
        scores: finite, [N].
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, np.int64)
        self.scores = ordered[self._starts]
        """[L], falling."""
        self._fake = (labels[self._order] == 1).astype(np.float64)

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fake and real ones at each level, both [B, L], when input i counts `weights[b, i]` times."""
        if not len(self._starts):
            empty = np.zeros((len(weights), 0))
            return empty, empty
        ordered = weights[:, self._order]
        fake = np.add.reduceat(ordered * self._fake, self._starts, axis=1)
        return fake, np.add.reduceat(ordered, self._starts, axis=1) - fake

    def auc(self, fake: np.ndarray, real: np.ndarray) -> np.ndarray:
        """Mann-Whitney statistic over its maximum, ties counting half; [B]."""
        above = np.cumsum(fake, axis=1) - fake / 2
        return np.asarray((real * above).sum(axis=1) / (fake.sum(axis=1) * real.sum(axis=1)))

    def all(self, fake: np.ndarray, real: np.ndarray, threshold: float) -> np.ndarray:
        """Every metric of `NAMES`, [B, len(NAMES)]; both classes have to be present in every row."""
        found, alarms = np.cumsum(fake, axis=1), np.cumsum(real, axis=1)
        fakes, reals = found[:, -1:], alarms[:, -1:]
        called = found + alarms
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        at = int((self.scores >= threshold).sum())  # levels that are called fake
        hits = found[:, at - 1] if at else np.zeros(len(found))
        false = alarms[:, at - 1] if at else np.zeros(len(found))
        right_fake, right_real = hits / fakes[:, 0], 1 - false / reals[:, 0]
        total = (fakes + reals)[:, 0]
        squares = (fake * (1 - self.scores) ** 2 + real * self.scores**2).sum(axis=1) / total
        return np.stack(
            [
                self.auc(fake, real),
                (fake * precision).sum(axis=1) / fakes[:, 0],
                _crossing(alarms / reals, found / fakes),
                (hits + reals[:, 0] - false) / total,
                (right_fake + right_real) / 2,
                *(_found_at(alarms, reals, found / fakes, rate) for rate in LOW_RATES),
                squares,
            ],
            axis=1,
        )


def _crossing(false_positive: np.ndarray, true_positive: np.ndarray) -> np.ndarray:
    """Equal error rate of ROC curves [B, L] that begin at (0, 0), which is not among their points."""
    zero = np.zeros((len(false_positive), 1))
    fpr = np.concatenate([zero, false_positive], axis=1)
    gap = fpr - 1 + np.concatenate([zero, true_positive], axis=1)  # grows from -1 to 1 along the curve
    after = np.argmax(gap >= 0, axis=1)
    row = np.arange(len(fpr))
    fraction = -gap[row, after - 1] / (gap[row, after] - gap[row, after - 1])
    return np.asarray(fpr[row, after - 1] + fraction * (fpr[row, after] - fpr[row, after - 1]))


def _found_at(alarms: np.ndarray, reals: np.ndarray, true_positive: np.ndarray, rate: float) -> np.ndarray:
    allowed = alarms <= np.floor(rate * reals + 1e-9)
    return np.asarray(np.where(allowed, true_positive, 0).max(axis=1))


def compute(labels: Sequence[int] | np.ndarray, scores: Sequence[float] | np.ndarray, threshold: float = 0.5) -> Metrics:
    """Metrics of one set of scores.

    Args:
        labels: 0 real, 1 fake; [N].
        scores: probability of fake, [N], finite.
        threshold: for the accuracies.

    Raises:
        ValueError: lengths differ, a label is neither 0 nor 1, or a score is not finite.
    """
    y, s = check_arrays(labels, scores)
    fake = int(y.sum())
    real = len(y) - fake
    if real and fake:
        levels = ScoreLevels(y, s)
        values = levels.all(*levels.counts(np.ones((1, len(y)))), threshold)[0].tolist()
        return Metrics(**dict(zip(NAMES, values, strict=True)), threshold=threshold, real=real, fake=fake)
    accuracy = float(np.mean((s >= threshold) == (y == 1))) if len(y) else None
    brier = float(np.mean((s - y) ** 2)) if len(y) else None
    missing = f"only {'fake' if fake else 'real'} inputs were scored: AUC, AP and EER need both classes" if len(y) else "nothing was scored"
    return Metrics(None, None, None, accuracy, None, None, None, brier, threshold, real, fake, missing)


def check_arrays(labels: Sequence[int] | np.ndarray, scores: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels as int64 [N] and scores as float64 [N].

    Raises:
        ValueError: lengths differ, a label is neither 0 nor 1, or a score is not finite.
    """
    y, s = np.asarray(labels, np.int64), np.asarray(scores, np.float64)
    if y.shape != s.shape or y.ndim != 1:
        raise ValueError(f"labels and scores: expected two lists of one length, got {list(y.shape)} and {list(s.shape)}")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("labels: expected 0 (real) and 1 (fake)")
    if not np.isfinite(s).all():
        raise ValueError("scores: expected finite numbers")
    return y, s


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve alone.

    Args:
        labels: 0 real, 1 fake; [N], both present.
        scores: finite, [N].

    Raises:
        ValueError: one class is missing, or the lengths differ.
    """
    require_both(np.asarray(labels))
    y, s = check_arrays(labels, scores)
    levels = ScoreLevels(y, s)
    return float(levels.auc(*levels.counts(np.ones((1, len(y)))))[0])


def require_both(labels: np.ndarray) -> None:
    """Refuse labels that are not 0 and 1 with both present.

    Raises:
        ValueError: saying so.
    """
    if not ((labels == 0).any() and (labels == 1).any() and np.isin(labels, (0, 1)).all()):
        raise ValueError("labels: expected 0 (real) and 1 (fake), both present")


def equal_error_rate(labels: np.ndarray, scores: np.ndarray) -> float:
    """Where the ROC curve meets false positives = false negatives, linear between its points.

    Args:
        labels: 0 or 1, [N], both present.
        scores: [N].
    """
    value = compute(labels, scores).eer
    if value is None:
        raise ValueError("labels: expected 0 (real) and 1 (fake), both present")
    return value


def roc(labels: np.ndarray | Sequence[int], scores: np.ndarray | Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """False positive and true positive rates, both float64 [K], from (0, 0) to (1, 1)."""
    from sklearn.metrics import roc_curve

    false_positive, true_positive, _ = roc_curve(labels, scores, drop_intermediate=False)
    return false_positive, true_positive
