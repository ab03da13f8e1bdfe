"""The fast AUC and the paired bootstrap, against brute force, scikit-learn, DeLong's variance and the coverage they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fpg.evaluate.bootstrap import bootstrap_aucs, interval
from fpg.evaluate.metrics import auc


def brute_force(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mann-Whitney over all pairs."""
    real, fake = scores[labels == 0][:, None], scores[labels == 1][None]
    return float(((fake > real) + 0.5 * (fake == real)).mean())


def delong_variance(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Variance of the difference of two correlated AUCs (DeLong, DeLong and Clarke-Pearson, Biometrics 1988)."""
    placements = []
    for scores in (first, second):
        real, fake = scores[labels == 0], scores[labels == 1]
        psi = (fake[:, None] > real) + 0.5 * (fake[:, None] == real)
        placements.append((psi.mean(1), psi.mean(0)))
    by_fake = placements[0][0] - placements[1][0]
    by_real = placements[0][1] - placements[1][1]
    return float(by_fake.var(ddof=1) / len(by_fake) + by_real.var(ddof=1) / len(by_real))


def sample(rng: np.random.Generator, n: int, shift: float, common: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """n real and n fake videos, and two correlated scores of the same quality: labels [2n], scores [2, 2n]."""
    labels = np.repeat([0, 1], n)
    shared = rng.normal(size=2 * n)
    own = rng.normal(size=(2, 2 * n))
    return labels, common * shared + np.sqrt(1 - common**2) * own + shift * labels


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), min_size=2, max_size=30))
def test_auc_with_ties_equals_brute_force_and_sklearn(pairs: list[tuple[int, int]]) -> None:
    labels, scores = np.array([y for y, _ in pairs]), np.array([s / 4 for _, s in pairs])
    if len(set(labels)) < 2:
        with pytest.raises(ValueError, match="both present"):
            auc(labels, scores)
        return
    assert auc(labels, scores) == pytest.approx(brute_force(labels, scores), abs=1e-12)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(2, 12), st.integers(2, 12))
def test_every_resample_is_the_auc_of_the_drawn_videos(seed: int, real: int, fake: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([0, 1], [real, fake]))
    scores = rng.integers(0, 5, (3, real + fake)) / 4
    got = bootstrap_aucs(labels, scores, 7, np.random.default_rng(seed))
    again = np.random.default_rng(seed)
    counts = np.empty((7, real + fake), np.int64)
    for label, n in ((0, real), (1, fake)):
        counts[:, labels == label] = again.multinomial(n, np.full(n, 1 / n), size=7)
    expected = [[brute_force(np.repeat(labels, c), np.repeat(s, c)) for s in scores] for c in counts]
    assert (counts[:, labels == 0].sum(1) == real).all()
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_blocks_of_resamples_have_the_same_law(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, scores = sample(np.random.default_rng(1), 60, 1.0)
    whole = bootstrap_aucs(labels, scores, 3000, np.random.default_rng(2))
    monkeypatch.setattr("fpg.evaluate.bootstrap._BLOCK", 120 * 7)
    blocks = bootstrap_aucs(labels, scores, 3000, np.random.default_rng(3))
    assert whole.mean(0) == pytest.approx(blocks.mean(0), abs=4 * whole[:, 0].std() * np.sqrt(2 / 3000))
    assert whole.std(0) == pytest.approx(blocks.std(0), rel=0.1)


def test_spread_of_the_difference_agrees_with_delong() -> None:
    labels, scores = sample(np.random.default_rng(5), 300, 1.0)
    draws = bootstrap_aucs(labels, scores, 4000, np.random.default_rng(6))
    paired = (draws[:, 0] - draws[:, 1]).std()
    assert paired == pytest.approx(np.sqrt(delong_variance(labels, *scores)), rel=0.08)
    assert paired < 0.8 * np.hypot(draws[:, 0].std(), draws[:, 1].std())  # what pairing is for


def test_intervals_cover_what_they_promise() -> None:
    rng = np.random.default_rng(7)
    from math import erf

    truth = 0.5 * (1 + erf(1.0 / 2))  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    covered = np.zeros(2)
    rounds = 300
    for _ in range(rounds):
        labels, scores = sample(rng, 40, 1.0)
        draws = bootstrap_aucs(labels, scores, 300, rng)
        low, high = interval(draws[:, 0])
        below, above = interval(draws[:, 0] - draws[:, 1])
        covered += [low <= truth <= high, below <= 0 <= above]
    assert (covered / rounds > 0.90).all()
    assert (covered / rounds < 0.99).all()


def test_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[R, N\] for labels \[N\], got \[2, 3\] for \[2\]"):
        bootstrap_aucs(np.array([0, 1]), np.zeros((2, 3)), 10, np.random.default_rng(0))
    with pytest.raises(ValueError, match="both present"):
        auc(np.array([0, 2]), np.zeros(2))
