"""Calibration: errors by hand and by scikit-learn, temperature scaling on scores that are off by a known factor, thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss as sklearn_log_loss

from fpg.engines.base import fake_probability
from fpg.evaluate.calibration import calibration_error, calibration_summary, fit_temperature, log_loss, reliability, rescaled, threshold_at
from fpg.evaluate.metrics import auc


def scores_of(rng: np.random.Generator, n: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from calibrated probabilities, and scores that are too sure by `temperature`."""
    logits = rng.normal(0, 2, n)
    labels = (rng.random(n) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    return labels, 1 / (1 + np.exp(-logits * temperature))


def test_equal_width_bins_agree_with_scikit_learn() -> None:
    labels, scores = scores_of(np.random.default_rng(0), 800, 2.0)
    found = reliability(labels, scores, kind="width")
    fraction, mean = calibration_curve(labels, scores, n_bins=15, strategy="uniform")
    np.testing.assert_allclose([b.fake for b in found], fraction)
    np.testing.assert_allclose([b.score for b in found], mean)
    assert sum(b.count for b in found) == 800
    assert all(b.low <= b.score <= b.high for b in found)


def test_equal_mass_bins_hold_as_many_inputs() -> None:
    labels, scores = scores_of(np.random.default_rng(1), 1500, 1.0)
    assert [b.count for b in reliability(labels, scores)] == [100] * 15


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=60), st.sampled_from(["mass", "width"]))
def test_ties_stay_together_and_the_order_does_not_matter(pairs: list[tuple[int, int]], kind: str) -> None:
    labels, scores = np.array([y for y, _ in pairs]), np.array([s / 3 for _, s in pairs])
    found = reliability(labels, scores, kind=kind)  # type: ignore[arg-type]
    order = np.random.default_rng(0).permutation(len(pairs))
    again = reliability(labels[order], scores[order], kind=kind)  # type: ignore[arg-type]
    assert calibration_error(found) == pytest.approx(calibration_error(again), abs=1e-12)
    assert sum(b.count for b in found) == len(pairs)
    assert sum(b.count * b.fake for b in found) == pytest.approx(labels.sum())


def test_degenerate_inputs() -> None:
    assert calibration_error(reliability([], [])) is None
    assert calibration_summary([], [])["ece"] is None
    assert calibration_summary([1], [0.8])["ece"] == pytest.approx(0.2)
    constant = calibration_summary([0, 1, 1, 1], [0.5] * 4)
    assert (constant["ece"], constant["ece_equal_width"]) == (pytest.approx(0.25), pytest.approx(0.25))
    assert calibration_summary([0, 1], [0.0, 1.0])["log_loss"] < 1e-6
    with pytest.raises(ValueError, match=r"probabilities in \[0, 1\]"):
        reliability([0, 1], [0.5, 1.5])


def test_log_loss_is_scikit_learns() -> None:
    labels, scores = scores_of(np.random.default_rng(2), 300, 1.5)
    assert log_loss(labels, scores) == pytest.approx(sklearn_log_loss(labels, scores))


@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_temperature_is_recovered_ece_falls_and_auc_stays(temperature: float) -> None:
    labels, scores = scores_of(np.random.default_rng(4), 6000, temperature)
    fit = fit_temperature(labels, scores, np.arange(6000))
    assert fit.ratio == pytest.approx(temperature, rel=0.08)
    assert fit.after < fit.before
    scaled = rescaled(scores, fit.ratio)
    before, after = (calibration_error(reliability(labels, s)) for s in (scores, scaled))
    assert before is not None
    assert after is not None
    assert after < 0.4 * before
    assert auc(labels, scaled) == pytest.approx(auc(labels, scores), abs=1e-12)


def test_a_fit_on_one_half_lowers_the_error_of_the_other() -> None:
    labels, scores = scores_of(np.random.default_rng(5), 4000, 2.5)
    fit = fit_temperature(labels[:2000], scores[:2000], np.arange(2000))
    before, after = (calibration_error(reliability(labels[2000:], s)) for s in (scores[2000:], rescaled(scores[2000:], fit.ratio)))
    assert (after or 1) < 0.5 * (before or 0)


def test_videos_are_fitted_through_their_frames() -> None:
    rng = np.random.default_rng(6)
    labels, scores = scores_of(rng, 500, 2.0)
    videos = np.repeat(np.arange(500), 4)
    assert fit_temperature(labels, np.repeat(scores, 4), videos).ratio == pytest.approx(
        fit_temperature(labels, scores, np.arange(500)).ratio, rel=1e-4
    )
    noisy = np.clip(np.repeat(scores, 4) + rng.normal(0, 0.05, 2000), 0.001, 0.999)
    fit = fit_temperature(labels, noisy, videos)
    losses = [log_loss(labels, rescaled(noisy, t).reshape(500, 4).mean(1)) for t in fit.ratio * np.array([0.9, 1.0, 1.1])]
    assert losses[1] == pytest.approx(fit.after)
    assert losses[1] < min(losses[0], losses[2])


def test_rescaling_is_what_the_engine_does_with_a_temperature() -> None:
    logits = np.random.default_rng(7).normal(0, 3, (50, 2))
    old, new = (fake_probability(logits, t) for t in (1.5, 4.5))
    np.testing.assert_allclose(rescaled(old, 3.0), new, atol=2e-6)


def test_data_that_fit_no_temperature_are_refused() -> None:
    with pytest.raises(ValueError, match="separate real from fake perfectly"):
        fit_temperature(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]), np.arange(4))
    with pytest.raises(ValueError, match="do not tell real from fake"):
        fit_temperature(np.array([1, 1, 0, 0]), np.array([0.1, 0.2, 0.8, 0.9]), np.arange(4))
    with pytest.raises(ValueError, match="both present"):
        fit_temperature(np.array([1, 1]), np.array([0.1, 0.2]), np.arange(2))


@settings(max_examples=60)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.lists(st.integers(0, 20), max_size=20), st.floats(0, 0.99))
def test_threshold_holds_its_rate_and_is_the_lowest(real: list[int], fake: list[int], rate: float) -> None:
    labels, scores = np.repeat([0, 1], [len(real), len(fake)]), np.array([*real, *fake]) / 20
    allowed = int(rate * len(real) + 1e-9)
    if sum(r == 20 for r in real) > allowed:
        with pytest.raises(ValueError, match="score 1"):
            threshold_at(labels, scores, rate)
        return
    threshold = threshold_at(labels, scores, rate)
    alarms = (scores[labels == 0] >= threshold).sum()
    assert alarms <= allowed
    below = scores[scores < threshold]
    assert (scores[labels == 0] >= below.max()).sum() > allowed  # one level lower calls too many


def test_threshold_without_real_videos() -> None:
    with pytest.raises(ValueError, match="no real videos"):
        threshold_at(np.array([1]), np.array([0.5]), 0.01)
