"""Blending by gradients: what Poisson's equation asks for, and a pair that guidance can go on with."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_faces import face, photograph
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

from fpg.common.rng import stream
from fpg.pairs import AugmentConfig, SelfBlend, draw_pair
from fpg.pairs.poisson import PoissonConfig, blend_poisson, draw_poisson, membrane


def smooth(rng: np.random.Generator, height: int, width: int, low: float, high: float) -> np.ndarray:
    """float32 [H, W, 3] within low..high, without detail."""
    coarse = rng.uniform(low, high, (5, 5, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def disc(height: int, width: int, y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def solved(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """`membrane` by a direct solver: every pixel inside is the mean of its neighbours in the image."""
    number = np.full(inside.shape, -1)
    number[inside] = np.arange(inside.sum())
    entries, known = [], np.zeros((int(inside.sum()), values.shape[2]))
    for y, x in np.argwhere(inside):
        row, degree = number[y, x], 0
        for a, b in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= a < inside.shape[0] and 0 <= b < inside.shape[1]:
                degree += 1
                if inside[a, b]:
                    entries.append((row, number[a, b], -1))
                else:
                    known[row] += values[a, b]
        entries.append((row, row, degree))
    rows, columns, weights = zip(*entries, strict=True)
    result = values.astype(np.float64)
    result[inside] = spsolve(coo_matrix((weights, (rows, columns))).tocsc(), known)
    return result


def test_the_membrane_is_that_of_a_direct_solver(rng: np.random.Generator) -> None:
    for _ in range(4):
        height, width = (int(v) for v in rng.integers(40, 90, 2))
        inside = disc(height, width, *(rng.uniform(0.3, 0.7, 2) * (height, width)), rng.uniform(8, 30))
        values = smooth(rng, height, width, -60, 60) + rng.normal(0, 3, (height, width, 3)).astype(np.float32)
        got, exact = membrane(np.where(inside[..., None], 1e3, values).astype(np.float32), inside), solved(values, inside)
        assert np.array_equal(got[~inside], values[~inside])
        assert np.abs(got - exact)[inside].mean() < 2.5
        edge = inside & (cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
        assert np.abs(got - exact)[edge].mean() < 1.5  # what could be seen as a seam


def test_inside_are_the_gradients_of_the_source(rng: np.random.Generator) -> None:
    real = smooth(rng, 91, 84, 90, 150).astype(np.uint8)
    source = np.clip(smooth(rng, 91, 84, 90, 150) + rng.normal(0, 6, (91, 84, 3)), 0, 255).astype(np.uint8)
    fake, region = blend_poisson(real, source, disc(91, 84, *rng.uniform(35, 50, 2), rng.uniform(15, 25)).astype(np.float32))
    for axis in (0, 1):
        got, wanted = (np.diff(image.astype(float), axis=axis) for image in (fake, source))
        within = (region > 0) & (np.roll(region, -1, axis) > 0)
        within = within[:-1] if axis == 0 else within[:, :-1]
        assert np.corrcoef(got[within].ravel(), wanted[within].ravel())[0, 1] > 0.97


def test_a_source_of_another_colour_gives_back_the_real_face(rng: np.random.Generator) -> None:
    real = smooth(rng, 80, 80, 60, 150).astype(np.uint8)
    fake, _ = blend_poisson(real, real + np.uint8(50), disc(80, 80, 41, 37, 24).astype(np.float32))
    assert np.abs(fake.astype(int) - real).max() <= 1


def test_the_region_is_half_of_the_mask_and_the_rest_the_real_face() -> None:
    real, source = photograph(1, 96, 96), photograph(2, 96, 96)
    for ratio in (1.0, 0.25):
        for y, x in ((45, 50), (0, 50), (94, 1)):  # also at the border of the image
            mask = cv2.GaussianBlur(disc(96, 96, y, x, 22).astype(np.float32), (0, 0), 4) * np.float32(ratio)
            fake, region = blend_poisson(real, source, mask)
            assert region.dtype == np.float32
            assert np.array_equal(region, (mask >= mask.max() / 2).astype(np.float32))
            assert np.array_equal(fake[region == 0], real[region == 0])
            assert (fake[region == 1] != real[region == 1]).mean() > 0.5
    nothing, region = blend_poisson(real, source, np.zeros((96, 96), np.float32))
    assert np.array_equal(nothing, real)
    assert not region.any()
    everything, region = blend_poisson(real, source, np.ones((96, 96), np.float32))
    assert np.array_equal(everything, source)  # no border to fit
    assert region.all()


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_their_mask_times_their_source(seed: int) -> None:
    config = AugmentConfig(poisson=PoissonConfig(probability=1.0))
    image, landmarks, box = face(seed)
    params = draw_pair(stream(seed, "pair", 0, 0), config)
    assert params.finishing
    fake, real, source, mask = (tensor[0].numpy() for tensor in SelfBlend(config, 96)([image], [landmarks], [box], [params]))
    assert set(np.unique(mask)) == {0, 1}
    assert np.array_equal(fake, mask * source + (1 - mask) * real)


def test_off_by_default_and_drawn_as_often_as_asked() -> None:
    assert draw_pair(stream(1, "pair", 0, 0)).poisson is False
    drawn = [draw_poisson(stream(index, "poisson"), PoissonConfig(probability=0.4)) for index in range(2000)]
    assert abs(sum(drawn) / 2000 - 0.4) < 0.04
