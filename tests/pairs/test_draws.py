"""Draws: reproducible, within their ranges, with the stated probabilities, plain Python values."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from fpg.common.errors import UsageError
from fpg.common.rng import stream
from fpg.pairs.draws import AugmentConfig, PairParams, draw_pair


@pytest.fixture(scope="module")
def draws() -> list[PairParams]:
    return [draw_pair(stream(3, "pair", i)) for i in range(4000)]


def fraction(values: list[bool]) -> float:
    return sum(values) / len(values)


def test_same_key_same_draw(draws: list[PairParams]) -> None:
    assert draw_pair(stream(3, "pair", 17)) == draws[17]
    assert len(set(draws)) == len(draws)


def test_plain_values(draws: list[PairParams]) -> None:
    assert json.loads(json.dumps(dataclasses.asdict(draws[0])))["geometry"]["noise_key"] == draws[0].geometry.noise_key


def test_probabilities(draws: list[PairParams]) -> None:
    expected = {
        0.5: [
            [d.mirror for d in draws],
            [d.recolored == "source" for d in draws],
            [d.resample.sharpen is not None for d in draws],
            [d.jpeg_quality is not None for d in draws],
            [d.ratio == 1 for d in draws],
        ],
        0.25: [
            [d.points == 68 for d in draws],
            *([d.family == name for d in draws] for name in ("facehull", "dfl_full", "components", "extended")),
            [d.resample.down_scale == 2 for d in draws],
        ],
        0.3: [
            [d.color.rgb_shift is not None for d in draws],
            [d.photometric.rgb_shift is not None for d in draws],
            [d.photometric.hsv_shift is not None for d in draws],
            [d.photometric.contrast is not None for d in draws],
        ],
        1 / 6: [[d.ratio == r for d in draws] for r in (0.25, 0.5, 0.75)],
    }
    for probability, lists in expected.items():
        for values in lists:
            assert abs(fraction(values) - probability) < 5 * (probability * (1 - probability) / len(values)) ** 0.5
    assert all(d.color.hsv_shift is not None and d.color.contrast is not None for d in draws)


def test_ranges(draws: list[PairParams]) -> None:
    def check(values: list[float], low: float, high: float, integers: bool = False) -> None:
        assert low <= min(values) < low + 0.02 * (high - low) + integers
        assert high >= max(values) > high - 0.02 * (high - low) - integers
        if integers:
            assert all(type(v) is int for v in values)

    check([v for d in draws if d.color.rgb_shift for v in d.color.rgb_shift], -20, 20, True)
    check([v for d in draws for v in d.color.hsv_shift or ()], -0.3, 0.3)
    check([d.color.contrast[0] for d in draws if d.color.contrast], 0.9, 1.1)
    check([d.color.contrast[1] for d in draws if d.color.contrast], -0.1, 0.1)
    check([d.photometric.contrast[0] for d in draws if d.photometric.contrast], 0.7, 1.3)
    check([d.photometric.contrast[1] for d in draws if d.photometric.contrast], -0.3, 0.3)
    check([d.resample.sharpen[0] for d in draws if d.resample.sharpen], 0.2, 0.5)
    check([d.resample.sharpen[1] for d in draws if d.resample.sharpen], 0.5, 1.0)
    check([v for d in draws for v in d.geometry.scale], 0.95, 1 / 0.95)
    check([d.geometry.translate[0] for d in draws], -0.03, 0.03)
    check([d.geometry.translate[1] for d in draws], -0.015, 0.015)
    check([v for d in draws for v in (d.feather.height, d.feather.width)], 192, 256, True)
    check([d.feather.sigma for d in draws], 5, 45, True)
    check([d.jpeg_quality for d in draws if d.jpeg_quality is not None], 40, 100, True)
    check([u for d in draws for u in d.crop], 0, 1)
    assert {d.feather.k1 for d in draws} == {d.feather.k2 for d in draws} == set(range(5, 26, 2))
    assert {d.resample.down_scale for d in draws} == {None, 2, 4}


def test_draws_are_independent(draws: list[PairParams]) -> None:
    scales = np.array([d.geometry.scale for d in draws])
    u = np.array([d.crop for d in draws])
    values = np.column_stack([scales, [d.geometry.translate for d in draws], u, [d.mirror for d in draws], [d.ratio for d in draws]])
    correlation = np.corrcoef(values.T.astype(float)) - np.eye(values.shape[1])
    assert np.abs(correlation).max() < 5 / len(draws) ** 0.5


def test_validation_draws_differ_in_mirror_and_crop_only() -> None:
    for i in range(20):
        training, validation = (draw_pair(stream(0, i), training=mode) for mode in (True, False))
        assert dataclasses.replace(training, mirror=False, crop=(0.5,) * 4) == validation


def test_an_outcome_does_not_shift_later_draws() -> None:
    never = AugmentConfig(copy_contrast_probability=0, jpeg_probability=0, rgb_shift_probability=0, only_68_probability=0)
    for i in range(20):
        a, b = draw_pair(stream(0, i)), draw_pair(stream(0, i), never)
        assert (a.geometry, a.feather, a.ratio, a.crop) == (b.geometry, b.feather, b.ratio, b.crop)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"jpeg_probability": 1.5}, r"jpeg_probability: expected a probability in \[0, 1\], got 1.5"),
        ({"families": ("oval",)}, r"families: expected some of facehull, .*, got \('oval',\)"),
        ({"families": ()}, "families: expected some of"),
        ({"scale": (1.1, 0.9)}, r"scale: expected two numbers, the smaller first, got \(1.1, 0.9\)"),
        ({"scale": (0.0, 0.9)}, "scale: expected more than 0"),
        ({"feather_kernel": (4, 24)}, "feather_kernel: expected odd numbers"),
        ({"feather_kernel": (5, 67)}, "feather_kernel: expected odd numbers up to 65"),
        ({"elastic_sigma": 33.0}, "elastic_sigma: expected more than 0 and at most 32"),
        ({"ratios": (0.5, 1.5)}, "ratios: expected some in"),
        ({"down_scales": (0,)}, "down_scales: expected factors of at least 1"),
        ({"jpeg_quality": (40, 101)}, r"jpeg_quality: expected within 0..100, got \(40, 101\)"),
        ({"rgb_shift": -1}, "rgb_shift: expected at least 0, got -1"),
    ],
)
def test_config_refuses_nonsense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AugmentConfig(**values)
