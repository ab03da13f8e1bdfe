"""When: places of change with the stated false alarm rate, intervals that hold, segments that are found."""

from __future__ import annotations

import numpy as np
import pytest

from fpg.common.rng import stream
from fpg.findings.intervals import mean_interval
from fpg.findings.segments import find_segments, group_size, parts


def correlated(rng: np.random.Generator, count: int, correlation: float) -> np.ndarray:
    """A stationary series with standard deviation 1: each value keeps `correlation` of the one before."""
    values = rng.standard_normal(count)
    for at in range(1, count):
        values[at] = correlation * values[at - 1] + np.sqrt(1 - correlation**2) * values[at]
    return values


def probability(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


@pytest.mark.parametrize(("count", "gap_s", "correlation"), [(12, 1, 0.0), (12, 1, 0.7), (32, 0.3, 0.0), (32, 0.3, 0.7), (250, 0.04, 0.9)])
def test_false_alarms_stay_within_their_rate(count: int, gap_s: float, correlation: float) -> None:
    rng = stream(count, "false alarms", str(correlation))
    runs, times = 400, (np.arange(count) * gap_s).tolist()
    alarms = sum(len(parts(probability(correlated(rng, count, correlation)), times)) > 1 for _ in range(runs))
    assert alarms <= runs * 0.05 + 2.6 * np.sqrt(runs * 0.05 * 0.95)  # 1 in 200 such tests would fail at exactly 5 %


@pytest.mark.parametrize(("first", "last"), [(16, 32), (0, 12), (10, 20)])
def test_a_forged_part_is_found_where_it_is(first: int, last: int) -> None:
    rng = np.random.default_rng()
    found = 0
    for _ in range(20):
        values = correlated(rng, 32, 0.3) - 3
        values[first:last] += 6
        times, indices = [i / 3 for i in range(32)], [8 * i for i in range(32)]
        segments = find_segments(probability(values).tolist(), times, indices, 0.5)
        hit = [s for s in segments if abs(s.first_frame - 8 * first) <= 16 and abs(s.last_frame - 8 * (last - 1)) <= 16]
        found += len(hit)
        for s in hit:
            assert s.score >= 0.5
            assert s.start_s == pytest.approx(s.first_frame / 24)
            assert s.frames == (s.last_frame - s.first_frame) // 8 + 1
    assert found >= 17


def test_a_part_that_stands_out_is_told_below_the_threshold() -> None:
    rng = np.random.default_rng()
    times, indices = (np.arange(32) / 3).tolist(), list(range(32))
    for raised, count in ((3.0, 1), (0.8, 0)):
        values = -3 + 0.2 * rng.standard_normal(32)
        values[8:20] += raised
        found = find_segments(probability(values).tolist(), times, indices, 0.8)
        assert len(found) == count
        for segment in found:
            assert not segment.reaches_threshold
            assert segment.stands_out_by == pytest.approx(raised, abs=0.4)
            assert (abs(segment.first_frame - 8) <= 1, abs(segment.last_frame - 19) <= 1) == (True, True)


def test_whole_tracks_are_one_segment_or_none() -> None:
    rng = np.random.default_rng()
    scores = rng.uniform(0.7, 0.8, 32)
    times, indices = list(np.arange(32) / 4), list(range(32))
    (whole,) = find_segments(scores.tolist(), times, indices, 0.6)
    assert (whole.first_frame, whole.last_frame, whole.frames) == (0, 31, 32)
    assert whole.score == pytest.approx(scores.mean())
    assert (whole.reaches_threshold, whole.stands_out_by) == (True, None)
    assert find_segments(scores.tolist(), times, indices, 0.9) == ()
    assert find_segments([0.99], [0.0], [0], 0.5)[0].frames == 1


@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_scores_that_never_change_hold_no_place_of_change(score: float) -> None:
    assert parts(np.full(50, score), list(range(50))) == [(0, 50)]


def test_parts_cover_the_track_in_order() -> None:
    rng = np.random.default_rng()
    for count in (0, 1, 5, 6, 33, 700):
        values = correlated(rng, count, 0.2) if count else np.zeros(0)
        values[count // 3 : count // 2] += 9
        ranges = parts(probability(values), (np.arange(count) * rng.choice([0.0, 0.04, 1.0])).tolist())
        assert [at for part in ranges for at in range(*part)] == list(range(count))


def test_frames_close_together_are_grouped() -> None:
    assert group_size(32, 31 * 0.25) == group_size(32, 100.0) == 1
    assert group_size(250, 249 * 0.04) == 7
    assert group_size(100_000, 0.0) == group_size(100_000, 1e6) == 391  # at most 256 groups


@pytest.mark.parametrize(("correlation", "least"), [(0.0, 0.92), (0.5, 0.88), (0.7, 0.83)])
def test_intervals_hold_the_mean(correlation: float, least: float) -> None:
    rng = stream(3, "intervals", str(correlation))
    held = 0
    for _ in range(600):
        low, high = mean_interval(0.5 + 0.02 * correlated(rng, 32, correlation)) or (1, 0)
        held += low <= 0.5 <= high
    assert held / 600 >= least


def test_intervals_stay_probabilities_and_need_two_frames() -> None:
    assert mean_interval([0.4]) is None
    assert mean_interval([0.2, 1.0]) == (0.0, 1.0)
    assert mean_interval([0.3] * 9) == pytest.approx((0.3, 0.3))
