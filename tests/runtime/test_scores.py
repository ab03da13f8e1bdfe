"""Aggregation of face scores to a video score, on hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest

from fpg.runtime.scores import faces_that_count, frame_score, video_score


def box(width: float, height: float) -> list[float]:
    return [10, 20, 10 + width, 20 + height]


def test_faces_of_half_the_largest_area_count() -> None:
    boxes = [box(10, 10), box(10, 5), box(10, 4.99), box(1, 1)]
    assert faces_that_count(boxes).tolist() == [True, True, False, False]


def test_order_does_not_matter() -> None:
    assert faces_that_count([box(1, 1), box(10, 10)]).tolist() == [False, True]


def test_no_box() -> None:
    assert faces_that_count([]).shape == (0,)
    assert faces_that_count(np.zeros((0, 4))).dtype == bool


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"boxes: expected \[N, 4\], got \[1, 3\]"):
        faces_that_count([[1, 2, 3]])


def test_boxes_that_are_not_finite_are_refused_and_not_dropped() -> None:
    with pytest.raises(ValueError, match="finite"):
        faces_that_count([box(10, 10), [0, 0, np.nan, 5]])


def test_frame_is_the_maximum_and_video_the_mean_over_frames_with_a_face() -> None:
    frames = [frame_score([0.2, 0.9, 0.1]), frame_score([]), frame_score([0.3])]
    assert frames == [0.9, None, 0.3]
    assert video_score(frames) == pytest.approx(0.6)


def test_without_any_face_there_is_no_score() -> None:
    assert video_score([None, None]) is None
    assert video_score([]) is None
