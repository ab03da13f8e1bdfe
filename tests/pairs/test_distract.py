"""Changes next to the face: the same for real and forged, never on the face, and off by default."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_faces import face, photograph

from fpg.common.errors import UsageError
from fpg.common.rng import stream
from fpg.pairs import AugmentConfig, SelfBlend, draw_pair
from fpg.pairs.distract import KINDS, DistractConfig, Kind, distract, draw_distractors

FACE = np.zeros((160, 160), bool)
FACE[50:130, 45:115] = True


@pytest.mark.parametrize("kind", KINDS)
def test_beside_the_face_and_alike(kind: Kind) -> None:
    config = DistractConfig(probability=1.0, kinds=(kind,))
    image = photograph(3, 160, 160)
    other = image.copy()
    other[FACE] = photograph(4, 160, 160)[FACE]  # a forgery: another face, the same surroundings
    changed, differing = 0, 0
    for seed in range(25):
        params = draw_distractors(np.random.default_rng(seed), config)
        assert params is not None
        assert {shape.kind for shape in params} == {kind}
        real, fake, again = distract([image, other, image], FACE, params)
        assert real.dtype == np.uint8
        assert np.array_equal(real, again)
        assert np.array_equal(real[FACE], image[FACE])
        assert np.array_equal(fake[FACE], other[FACE])
        changed += int((real != image).any())
        differing += int((real[~FACE] != fake[~FACE]).any(-1).sum())
    assert changed >= 20
    # smoothing and moving may look a few pixels into the face
    assert differing < (25 * 160 if kind in ("smooth", "shift") else 1)


def test_nothing_where_the_face_leaves_no_room() -> None:
    image = photograph(5, 64, 64)
    full = np.ones((64, 64), bool)
    full[0, 0] = False
    for seed in range(10):
        params = draw_distractors(np.random.default_rng(seed), DistractConfig(probability=1.0))
        assert params is not None
        assert np.array_equal(distract([image], full, params)[0], image)
    assert not np.array_equal(distract([image], np.zeros_like(full), params)[0], image)


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_changed_beside_the_face_alone(seed: int) -> None:
    config = AugmentConfig(distract=DistractConfig(probability=1.0, kinds=("cover", "text")), jpeg_probability=0)
    image, landmarks, box = face(seed)
    params = draw_pair(stream(seed, "pair", 0, 0), config)
    blend = SelfBlend(config, 96)
    plain = blend([image], [landmarks], [box], [dataclasses.replace(params, distractors=None)]).map(lambda tensor: tensor.clone())
    pairs = blend([image], [landmarks], [box], [params])
    assert (pairs.mask == plain.mask).all()
    where = ((pairs.real != plain.real) | (pairs.fake != plain.fake)).any(1, keepdim=True)
    assert not (where & (pairs.mask > 0)).any()
    changed = where.expand(-1, 3, -1, -1)
    assert (pairs.real[changed] - pairs.fake[changed]).abs().max() <= 1.01 / 255 if where.any() else True


def test_off_by_default_and_drawn_as_often_as_asked() -> None:
    assert draw_pair(stream(1, "pair", 0, 0)).distractors is None
    config = DistractConfig(probability=0.35, count=(2, 4))
    drawn = [draw_distractors(stream(index, "distract"), config) for index in range(2000)]
    counts = [len(shapes) for shapes in drawn if shapes is not None]
    assert abs(len(counts) / 2000 - 0.35) < 0.04
    assert set(counts) == {2, 3, 4}
    first, again = (draw_distractors(stream(0, "distract"), config) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"probability": 2.0}, "probability"),
        ({"kinds": ("logo",)}, "kinds"),
        ({"count": (0, 2)}, "count"),
        ({"size": (0.3, 0.1)}, "size"),
        ({"color": 300.0}, "color"),
        ({"sigma": (0.0, 1.0)}, "sigma"),
        ({"shift": -0.1}, "shift"),
        ({"softness": (-1.0, 1.0)}, "softness"),
    ],
)
def test_impossible_values_are_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=rf"augment\.distract\.{named}: expected"):
        DistractConfig(**values)  # type: ignore[arg-type]
