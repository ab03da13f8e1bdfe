"""Activation maps over faces: colours by sign, opacity by strength, one scale."""

from __future__ import annotations

import numpy as np

from fpg.runtime.judgement import Highlight
from fpg.runtime.overlay import FOR_FAKE, FOR_REAL, OPACITY, map_scale, overlay

GREY = np.full((16, 16, 3), 100, np.uint8)


def test_signs_have_their_colours_and_strength_its_opacity() -> None:
    for value, colour in [(2.0, FOR_FAKE), (-2.0, FOR_REAL), (1.0, FOR_FAKE)]:
        painted = overlay(GREY, np.full((4, 4), value, np.float32), 2.0)
        alpha = OPACITY * abs(value) / 2
        np.testing.assert_allclose(painted[8, 8], 100 * (1 - alpha) + np.array(colour) * alpha, atol=0.51)
        assert painted.dtype == np.uint8


def test_nothing_is_painted_where_there_is_no_evidence() -> None:
    np.testing.assert_array_equal(overlay(GREY, np.zeros((4, 4), np.float32), 1.0), GREY)
    np.testing.assert_array_equal(overlay(GREY, np.zeros((4, 4), np.float32), 0.0), GREY)


def test_place() -> None:
    values = np.zeros((4, 4), np.float32)
    values[0, 3] = 1
    painted = overlay(GREY, values, 1.0).astype(int)
    assert painted[1, 14, 0] > 150  # top right
    assert abs(painted[14, 1, 0] - 100) < 5


def test_scale_is_the_largest_magnitude() -> None:
    maps = [np.array([[0.5, -3.0]], np.float32), np.array([[2.0]], np.float32)]
    assert map_scale(Highlight(0, 0.0, 0.1, GREY, m) for m in maps) == 3.0
    assert map_scale([]) == 0.0
