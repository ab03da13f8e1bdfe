"""Every metric and its bootstrap against scikit-learn, plain loops, and the coverage that intervals promise."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    roc_auc_score,
    roc_curve,
)

from fpg.evaluate.bootstrap import bootstrap_aucs, bootstrap_metrics, interval, metric_intervals
from fpg.evaluate.metrics import NAMES, compute


def reference(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """The metrics by scikit-learn and by words, one input at a time."""
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    x = np.linspace(0, 1, 200_001)
    fnr = 1 - np.interp(x, fpr, tpr)
    return {
        "auc": roc_auc_score(labels, scores),
        "ap": average_precision_score(labels, scores),
        "eer": float(x[np.argmin(np.abs(x - fnr))]),
        "accuracy": accuracy_score(labels, scores >= threshold),
        "balanced_accuracy": balanced_accuracy_score(labels, scores >= threshold),
        "tpr_at_fpr_1": max(t for f, t in zip(fpr, tpr, strict=True) if f <= 0.01),
        "tpr_at_fpr_01": max(t for f, t in zip(fpr, tpr, strict=True) if f <= 0.001),
        "brier": brier_score_loss(labels, scores),
    }


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=40).filter(lambda p: len({y for y, _ in p}) == 2),
    st.sampled_from([0.0, 0.3, 0.5, 0.5001, 1.0]),
)
def test_ties_and_constants_agree_with_scikit_learn(pairs: list[tuple[int, int]], threshold: float) -> None:
    labels, scores = np.array([y for y, _ in pairs]), np.array([s / 6 for _, s in pairs])
    expected, found = reference(labels, scores, threshold), compute(labels, scores, threshold).to_json()
    for name in NAMES:
        if name != "eer":  # vertical steps make its reference ambiguous; test_metrics has an exact one for smooth curves
            assert found[name] == pytest.approx(expected[name], abs=1e-9), name


@pytest.mark.parametrize("seed", range(3))
def test_many_scores_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random(3000) < 0.4).astype(int)
    scores = 1 / (1 + np.exp(-rng.normal(1.5 * labels - 0.5, 1.0)))
    expected, found = reference(labels, scores, 0.37), compute(labels, scores, 0.37).to_json()
    assert {n: found[n] for n in NAMES} == pytest.approx({n: expected[n] for n in NAMES}, abs=1e-5)


def test_low_false_positive_rates_by_hand() -> None:
    real = np.linspace(0, 0.5, 200)  # 1 % of 200 is 2
    fake = np.array([0.1, 0.4955, 0.499, 0.6])
    result = compute(np.repeat([0, 1], [200, 4]), np.concatenate([real, fake]))
    assert result.tpr_at_fpr_1 == 0.75  # 0.4955 is above all but two real ones
    assert result.tpr_at_fpr_01 == 0.25
    tied = compute([0] * 5 + [1] * 5, [0.9] * 10)
    assert (tied.tpr_at_fpr_1, tied.tpr_at_fpr_01) == (0, 0)


def test_one_video_and_one_class() -> None:
    one = compute([1], [0.8])
    assert (one.auc, one.balanced_accuracy, one.tpr_at_fpr_1) == (None, None, None)
    assert (one.accuracy, one.brier) == (1.0, pytest.approx(0.04))
    assert metric_intervals(np.array([1]), np.array([0.8]), 0.5, 10, np.random.default_rng(0)) == {}
    pair = metric_intervals(np.array([0, 1]), np.array([0.2, 0.8]), 0.5, 10, np.random.default_rng(0))
    assert pair["auc"] == [1.0, 1.0]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 6))
def test_a_resample_is_the_metric_of_the_drawn_videos_with_all_their_frames(seed: int, real: int, fake: int) -> None:
    rng = np.random.default_rng(seed)
    video_labels = np.repeat([0, 1], [real, fake])
    videos = np.concatenate([np.arange(real + fake), rng.integers(0, real + fake, 15)])
    labels, scores = video_labels[videos], rng.integers(0, 6, len(videos)) / 5
    got = bootstrap_metrics(labels, scores, 0.5, 6, np.random.default_rng(seed), videos)
    again = np.random.default_rng(seed)
    counts = np.empty((6, real + fake), np.int64)
    for label, n in ((0, real), (1, fake)):
        counts[:, video_labels == label] = again.multinomial(n, np.full(n, 1 / n), size=6)
    for row, count in zip(got, counts, strict=True):
        of = np.repeat(np.arange(len(videos)), count[videos])
        expected = compute(labels[of], scores[of], 0.5).to_json()
        assert row == pytest.approx([expected[name] for name in NAMES], abs=1e-12)


def test_a_video_with_both_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="one label per video"):
        bootstrap_metrics(np.array([0, 1, 1]), np.zeros(3), 0.5, 5, np.random.default_rng(0), np.array([0, 0, 1]))


def simulated(rng: np.random.Generator, videos: int, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames of a video share most of their noise: labels, scores, video of each frame. Frame AUC is Phi(1 / sqrt 2)."""
    labels = np.arange(videos) % 2
    shared, own = rng.normal(size=videos), rng.normal(size=(videos, frames))
    latent = labels[:, None] + np.sqrt(0.8) * shared[:, None] + np.sqrt(0.2) * own
    return np.repeat(labels, frames), (1 / (1 + np.exp(0.5 - latent))).ravel(), np.repeat(np.arange(videos), frames)


def normal(x: float) -> float:
    return 0.5 * (1 + erf(x / np.sqrt(2)))


def test_intervals_cover_the_truth_and_resampling_frames_would_not() -> None:
    rng = np.random.default_rng(3)
    truth = {"auc": normal(1 / np.sqrt(2)), "eer": normal(-0.5), "balanced_accuracy": normal(0.5), "accuracy": normal(0.5)}
    rounds = 200
    covered = dict.fromkeys(truth, 0)
    narrow = 0
    for _ in range(rounds):
        labels, scores, videos = simulated(rng, 80, 4)
        draws = bootstrap_metrics(labels, scores, 0.5, 200, rng, videos)
        for name, value in truth.items():
            low, high = interval(draws[:, NAMES.index(name)])
            covered[name] += low <= value <= high
        low, high = interval(bootstrap_aucs(labels, scores[None], 200, rng)[:, 0])
        narrow += low <= truth["auc"] <= high
    for name, count in covered.items():
        assert 0.90 < count / rounds < 0.985, name
    assert narrow / rounds < 0.8  # frames are not independent: intervals over frames promise too much
