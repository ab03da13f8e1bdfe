"""Masks of parts of the face: where they lie, the same by both makers of pairs, and refined by guidance as whole faces are."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from made_faces import VECTORS
from scipy.spatial import Delaunay

from fpg.common.errors import UsageError
from fpg.common.rng import stream
from fpg.guidance.config import GuidanceConfig
from fpg.guidance.draws import draw_guidance
from fpg.guidance.guide import refine
from fpg.models.config import DetectorConfig
from fpg.models.detector import Detector
from fpg.pairs import AugmentConfig, Pairs, SelfBlend, draw_pair, make_pair
from fpg.pairs.opencv import face_mask
from fpg.pairs.part import PARTS, Part, PartConfig, PartParams, draw_part, part_outline
from fpg.pairs.poisson import PoissonConfig

SIZE = 128
INSIDE = {"mouth": 62, "nose": 30, "eyes": 27, "lower": 57, "upper": 27}
"""A landmark in the middle of each part."""
OUTSIDE = {"mouth": 28, "nose": 8, "eyes": 8, "lower": 37, "upper": 8}


def landmarks(rng: np.random.Generator, width: int = 200) -> np.ndarray:
    """The published landmarks of one face, turned and scaled a little, in the middle of an image: float64 [81, 2]."""
    known = np.load(VECTORS / "hulls.npz")[f"lm{rng.integers(3)}"].astype(np.float64)
    known = (known - known.mean(0)) / np.ptp(known, axis=0).max() * width * rng.uniform(0.4, 0.5)
    angle = rng.normal(0, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return known @ turn.T + width / 2


def faces(rng: np.random.Generator, count: int) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    images = [rng.integers(0, 256, (40, 40, 3), np.uint8).repeat(5, 0).repeat(5, 1) for _ in range(count)]
    shapes = [landmarks(rng) for _ in range(count)]
    return images, shapes, [np.concatenate([shape.min(0), shape.max(0)]) for shape in shapes]


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("points", [68, 81])
def test_the_mask_is_the_hull_of_the_part_about_its_middle(kind: Part, points: int, rng: np.random.Generator) -> None:
    face = landmarks(rng)[:points]
    params = PartParams(kind, float(rng.uniform(1, 1.4)), 5)
    outline = part_outline(face, params)
    mask = face_mask(outline, "facehull", 200, 200).astype(bool)
    exact = part_outline(face, dataclasses.replace(params, grow=1.0))
    middle = (exact.min(0) + exact.max(0)) / 2
    y, x = np.mgrid[:200, :200]
    factor = params.grow if kind in ("mouth", "nose", "eyes") else 1.0
    back = middle + (np.stack([x, y], -1).reshape(-1, 2) - middle) / factor
    inside = (Delaunay(np.unique(exact, axis=0)).find_simplex(back) >= 0).reshape(200, 200)
    near = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)).astype(bool)
    assert not ((mask ^ inside) & ~near).any()  # corners are truncated to pixels
    at = {name: tuple(np.rint(face[index]).astype(int)[::-1]) for name, index in (("in", INSIDE[kind]), ("out", OUTSIDE[kind]))}
    assert mask[at["in"]]
    assert not mask[at["out"]]


def test_off_by_default_and_drawn_as_often_as_asked(rng: np.random.Generator) -> None:
    assert draw_pair(stream(1, "pair", 0, 0)).part is None
    config = PartConfig(probability=0.3, kinds=("mouth", "eyes"))
    drawn = [draw_part(stream(int(rng.integers(1 << 30)), "part"), config) for _ in range(2000)]
    parts = [part for part in drawn if part is not None]
    assert abs(len(parts) / 2000 - 0.3) < 0.04
    assert {part.kind for part in parts} == {"mouth", "eyes"}
    assert {part.k1 for part in parts} == {3, 5, 7, 9}
    assert all(1 <= part.grow <= 1.4 for part in parts)


def test_all_but_the_mask_is_drawn_as_without() -> None:
    for sample in range(20):
        plain = draw_pair(stream(3, "pair", 0, sample))
        part = draw_pair(stream(3, "pair", 0, sample), AugmentConfig(part=PartConfig(probability=1.0)))
        assert part.part is not None
        same = {"part": None, "family": plain.family, "points": plain.points, "feather": plain.feather}
        assert (part.family, part.points, part.finishing) == ("facehull", 81, False)
        assert dataclasses.replace(part, **same) == plain


def test_kernels_and_opencv_make_the_same_masks(native: None, rng: np.random.Generator) -> None:
    config = AugmentConfig(part=PartConfig(probability=1.0))
    images, shapes, boxes = faces(rng, 20)
    params = [draw_pair(rng, config) for _ in images]
    batch = SelfBlend(config, SIZE)(images, shapes, boxes, params)
    far = 0.0
    for index, face in enumerate(zip(images, shapes, boxes, params, strict=True)):
        single = make_pair(*face, config, SIZE)
        far = max(far, float((batch.mask[index] - single.mask[0]).abs().mean()))
    assert far < 2e-3


@pytest.mark.parametrize("kind", PARTS)
def test_no_part_is_feathered_away(kind: Part, rng: np.random.Generator) -> None:
    """The method's own kernels leave a dot of a mouth."""
    config = AugmentConfig(part=PartConfig(probability=1.0, kinds=(kind,)), ratios=(1.0,))
    images, shapes, boxes = faces(rng, 24)
    masks = SelfBlend(config, SIZE)(images, shapes, boxes, rng).mask
    assert (masks.amax((1, 2, 3)) > 0.9).all()
    assert ((masks > 0.25).sum((1, 2, 3)) > 60).all()


def test_guidance_refines_within_the_part(rng: np.random.Generator) -> None:
    """Soft masks and regions of gradient blending: what guidance forges is where the pair was forged, and the rest is the real face."""
    config = AugmentConfig(part=PartConfig(probability=1.0), poisson=PoissonConfig(probability=0.5), jpeg_probability=0)
    images, shapes, boxes = faces(rng, 16)
    pairs = SelfBlend(config, SIZE)(images, shapes, boxes, rng)
    torch.manual_seed(0)
    model = Detector(DetectorConfig(backbone="test_efficientnet", image_size=SIZE, quality_width=16, attention_width=8))
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([-4.0, 4.0]))  # sure that all is fake, so that it refines
    draws = draw_guidance(0, 0, 0, range(len(pairs)), GuidanceConfig())
    refined = refine(model, pairs, draws, GuidanceConfig(threshold=1.0)).pairs
    assert isinstance(refined, Pairs)
    changed = (refined.mask - pairs.mask).abs().flatten(1).amax(1) > 0.02  # more than magnitude refinement does
    assert changed.sum() >= 8
    was, now = pairs.mask > 0, refined.mask > 0
    spread = torch.nn.functional.max_pool2d(was.float(), 23, 1, 11) > 0  # of a small region feather' leaves a dot, and blurs that
    assert not (now & ~spread).any()
    outside = ~spread.expand(-1, 3, -1, -1)
    assert torch.equal(refined.fake[outside], pairs.fake[outside])
    assert (now.flatten(1).sum(1) > 0).all()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"probability": -0.1}, "probability"),
        ({"kinds": ()}, "kinds"),
        ({"kinds": ("chin",)}, "kinds"),
        ({"grow": (1.5, 1.0)}, "grow"),
        ({"feather_kernel": (4, 9)}, "feather_kernel"),
    ],
)
def test_impossible_values_are_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=rf"augment\.part\.{named}: expected"):
        PartConfig(**values)  # type: ignore[arg-type]
