"""Metrics against scikit-learn, hand-made cases and an independent rank formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import mannwhitneyu
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from fpg.evaluate.metrics import compute, equal_error_rate, roc


@pytest.mark.parametrize("seed", range(5))
def test_against_scikit_learn_and_the_rank_statistic(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 200)
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 2)  # many ties
    result = compute(labels, scores, 0.45)
    statistic = mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    assert result.auc == pytest.approx(statistic / (labels.sum() * (200 - labels.sum())))
    assert result.auc == pytest.approx(roc_auc_score(labels, scores))
    assert result.ap == pytest.approx(average_precision_score(labels, scores))
    assert result.accuracy == pytest.approx(((scores >= 0.45) == labels).mean())
    fpr, tpr, _ = roc_curve(labels, scores)
    assert result.eer == pytest.approx(brentq(lambda x: 1 - x - np.interp(x, fpr, tpr), 0, 1), abs=1e-9)
    assert (result.real, result.fake, result.reason) == (200 - labels.sum(), labels.sum(), None)


def test_perfect_reversed_and_constant_scores() -> None:
    perfect = compute([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert (perfect.auc, perfect.ap, perfect.eer, perfect.accuracy) == (1, 1, 0, 1)
    reversed_ = compute([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9])
    assert (reversed_.auc, reversed_.eer, reversed_.accuracy) == (0, 1, 0)
    constant = compute([0, 1, 0, 1], [0.5] * 4)
    assert (constant.auc, constant.ap, constant.eer, constant.accuracy) == (0.5, 0.5, 0.5, 0.5)


def test_hand_made_equal_error_rate() -> None:
    # thresholds from high to low: fake, real, fake, real -> (0, .5), (.5, .5), ...: FPR = FNR = .5
    assert equal_error_rate(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx(0.5)
    # three of each, one swap: between (0, 2/3) and (1/3, 2/3) at FPR 1/3
    assert equal_error_rate(np.array([1, 1, 0, 1, 0, 0]), np.array([6, 5, 4, 3, 2, 1.0])) == pytest.approx(1 / 3)


def test_one_class_has_no_auc_but_a_reason() -> None:
    result = compute([1, 1], [0.2, 0.9])
    assert (result.auc, result.ap, result.eer) == (None, None, None)
    assert result.accuracy == 0.5
    assert "only fake" in (result.reason or "")
    assert "only real" in (compute([0], [0.3]).reason or "")


def test_nothing_scored() -> None:
    result = compute([], [])
    assert (result.auc, result.accuracy, result.reason) == (None, None, "nothing was scored")


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        compute([0, 1], [0.5])
    with pytest.raises(ValueError, match="labels"):
        compute([0, 2], [0.5, 0.5])
    with pytest.raises(ValueError, match="finite"):
        compute([0, 1], [0.5, float("nan")])


def test_roc_goes_from_corner_to_corner() -> None:
    false_positive, true_positive = roc([0, 1, 0], [0.1, 0.4, 0.9])
    assert (false_positive[0], true_positive[0], false_positive[-1], true_positive[-1]) == (0, 0, 1, 1)
