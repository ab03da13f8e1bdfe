"""Captured passes answer as the passes themselves: after the weights changed, for other shapes, and without aliasing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fpg.guidance.draws import draw_guidance
from fpg.guidance.guide import refine
from fpg.guidance.magnitude import input_gradient
from fpg.guidance.perception import SHAPES, GraphedPerception
from fpg.guidance.response_map import response_map
from fpg.models.config import DetectorConfig
from fpg.models.detector import Detector
from fpg.pairs import Pairs

SIZE = 64


def on_paper(function: Callable[[], tuple[Tensor, ...]]) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
    """A graph on the CPU: it writes into the same outputs, from the same inputs."""
    outputs = function()

    def replay() -> None:
        for kept, new in zip(outputs, function(), strict=True):
            kept.copy_(new)

    return replay, outputs


def detector(device: str = "cpu") -> Detector:
    torch.manual_seed(3)
    return Detector(DetectorConfig(backbone="test_efficientnet", image_size=SIZE, quality_width=16, attention_width=8)).to(device)


def change(model: Detector) -> None:
    """As an optimiser and a pass in training mode do."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        model.train()
        model(torch.rand(4, 3, SIZE, SIZE, device=next(model.parameters()).device))


def check(perception: GraphedPerception, model: Detector, images: Tensor) -> None:
    before = images.clone()
    maps, probability = perception.response_map(images)
    gradient = perception.input_gradient(images)
    expected = (*response_map(model, images), input_gradient(model, images))
    for ours, theirs in zip((maps, probability, gradient), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert torch.equal(images, before)
    perception.response_map(1 - images)
    torch.testing.assert_close(maps, expected[0], rtol=0, atol=0)  # what was given stays as it was


def test_replayed_passes_follow_the_weights() -> None:
    model = detector()
    perception = GraphedPerception(model, on_paper)
    for _ in range(3):
        check(perception, model, torch.rand(4, 3, SIZE, SIZE))
        assert model.training
        change(model)


def test_few_shapes_are_captured_and_each_precision_apart() -> None:
    captured = 0

    def counted(function: Callable[[], tuple[Tensor, ...]]) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
        nonlocal captured
        captured += 1
        return on_paper(function)

    model = detector()
    perception = GraphedPerception(model, counted)
    for count in (4, 3, 2, 4, 1, 3):
        check(perception, model, torch.rand(count, 3, SIZE, SIZE))
    assert captured == 2 * SHAPES
    other = GraphedPerception(model, counted)
    images = torch.rand(4, 3, SIZE, SIZE)
    plain = other.response_map(images)[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = other.response_map(images)[1]
        torch.testing.assert_close(half, response_map(model, images)[1], rtol=0, atol=0)
    assert not torch.equal(half, plain)
    assert captured == 2 * SHAPES + 2


def test_guidance_with_captured_passes() -> None:
    model, generator = detector(), torch.Generator().manual_seed(1)
    real, source = torch.rand(2, 4, 3, SIZE, SIZE, generator=generator)
    mask = torch.rand(4, 1, SIZE, SIZE, generator=generator)
    pairs = Pairs(mask * source + (1 - mask) * real, real, source, mask)
    seen: list[str] = []
    perception = GraphedPerception(model, lambda function: (seen.append("captured"), on_paper(function))[1])
    draws = next(d for step in range(50) if (d := draw_guidance(0, 0, step, range(4))).step_coin)
    plain, replayed = refine(model, pairs, draws), refine(model, pairs, draws, perception=perception)
    torch.testing.assert_close(replayed.pairs.fake, plain.pairs.fake, rtol=0, atol=0)
    assert replayed.maps is not None
    assert plain.maps is not None
    assert torch.equal(replayed.maps, plain.maps)
    assert seen == ["captured"] * 2


@pytest.mark.cuda
@pytest.mark.parametrize("half", [False, True])
def test_cuda_graphs_follow_the_weights(half: bool) -> None:
    model = detector("cuda").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    perception = GraphedPerception(model)
    images = torch.rand(4, 3, SIZE, SIZE, device="cuda").contiguous(memory_format=torch.channels_last)
    autocast = torch.autocast("cuda", dtype=torch.bfloat16) if half else contextlib.nullcontext()
    for _ in range(3):
        with autocast:
            maps, probability = perception.response_map(images)
            gradient = perception.input_gradient(images)
            expected = (*response_map(model, images), input_gradient(model, images))
        scale = float(expected[2].abs().max())
        torch.testing.assert_close(maps, expected[0], rtol=0, atol=5e-2 if half else 1e-3)
        torch.testing.assert_close(probability, expected[1], rtol=0, atol=1e-2 if half else 1e-4)
        torch.testing.assert_close(gradient / scale, expected[2] / scale, rtol=0, atol=5e-2 if half else 1e-3)
        change(model)
    assert not torch.equal(perception.response_map(images)[1], probability)
