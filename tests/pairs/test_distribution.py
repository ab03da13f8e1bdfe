"""The distribution of pairs is the method's: 2,000 pairs of `SelfBlend` against 2,000 of an independent pipeline with its own draws.

Each pair becomes a handful of numbers (`numbers`), and of each number the mean, the variance and the whole distribution are compared.
A difference counts when it is larger than chance makes it once in `1 / CHANCE` tests of this file (all comparisons together, two-sided;
means and variances by their standard errors, distributions by Kolmogorov and Smirnov's test). Seeds are fixed. That the comparison
sees what it should is tested with pairs of which one constant is wrong.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from alternatives.pairs import steps
from reference_pairs import reference_pair
from scipy.stats import ks_2samp, norm

from fpg.common.crops import EVALUATION_DRAW
from fpg.pairs import SelfBlend
from fpg.pairs.draws import AugmentConfig, FeatherParams, GeometryParams, draw_pair

HEIGHT, WIDTH, SIZE = 190, 150, 128
PAIRS = 2000
CHANCE = 1e-3
PICTURES = 25

Face = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def faces(vectors: Path) -> list[Face]:
    """Context crops that show what is done to them: smooth brightness, brighter to the right (mirroring), and a chequerboard of red and
    green pixels (JPEG with its coarse colour takes that away)."""
    rng = np.random.default_rng(0)
    shapes = np.load(vectors / "hulls.npz")
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    result = []
    for index in range(PICTURES):
        coarse = rng.uniform(60, 180, (HEIGHT // 14, WIDTH // 14)).astype(np.float32)
        brightness = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) + 50 * (x / WIDTH - 0.5)
        tint = np.where((x + y) % 2, 30, -30)
        image = np.stack([brightness + tint, brightness - tint, brightness], -1)
        shape = shapes[f"lm{index % 3}"].astype(np.float64)
        low, high = shape[:68].min(0), shape[:68].max(0)
        face = np.array([WIDTH / 2, HEIGHT / 2.4])
        landmarks = (shape - low) / (high - low) * face + (WIDTH / 4, HEIGHT / 2.4)
        box = np.concatenate([landmarks.min(0), landmarks.max(0)])
        result.append((np.clip(image, 0, 255).astype(np.uint8), landmarks, box))
    return result


def made(faces: list[Face], seed: int, count: int, config: AugmentConfig | None = None) -> Iterator[list[np.ndarray]]:
    blend, rng = SelfBlend(config, size=SIZE), np.random.default_rng(seed)
    for first in range(0, count, PICTURES):
        images, landmarks, boxes = zip(*faces[: count - first], strict=True)
        batch = [part.numpy() for part in blend(images, landmarks, boxes, rng)]
        yield from ([part[i] for part in batch] for i in range(len(images)))


def referred(faces: list[Face], seed: int, count: int) -> Iterator[list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return (reference_pair(*faces[i % PICTURES], rng, SIZE) for i in range(count))


def table(pairs: Iterator[list[np.ndarray]]) -> dict[str, np.ndarray]:
    """The numbers of all pairs, by name."""
    rows = [numbers(*pair) for pair in pairs]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


X, Y = np.meshgrid(*[np.linspace(-1, 1, SIZE, dtype=np.float32)] * 2)


def numbers(fake: np.ndarray, real: np.ndarray, source: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """What one pair shows."""
    soft = mask[0]
    strength, inside = float(soft.max()), soft > 0
    weight = soft / soft.sum()
    outline, _ = cv2.findContours((soft > strength / 2).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    edge = max(outline, key=len)
    real_grey, source_grey = real.mean(0), source.mean(0)
    difference = source_grey - real_grey
    core = soft > strength / 2
    found = displacement(real_grey, source_grey)
    shown = soft * difference
    return {
        "mask area": inside.mean(),
        "mask mean": soft.mean(),
        "mask soft share": (inside & (soft < 0.99 * strength)).sum() / inside.sum(),
        "mask center x": (weight * X).sum(),
        "mask center y": (weight * Y).sum(),
        "mask width": np.sqrt((weight * X * X).sum()),
        "mask edge": cv2.arcLength(edge, True) / np.sqrt(core.sum()),
        "blend strength": strength,
        "blend strength below 0.4": strength < 0.4,
        "blend strength above 0.9": strength > 0.9,
        "blend in the forgery": ((fake.mean(0) - real_grey) * shown).sum() / max((shown * shown).sum(), 1e-3),
        "color shift inside": difference[core].mean(),
        "color shift outside": difference[~inside].mean(),
        "color shift of blue": (source[2] - real[2]).mean() - difference.mean(),
        "real brightness": real_grey.mean(),
        "real contrast": real_grey.std(),
        "real blue": real[2].mean() - real_grey.mean(),
        "real left and right": (real_grey * X).mean(),
        "sharpness": np.log(detail(source_grey) / detail(real_grey)),
        "source shift x": found[0],
        "source shift y": found[1],
        "source scale x": found[2],
        "source scale y": found[3],
        "jpeg": max(color_detail(real), color_detail(source)) < 0.006,
    }


def detail(grey: np.ndarray) -> float:
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean()) + 1e-4


def color_detail(image: np.ndarray) -> float:
    """Changes of colour from pixel to pixel."""
    color = image[0] - image[1]
    return float(np.abs(color - cv2.blur(color, (5, 5))).mean())


def displacement(real: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Shift and scale (x, y each) of the source against the real face by one step of Lucas and Kanade's method, with gain and offset."""
    a, b = (cv2.GaussianBlur(v, (0, 0), 4)[8:-8, 8:-8] for v in (real, source))
    dx, dy = cv2.Sobel(a, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(a, cv2.CV_32F, 0, 1) / 8
    x, y = X[8:-8, 8:-8], Y[8:-8, 8:-8]
    columns = np.stack([v.ravel() for v in (-dx, -dy, -dx * x, -dy * y, a, np.ones_like(a))])
    return np.linalg.solve(columns @ columns.T + 1e-4 * np.eye(6), columns @ (b - a).ravel())[:4]


def differences(ours: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[str]:
    """Numbers whose mean, variance or distribution differ by more than chance."""
    limit = CHANCE / (3 * len(ours))
    largest = norm.isf(limit / 2)
    result = []
    for name, a in ours.items():
        b = other[name]
        center = np.concatenate([a, b]).mean()
        for kind, u, v in (("mean", a, b), ("variance", (a - center) ** 2, (b - center) ** 2)):
            error = np.sqrt(u.var() / len(u) + v.var() / len(v))
            if abs(u.mean() - v.mean()) > largest * error:
                result.append(f"{name}, {kind}: {u.mean():.5f} and {v.mean():.5f}, standard error {error:.5f}")
        if a.dtype != bool and (p := ks_2samp(a, b).pvalue) < limit:
            result.append(f"{name}, distribution: p = {p:.1e}")
    return result


@pytest.fixture(scope="module")
def reference(faces: list[Face]) -> dict[str, np.ndarray]:
    return table(referred(faces, 1, PAIRS))


@pytest.mark.slow
def test_pairs_are_distributed_as_the_reference(faces: list[Face], reference: dict[str, np.ndarray]) -> None:
    ours = table(made(faces, 2, PAIRS))
    assert len(ours["jpeg"]) == len(reference["jpeg"]) == PAIRS
    assert not differences(ours, reference)


WRONG = {
    "copy_brightness": 0.13,
    "scale": (0.96, 1 / 0.96),
    "translate_x": 0.02,
    "feather_kernel": (5, 21),
    "ratios": (0.25, 0.5, 0.75, 1.0),
    "jpeg_probability": 0.65,
}
"""One constant each, so little off that one picture does not show it."""


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_constant_shows(faces: list[Face], reference: dict[str, np.ndarray], name: str) -> None:
    config = dataclasses.replace(AugmentConfig(), **{name: WRONG[name]})
    assert differences(table(made(faces, 3, PAIRS // 2, config)), reference)


FEATHER = FeatherParams(height=224, width=200, k1=5, k2=5, sigma=5)
ANGLES = 64


def edges(masks: Iterable[np.ndarray], still: np.ndarray) -> dict[str, np.ndarray]:
    """How far the outline of each [S, S] mask lies outside `still`, by direction from the middle: its square, its likeness to the
    directions next to it and four farther on, and its mean."""

    def radii(mask: np.ndarray) -> np.ndarray:
        polar = cv2.warpPolar(mask, (2 * SIZE, ANGLES), (SIZE / 2, SIZE / 2), SIZE / 2, cv2.INTER_LINEAR)
        return (polar > 0.5).sum(1) / 4.0

    moved = np.stack([radii(mask) for mask in masks]) - radii(still)
    near, far = (np.roll(moved, -steps_on, axis=1) for steps_on in (1, 4))
    return {"square": (moved**2).mean(1), "near": (moved * near).mean(1), "far": (moved * far).mean(1), "mean": moved.mean(1)}


@pytest.fixture(scope="module")
def outlines(faces: list[Face]) -> Callable[[float, float], dict[str, np.ndarray]]:
    """Edges of 800 masks of one face that differ by the elastic change alone, by its two constants; without: the reference's."""
    image, landmarks, box = faces[0]
    drawn = draw_pair(np.random.default_rng(4))
    drawn = dataclasses.replace(drawn, mirror=False, points=81, family="facehull", feather=FEATHER, ratio=1.0, crop=EVALUATION_DRAW)
    hull = steps.hull_mask(landmarks, "facehull", HEIGHT, WIDTH)
    margins = np.full(4, 0.5)

    def soft(mask: np.ndarray) -> np.ndarray:
        feathered = steps.feather(mask, *dataclasses.astuple(FEATHER))
        return steps.detection([], feathered, box, margins, SIZE)[-1][0]

    def measured(alpha: float | None = None, sigma: float = 7.0) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(5)
        if alpha is None:
            return edges((soft(steps.elastic(hull, rng)) for _ in range(800)), soft(hull))
        keys = rng.integers(1 << 64, size=800, dtype=np.uint64)
        params = [dataclasses.replace(drawn, geometry=GeometryParams((1.0, 1.0), (0.0, 0.0), int(key))) for key in keys]
        blend = SelfBlend(AugmentConfig(elastic_alpha=alpha, elastic_sigma=sigma), size=SIZE)
        batches = (blend([image] * 20, [landmarks] * 20, [box] * 20, params[i : i + 20]).mask for i in range(0, 800, 20))
        return edges((mask for batch in batches for mask in batch[:, 0].numpy()), soft(hull))

    return measured


def test_mask_edges_are_displaced_as_in_the_reference(outlines: Callable[..., dict[str, np.ndarray]]) -> None:
    reference = outlines()
    assert reference["square"].mean() > 0.5
    assert not differences(outlines(50.0, 7.0), reference)
    assert differences(outlines(54.0, 7.0), reference)
    assert differences(outlines(50.0, 6.0), reference)
