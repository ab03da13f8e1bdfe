"""Several seeds of one method: means, standard deviations, tests, and intervals that cover what they say they cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fpg.evaluate.bootstrap import bootstrap_aucs
from fpg.evaluate.metrics import auc
from fpg.evaluate.seeds import estimate


def simulate(rng: np.random.Generator, seeds: int, videos: int, luck: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores [2 x seeds, videos] of two methods that are equally good, each training with its own luck."""
    labels = np.arange(videos) % 2
    hard = rng.normal(size=videos)
    shifts = 1.0 + luck * rng.normal(size=(2 * seeds, 1))
    return labels, hard + 0.6 * rng.normal(size=(2 * seeds, videos)) + shifts * labels


@pytest.mark.parametrize("paired", [True, False])
def test_intervals_cover_the_difference_over_videos_and_seeds(rng: np.random.Generator, paired: bool) -> None:
    """Nominally 95 %: at least 90 % of 300 simulations, while the bootstrap over videos alone misses far more often."""
    rounds, seeds, both, alone = 300, 3, 0, 0
    for _ in range(rounds):
        labels, scores = simulate(rng, seeds, 80, 0.35)
        draws = bootstrap_aucs(labels, scores, 200, rng)
        values = np.array([auc(labels, row) for row in scores])
        difference = draws[:, :seeds].mean(axis=1) - draws[:, seeds:].mean(axis=1)
        found = estimate(difference, values[:seeds], values[seeds:], paired=paired)
        both += found.interval[0] <= 0 <= found.interval[1]
        low, high = np.quantile(difference, (0.025, 0.975))
        alone += low <= 0 <= high
    assert both / rounds >= 0.90
    assert alone / rounds < 0.85


def test_numbers_are_those_of_independent_tests(rng: np.random.Generator) -> None:
    ours, theirs = rng.uniform(0.7, 0.9, (2, 4))
    draws = rng.normal(ours.mean() - theirs.mean(), 0.02, 4000)
    paired, apart = (estimate(draws, ours, theirs, paired=flag) for flag in (True, False))
    assert paired.p_seeds == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    assert apart.p_seeds == pytest.approx(stats.ttest_ind(ours, theirs, equal_var=False).pvalue)
    assert paired.value == pytest.approx(ours.mean() - theirs.mean())
    # without any variance over videos the interval is the paired t interval
    still = estimate(np.full(100, paired.value), ours, theirs, paired=True)
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert still.interval == pytest.approx((expected.low, expected.high))
    assert still.p == pytest.approx(paired.p_seeds)


def test_one_seed_has_the_interval_of_its_videos(rng: np.random.Generator) -> None:
    draws = rng.normal(0.8, 0.02, 1000)
    found = estimate(draws, np.array([0.8]))
    assert found.interval == pytest.approx(tuple(np.quantile(draws, (0.025, 0.975))))
    assert (found.p, found.p_seeds) == (None, None)
