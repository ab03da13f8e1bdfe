"""Draws: a pair's depend on seed, epoch and sample alone, the coin on seed, epoch and step."""

from __future__ import annotations

import numpy as np
import pytest

from fpg.common.errors import UsageError
from fpg.common.rng import stream
from fpg.guidance.config import GuidanceConfig
from fpg.guidance.draws import RefeatherParams, draw_guidance, draw_refeather


def test_repeatable() -> None:
    one, other = (draw_guidance(5, 2, 7, [3, 1, 4]) for _ in range(2))
    assert one.step_coin == other.step_coin
    assert np.array_equal(one.refine_u, other.refine_u)
    assert one.refeather == other.refeather


def test_pairs_do_not_depend_on_their_batch() -> None:
    whole = draw_guidance(5, 2, 7, np.arange(6))
    part = draw_guidance(5, 2, 8, [4, 2])
    assert np.array_equal(part.refine_u, whole.refine_u[[4, 2]])
    assert part.refeather == (whole.refeather[4], whole.refeather[2])


@pytest.mark.parametrize("key", [(6, 2, 7), (5, 3, 7)])
def test_seed_and_epoch_count(key: tuple[int, int, int]) -> None:
    one, other = draw_guidance(5, 2, 7, range(4)), draw_guidance(*key, range(4))
    assert not np.isclose(one.refine_u, other.refine_u).any()
    assert one.refeather != other.refeather


def test_coin_is_the_same_whatever_the_samples_and_fair() -> None:
    coins = [draw_guidance(0, 0, step, []).step_coin for step in range(400)]
    assert coins == [draw_guidance(0, 0, step, [step]).step_coin for step in range(400)]
    assert 150 < sum(coins) < 250
    assert all(draw_guidance(0, 0, step, [], GuidanceConfig(step_probability=1.0)).step_coin for step in range(20))
    assert not any(draw_guidance(0, 0, step, [], GuidanceConfig(step_probability=0.0)).step_coin for step in range(20))


def test_ranges() -> None:
    draws = draw_guidance(1, 1, 1, range(300))
    assert draws.refine_u.dtype == np.float64
    assert draws.refine_u.min() >= 0
    assert draws.refine_u.max() < 1
    sets = {name: {getattr(draw, name) for draw in draws.refeather} for name in ("k_erode", "height", "width", "k1", "k2", "sigma")}
    assert sets["k_erode"] == {10, 12, 14}
    assert sets["k1"] == sets["k2"] == {17, 19, 21, 23, 25}
    assert min(sets["sigma"]) == 15
    assert max(sets["sigma"]) == 45
    for name in ("height", "width"):
        assert min(sets[name]) >= 192
        assert max(sets[name]) <= 256
        assert len(sets[name]) > 50


def test_ranges_come_from_the_config() -> None:
    config = GuidanceConfig(erosion_kernel=(2, 2), feather_size=(64, 64), feather_kernel=(5, 5), feather_sigma=(3, 3))
    draws = draw_guidance(1, 1, 1, range(3), config)
    assert set(draws.refeather) == {RefeatherParams(k_erode=2, height=64, width=64, k1=5, k2=5, sigma=3)}


@pytest.mark.parametrize(
    "wrong", [{"threshold": 1.5}, {"eps": -0.1}, {"step_probability": 2.0}, {"erosion": "other"}, {"feather_kernel": (17, 24)}]
)
def test_config_refuses(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"guidance.{next(iter(wrong))}: expected"):
        GuidanceConfig(**wrong)  # type: ignore[arg-type]


def test_draws_of_feathering_cover_their_ranges() -> None:
    draws = [draw_refeather(stream(1, "refeather", i)) for i in range(600)]
    assert {d.k_erode for d in draws} == {10, 12, 14}
    assert {d.k1 for d in draws} == {d.k2 for d in draws} == {17, 19, 21, 23, 25}
    assert {d.sigma for d in draws} == set(range(15, 46))
    assert {d.height for d in draws} | {d.width for d in draws} == set(range(192, 257))
    assert draw_refeather(stream(1, "refeather", 3)) == draws[3]
    assert isinstance(draws[0], RefeatherParams)
