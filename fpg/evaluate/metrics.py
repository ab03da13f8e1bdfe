"""AUC, average precision, equal error rate and accuracy of fake probabilities. What is undefined is None with a reason, never NaN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Metrics:
    """Detection metrics with fake as the positive class; None where undefined, `reason` says why."""

    auc: float | None
    """Area under the ROC curve: the chance that a fake scores above a real one, ties counting half."""
    ap: float | None
    """Average precision: mean precision over recall steps."""
    eer: float | None
    """Error rate where as many real ones are called fake as fake ones real, interpolated along the ROC curve."""
    accuracy: float | None
    """Share of right verdicts at `threshold` (fake when score >= threshold)."""
    threshold: float
    real: int
    fake: int
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As a dict."""
        return asdict(self)


def compute(labels: Sequence[int] | np.ndarray, scores: Sequence[float] | np.ndarray, threshold: float = 0.5) -> Metrics:
    """Metrics of one set of scores.

    Args:
        labels: 0 real, 1 fake; [N].
        scores: probability of fake, [N], finite.
        threshold: for the accuracy.

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
    fake = int(y.sum())
    real = len(y) - fake
    accuracy = float(np.mean((s >= threshold) == (y == 1))) if len(y) else None
    if not (real and fake):
        missing = (
            "nothing was scored"
            if not len(y)
            else f"only {'fake' if fake else 'real'} inputs were scored: AUC, AP and EER need both classes"
        )
        return Metrics(None, None, None, accuracy, threshold, real, fake, missing)
    from sklearn.metrics import average_precision_score, roc_auc_score

    return Metrics(
        float(roc_auc_score(y, s)), float(average_precision_score(y, s)), equal_error_rate(y, s), accuracy, threshold, real, fake
    )


def equal_error_rate(labels: np.ndarray, scores: np.ndarray) -> float:
    """Where the ROC curve meets false positives = false negatives, linear between its points.

    Args:
        labels: 0 or 1, [N], both present.
        scores: [N].
    """
    false_positive, true_positive = roc(labels, scores)
    gap = false_positive - (1 - true_positive)  # grows from -1 to 1 along the curve
    after = int(np.argmax(gap >= 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(false_positive[before] + share * (false_positive[after] - false_positive[before]))


def roc(labels: np.ndarray | Sequence[int], scores: np.ndarray | Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """False positive and true positive rates, both float64 [K], from (0, 0) to (1, 1)."""
    from sklearn.metrics import roc_curve

    false_positive, true_positive, _ = roc_curve(labels, scores, drop_intermediate=False)
    return false_positive, true_positive
