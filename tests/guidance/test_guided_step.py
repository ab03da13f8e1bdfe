"""A guided step against the step as released, with all its passes and loops: same refined batch, losses and gradients of every weight.

And that refinement neither waits for a GPU nor copies from it, proved without one: torch's fake tensors have shapes and a device but no
values, so whatever would look at one fails.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from alternatives.released_step import released_step
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from whole_loss import fpg_loss

from fpg.guidance.config import GuidanceConfig
from fpg.guidance.draws import GuidanceDraws, draw_guidance
from fpg.guidance.guide import refine
from fpg.guidance.losses import LossConfig
from fpg.guidance.shape import Feathering, kernel_feathering
from fpg.models.config import DetectorConfig
from fpg.models.detector import Detector
from fpg.ops.mask_table import record_dtype
from fpg.pairs import Pairs

MakePairs = Callable[..., Pairs]
BACKBONES = [("test_efficientnet", 64), ("convnext_atto", 64), ("test_vit", 64)]


def detector(backbone: str, images: Tensor) -> Detector:
    """Random weights, running statistics of these images, answers that vary and lean towards "fake"."""
    torch.manual_seed(1)
    model = Detector(DetectorConfig(backbone=backbone, image_size=images.shape[-1], quality_width=32, attention_width=8))
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        model(images)
        for norm in norms:
            norm.momentum = 0.1
        spread = model.eval()(images).logits.diff(dim=1).std()
        model.classifier.weight.mul_(1.5 / spread)
        shift = model(images).logits.diff(dim=1).mean() - 1
        model.classifier.bias.copy_(model.classifier.bias - torch.tensor([-0.5, 0.5]) * shift)
    return model


def ours(
    model: Detector, pairs: Pairs, draws: GuidanceDraws, quality: Tensor, config: GuidanceConfig, losses: LossConfig, seed: int
) -> Any:
    refined = refine(model, pairs, draws, config)
    model.train()
    torch.manual_seed(seed)
    result = fpg_loss(model(refined.pairs.images()), refined.pairs.mask, quality, losses)
    assert result.total is not None
    model.zero_grad(set_to_none=True)
    result.total.backward()
    return refined, result


@pytest.mark.parametrize("coin", [True, False], ids=["step", "no step"])
@pytest.mark.parametrize(("backbone", "size"), BACKBONES)
def test_equals_the_released_step(backbone: str, size: int, coin: bool, make_pairs: MakePairs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPG_BACKEND", "reference")  # feathering by OpenCV in both: what is left is rounding
    n, config, losses = 6, GuidanceConfig(threshold=0.6), LossConfig(similarity=1.0)
    pairs = make_pairs(n, size=size, seed=5)
    pairs.mask[4] = 0  # a pair that the losses leave out
    draws = dataclasses.replace(draw_guidance(3, 1, 2, range(n)), step_coin=coin)
    quality = torch.rand(2 * n, generator=torch.Generator().manual_seed(0)) * 2
    model = detector(backbone, pairs.images())
    other = copy.deepcopy(model)  # a step in training mode moves the running statistics

    expected = released_step(other, pairs, draws, quality, config, losses, seed=11)
    gradients = {name: p.grad.clone() for name, p in other.named_parameters() if p.grad is not None}
    refined, result = ours(model, pairs, draws, quality, config, losses, seed=11)

    assert refined.refined.tolist() == expected.refined
    assert 0 < sum(expected.refined) < n
    assert refined.direction.tolist() == (expected.direction if coin else [0] * n)
    torch.testing.assert_close(refined.pairs.mask, expected.mask, atol=1e-5, rtol=0)
    torch.testing.assert_close(refined.pairs.fake, expected.fake, atol=1e-5, rtol=0)
    assert not result.selected[4]
    assert result.selected.sum() >= 3
    got = [float(x) for x in (result.total.detach(), result.classification, result.similarity, result.quality)]
    assert got == pytest.approx(list(expected.losses), rel=1e-4, abs=1e-5)
    own = dict(model.named_parameters())
    assert set(gradients) == {name for name, p in own.items() if p.grad is not None} == set(own)
    largest = max(float(g.abs().max()) for g in gradients.values())
    for name, gradient in gradients.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(own[name].grad, gradient, rtol=0, atol=5e-3 * scale + 1e-5 * largest, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("coin", [True, False], ids=["step", "no step"])
def test_nothing_waits_for_the_device(coin: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On tensors without values: whoever looks at one, and so waits for the GPU, fails. The kernels are called and do nothing."""
    called: list[str] = []
    for module in ("perception", "magnitude", "feathering", "mask_table", "ragged", "backend"):
        monkeypatch.setattr(f"fpg.ops.{module}.native", Recorded(called))
    monkeypatch.setattr(FakeTensor, "data_ptr", lambda tensor: 0)
    monkeypatch.setattr("fpg.guidance.guide.backend", lambda device: "native")
    for module in ("perception", "magnitude"):
        monkeypatch.setattr(f"fpg.ops.{module}.backend", lambda device: "native")
    monkeypatch.setattr("fpg.ops.feathering.check_batch", lambda *args: None)  # looks at offsets on the CPU alone
    monkeypatch.setattr("fpg.guidance.guide.kernel_feathering", kernel_feathering_on_a_gpu)
    n, size = 3, 64
    draws = dataclasses.replace(draw_guidance(0, 0, 0, range(n)), step_coin=coin)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = Detector(DetectorConfig(backbone="test_efficientnet", image_size=size))
        pairs = Pairs(*(torch.rand(n, channels, size, size) for channels in (3, 3, 3, 1)))
        refined = refine(model, pairs, draws)
        assert refined.pairs.fake.shape == (n, 3, size, size)
        with pytest.raises(DataDependentOutputException):
            int(refined.kept_unrefined)  # so would any look at a value inside
    assert {"perception_statistics", "feather_masks"} <= set(called)
    assert coin == ("magnitude_step" in called)


class Recorded:
    """In place of the compiled module: notes what is called, and computes nothing."""

    MASK_ITEM_BYTES = record_dtype().itemsize

    def __init__(self, called: list[str]) -> None:
        self.called = called

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> int:
            self.called.append(name)
            return 1

        return call


def kernel_feathering_on_a_gpu(params: Any, erosion: Any, *, only_wanted: bool) -> Feathering:
    return kernel_feathering(params, erosion, only_wanted=False)
