"""Face masks: relations between the families, integer arithmetic of the eyebrows, refusals."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fpg.common.landmarks import HULL_FAMILIES
from fpg.pairs.opencv import COMPONENTS, face_mask, raise_eyebrows


def random_landmarks(seed: int, size: float = 200) -> np.ndarray:
    return np.random.default_rng(seed).uniform(5, size - 5, (81, 2))


def hull_by_edges(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels whose centre lies inside the convex hull, by half-planes: fewer than a hull with its outline."""
    corners = cv2.convexHull(points)[:, 0].astype(float)
    y, x = np.mgrid[:height, :width]
    edges = zip(corners, np.roll(corners, -1, axis=0), strict=True)
    sides = np.stack([(b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) for a, b in edges])
    return (sides >= 0).all(0) | (sides <= 0).all(0)


@pytest.mark.parametrize("seed", range(4))
def test_facehull_contains_every_pixel_centre_inside_and_little_more(seed: int) -> None:
    landmarks = random_landmarks(seed)
    mask = face_mask(landmarks, "facehull", 200, 200).astype(bool)
    exact = hull_by_edges(landmarks.astype(np.int32), 200, 200)
    assert mask[exact].all()
    grown = cv2.dilate(exact.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    assert not mask[~grown].any()
    corners = landmarks.astype(np.int32)
    assert mask[corners[:, 1], corners[:, 0]].all()


@pytest.mark.parametrize("seed", range(4))
def test_families_lie_inside_the_facehull(seed: int) -> None:
    landmarks = random_landmarks(seed)[:68]
    whole = face_mask(landmarks, "facehull", 200, 200)
    for family in ("dfl_full", "components"):
        part = face_mask(landmarks, family, 200, 200)
        assert part.any()
        assert not part[whole == 0].any()


def test_components_is_a_union_of_eight() -> None:
    landmarks = random_landmarks(7)
    union = np.zeros((200, 200), np.uint8)
    for indices in COMPONENTS:
        only = np.zeros((200, 200), np.uint8)
        cv2.fillPoly(only, [cv2.convexHull(landmarks.astype(np.int32)[sorted(set(indices))])], 1)
        union |= only
    assert len(COMPONENTS) == 8
    np.testing.assert_array_equal(face_mask(landmarks, "components", 200, 200), union)


def test_raise_eyebrows_rounds_towards_minus_infinity() -> None:
    corners = np.zeros((68, 2), np.int32)
    corners[0], corners[36], corners[16], corners[45] = (-7, 3), (10, 20), (101, 5), (80, 30)
    corners[[17, 26]] = (0, 0), (90, 0)
    moved = raise_eyebrows(corners)
    # quarter points: (10 + (10 - 7)//2)//2 = 5, (20 + 23//2)//2 = 15;  (80 + 181//2)//2 = 85, (30 + 35//2)//2 = 23
    assert moved[17].tolist() == [0 + (0 - 5) // 2, 0 + (0 - 15) // 2] == [-3, -8]
    assert moved[26].tolist() == [90 + (90 - 85) // 2, 0 + (0 - 23) // 2] == [92, -12]
    assert (moved[:17] == corners[:17]).all()
    assert (moved[27:] == corners[27:]).all()


@pytest.mark.parametrize("family", HULL_FAMILIES)
def test_only_the_facehull_uses_the_forehead(family: str) -> None:
    landmarks = random_landmarks(3)
    landmarks[68:] = (195, 2)
    changed = (face_mask(landmarks, family, 200, 200, 81) != face_mask(landmarks, family, 200, 200, 68)).any()
    assert changed == (family == "facehull")


def test_outside_is_clipped_and_refusals_name_the_reason() -> None:
    assert not face_mask(random_landmarks(0) + 1000, "facehull", 50, 60).any()
    with pytest.raises(ValueError, match=r"landmarks: expected \[68 or 81, 2\], got \[5, 2\]"):
        face_mask(np.zeros((5, 2)), "facehull", 10, 10)
    bad = random_landmarks(0)
    bad[3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        face_mask(bad, "facehull", 10, 10)
    with pytest.raises(ValueError, match="32767"):
        face_mask(random_landmarks(0) * 1e9, "facehull", 10, 10)
    with pytest.raises(ValueError, match="family: expected one of"):
        face_mask(random_landmarks(0), "oval", 10, 10)
