"""Guidance of a batch: against the method step by step with all its passes, and what must not change."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fpg.guidance.config import GuidanceConfig
from fpg.guidance.draws import GuidanceDraws, draw_guidance
from fpg.guidance.guide import Refined, refine
from fpg.ops.feathering import refeather_reference as refeather
from fpg.pairs import Pairs

MakePairs = Callable[..., Pairs]


def plain_refine(model: Any, pairs: Pairs, draws: GuidanceDraws, config: GuidanceConfig) -> tuple[Tensor, Tensor, list[bool], list[int]]:
    """As one would first write it: every pass over both halves with a full backward, and a loop over the samples on the host."""
    model = copy.deepcopy(model).eval()
    n, (height, width) = len(pairs), pairs.real.shape[-2:]
    images = torch.cat([pairs.real, pairs.fake])
    activations = model.last_block(images)
    activations.retain_grad()
    model.head(activations)[0][:, 1].sum().backward()
    weights = activations.grad.mean(dim=(2, 3))
    cams = F.relu((weights[:, :, None, None] * activations).sum(dim=1)).detach()
    scores = model(images)[0].softmax(dim=1)[:, 1].detach()

    fakes, masks, refined = pairs.fake.numpy().copy(), pairs.mask.numpy().copy(), []
    for i in range(n):
        cam = cams[n + i]
        cam = (cam - cam.min()) / ((cam - cam.min()).max() + 1e-7)
        cam = F.interpolate(cam[None, None], size=(height, width), mode="bilinear")[0, 0]
        cam = ((cam - cam.min()) / ((cam - cam.min()).max() + 1e-7)).numpy()
        cam = cam / cam.max() if cam.max() > 0 else cam
        inside = masks[i, 0] > 0
        dominant = inside & (cam > (cam[cam > 0].mean(dtype=np.float64) if (cam > 0).any() else 0))
        fraction, p = dominant.sum() / (inside.sum() + 1e-12), float(scores[n + i])
        refined.append(bool(fraction < config.threshold and p > 0.5 and inside.sum() > 1 and draws.refine_u[i] < p))
        if refined[-1]:
            soft = refeather((inside & ~dominant).astype(np.float32), **draws.refeather[i]._asdict())
            masks[i, 0] = soft
            fakes[i] = (1 - soft) * pairs.real[i].numpy() + soft * fakes[i]

    fake, mask = torch.from_numpy(fakes).requires_grad_(True), torch.from_numpy(masks)
    logits = model(torch.cat([pairs.real, fake]))[0]
    F.cross_entropy(logits, torch.tensor([0] * n + [1] * n)).backward()
    assert fake.grad is not None
    fake, gradient = fake.detach(), fake.grad
    residual, signs = fake - (pairs.source * mask + pairs.real * (1 - mask)), []
    for i in range(n):
        growth = gradient[i] * (pairs.source[i] - pairs.real[i])
        signs.append(1 if int((growth > 0).sum()) > int((growth < 0).sum()) else -1)
        stepped = (mask[i] * (1 + (config.eps * signs[-1] if draws.step_coin else 0))).clamp(0, 1)
        fake[i] = (pairs.source[i] * stepped + pairs.real[i] * (1 - stepped) + residual[i]).clamp(0, 1)
    return fake, mask, refined, signs


def draws_with(coin: bool, n: int, seed: int = 0) -> GuidanceDraws:
    return dataclasses.replace(draw_guidance(seed, 0, 0, range(n)), step_coin=coin)


@pytest.mark.parametrize("coin", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_equals_the_plain_way(tiny: Any, make_pairs: MakePairs, seed: int, coin: bool) -> None:
    n, config = 8, GuidanceConfig()
    pairs, draws = make_pairs(n, seed=seed), draws_with(coin, n, seed)
    guided = refine(tiny, pairs, draws, config)
    fake, mask, refined, signs = plain_refine(tiny, pairs, draws, config)
    assert guided.refined.tolist() == refined
    assert 0 < sum(refined) < n
    assert guided.direction.tolist() == (signs if coin else [0] * n)
    torch.testing.assert_close(guided.pairs.mask, mask, atol=1e-4, rtol=0)
    torch.testing.assert_close(guided.pairs.fake, fake, atol=1e-4, rtol=0)


def state(model: Any) -> list[Tensor]:
    return [value.clone() for value in model.state_dict().values()]


def test_model_and_input_are_left_alone(tiny: Any, make_pairs: MakePairs) -> None:
    pairs = make_pairs(4)
    copies, before = copy.deepcopy(pairs), state(tiny)
    guided = refine(tiny, pairs, draws_with(True, 4), GuidanceConfig(threshold=1.0))
    assert guided.refined.any()
    assert all(torch.equal(a, b) for a, b in zip(before, state(tiny), strict=True))
    assert all(module.training for module in tiny.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in tiny.parameters())
    for name in ("real", "fake", "source", "mask"):
        assert torch.equal(getattr(pairs, name), getattr(copies, name))
        result = getattr(guided.pairs, name)
        assert not result.requires_grad
        assert result.dtype == torch.float32
        assert result.min() >= 0
        assert result.max() <= 1
    assert guided.pairs.real is pairs.real
    assert guided.pairs.source is pairs.source
    assert guided.maps is not None
    assert guided.maps.shape == (4, 48, 48)


@pytest.mark.parametrize("coin", [True, False])
def test_passes_over_the_network(tiny: Any, make_pairs: MakePairs, coin: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only forgeries go through, once without a graph for the map and the probability, once more if the coin says so."""
    seen: list[tuple[Tensor, bool]] = []
    whole = tiny.last_block

    def spy(images: Tensor) -> Tensor:
        seen.append((images.detach().clone(), images.requires_grad))
        features: Tensor = whole(images)
        assert features.requires_grad == images.requires_grad
        return features

    monkeypatch.setattr(tiny, "last_block", spy)
    pairs = make_pairs(4)
    guided = refine(tiny, pairs, draws_with(coin, 4), GuidanceConfig(threshold=1.0))
    assert guided.refined.any()
    assert [graph for _, graph in seen] == ([False, True] if coin else [False])
    assert torch.equal(seen[0][0], pairs.fake)
    if coin:
        shaped = refine(tiny, pairs, draws_with(False, 4), GuidanceConfig(threshold=1.0)).pairs.fake
        assert torch.equal(seen[1][0], shaped)


def assert_untouched(guided: Refined, pairs: Pairs) -> None:
    for name in ("real", "fake", "source", "mask"):
        assert torch.equal(getattr(guided.pairs, name), getattr(pairs, name))
    assert not guided.refined.any()
    assert (guided.direction == 0).all()
    assert guided.kept_unrefined == 0


@pytest.mark.parametrize("coin", [True, False])
def test_every_switch_off(tiny: Any, make_pairs: MakePairs, coin: bool) -> None:
    pairs = make_pairs(3)
    guided = refine(tiny, pairs, draws_with(coin, 3), GuidanceConfig(shape=False, magnitude=False))
    assert_untouched(guided, pairs)
    assert guided.maps is None
    assert guided.probability is None


def test_nothing_to_do_gives_the_same_batch(tiny: Any, make_pairs: MakePairs) -> None:
    pairs = make_pairs(3)
    guided = refine(tiny, pairs, draws_with(True, 3), GuidanceConfig(threshold=0.0, eps=0.0))
    assert_untouched(guided, pairs)


def test_switches_act_alone(tiny: Any, make_pairs: MakePairs) -> None:
    pairs, draws = make_pairs(4), draws_with(True, 4)
    shape = refine(tiny, pairs, draws, GuidanceConfig(threshold=1.0, magnitude=False))
    assert shape.refined.any()
    assert (shape.direction == 0).all()
    magnitude = refine(tiny, pairs, draws, GuidanceConfig(shape=False))
    assert not magnitude.refined.any()
    assert (magnitude.direction != 0).all()
    assert torch.equal(magnitude.pairs.mask, pairs.mask)
    assert not torch.equal(magnitude.pairs.fake, pairs.fake)


def test_masks_that_feathering_empties_are_kept_and_counted(tiny: Any, make_pairs: MakePairs) -> None:
    pairs = make_pairs(3)
    pairs.mask[1] = 0
    pairs.mask[1, 0, 20, 10:30] = 0.5  # one row, which the erosion takes
    draws = dataclasses.replace(draws_with(False, 3), refine_u=np.zeros(3))
    with torch.no_grad():
        tiny.classifier.bias.copy_(torch.tensor([-9.0, 9.0]))  # sure of every forgery
    guided = refine(tiny, pairs, draws, GuidanceConfig(threshold=1.0))
    assert guided.kept_unrefined == 1
    assert guided.refined.tolist() == [True, False, True]
    assert torch.equal(guided.pairs.mask[1], pairs.mask[1])
    assert torch.equal(guided.pairs.fake[1], pairs.fake[1])


def test_intended_erosion_takes_more(tiny: Any, make_pairs: MakePairs) -> None:
    pairs, draws = make_pairs(4), dataclasses.replace(draws_with(False, 4), refine_u=np.zeros(4))
    released, intended = (refine(tiny, pairs, draws, GuidanceConfig(threshold=1.0, erosion=e)) for e in ("released", "intended"))
    both = released.refined & intended.refined
    assert both.any()
    areas = [(g.pairs.mask[both] > 0).flatten(1).sum(dim=1) for g in (released, intended)]
    assert (areas[1] < areas[0]).all()


def test_one_pair(tiny: Any, make_pairs: MakePairs) -> None:
    pairs = make_pairs(5, seed=2)
    draws = draw_guidance(0, 0, 0, range(5))
    config = GuidanceConfig()
    whole = refine(tiny, pairs, dataclasses.replace(draws, step_coin=True), config)
    for i in range(5):
        one = pairs[i : i + 1]
        alone = refine(tiny, one, GuidanceDraws(True, draws.refine_u[i : i + 1], draws.refeather[i : i + 1]), config)
        assert alone.refined.tolist() == [whole.refined[i]]
        torch.testing.assert_close(alone.pairs.fake[0], whole.pairs.fake[i], atol=1e-4, rtol=0)


def test_modes_return_when_guidance_fails(tiny: Any, make_pairs: MakePairs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("feathering failed")

    monkeypatch.setattr("fpg.guidance.shape.refeather_reference", fail)  # OpenCV
    monkeypatch.setattr("fpg.guidance.shape.refeather", fail)  # kernels
    with pytest.raises(RuntimeError, match="feathering failed"):
        refine(tiny, make_pairs(3), draws_with(True, 3), GuidanceConfig(threshold=1.0))
    assert all(module.training for module in tiny.modules())
    assert all(parameter.requires_grad for parameter in tiny.parameters())


def test_wrong_draws_are_refused(tiny: Any, make_pairs: MakePairs) -> None:
    with pytest.raises(ValueError, match=r"draws: expected those of 3 >= 1 pairs, got 2 and 2"):
        refine(tiny, make_pairs(3), draws_with(True, 2))


def test_pairs_check_themselves(make_pairs: MakePairs) -> None:
    pairs = make_pairs(2)
    with pytest.raises(ValueError, match=r"mask: expected float32 \[2, 1, 48, 48\], got uint8 \[2, 48, 48\]"):
        dataclasses.replace(pairs, mask=torch.zeros(2, 48, 48, dtype=torch.uint8))
    assert pairs.labels().tolist() == [0, 0, 1, 1]
    assert torch.equal(pairs.images()[2:], pairs.fake)
