"""Tracks: the same number for the same face, whatever order a detector gives them in."""

from __future__ import annotations

import numpy as np

from fpg.faces.tracks import PATIENCE, track_faces


def box(x: float, y: float, size: float = 40) -> np.ndarray:
    return np.array([x, y, x + size, y + size], np.float32)


def test_two_faces_keep_their_numbers_when_the_larger_one_changes() -> None:
    left, right = (lambda i: box(10 + 5 * i, 50, 40 + 3 * i)), (lambda i: box(300 - 5 * i, 50, 52 - 3 * i))
    frames = [sorted([left(i), right(i)], key=lambda b: b[0] - b[2]) for i in range(6)]
    assert track_faces(frames) == [[0, 1], [0, 1], [1, 0], [1, 0], [1, 0], [1, 0]]


def test_a_step_of_most_of_a_width_is_followed_and_a_jump_is_another_face() -> None:
    assert track_faces([[box(0, 0)], [box(38, 0)], [box(76, 10)]]) == [[0], [0], [0]]
    assert track_faces([[box(0, 0)], [box(45, 0)]]) == [[0], [1]]
    assert track_faces([[box(0, 0, 40)], [box(-20, -20, 85)]]) == [[0], [1]]


def test_the_nearest_pair_is_linked_first() -> None:
    assert track_faces([[box(0, 0), box(30, 0)], [box(25, 0)], [box(0, 0), box(26, 0)]]) == [[0, 1], [1], [0, 1]]


def test_a_face_may_be_missing_for_a_while() -> None:
    gap: list[list[np.ndarray]] = [[]] * PATIENCE
    assert track_faces([[box(0, 0)], *gap, [box(3, 0)]])[-1] == [0]
    assert track_faces([[box(0, 0)], *gap, [], [box(3, 0)]])[-1] == [1]


def test_nothing_to_follow() -> None:
    assert track_faces([]) == []
    assert track_faces([[], []]) == [[], []]


def test_random_walks_keep_their_numbers() -> None:
    rng = np.random.default_rng(0)
    places = np.arange(5)[:, None] * [200.0, 30.0]
    steps = rng.uniform(-20, 20, (40, 5, 2)).cumsum(0).clip(-60, 60)
    order = [rng.permutation(5) for _ in steps]
    found = track_faces([[box(*(places + step)[face]) for face in faces] for step, faces in zip(steps, order, strict=True)])
    number = dict(zip(order[0].tolist(), found[0], strict=True))
    assert found == [[number[face] for face in faces] for faces in (o.tolist() for o in order)]
