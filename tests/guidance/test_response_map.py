"""Response map: against Grad-CAM by hooks and a full backward pass, and that the model is left as it was."""

from __future__ import annotations

import copy
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fpg.guidance.magnitude import input_gradient
from fpg.guidance.response_map import grad_cam, perception_mode, response_map
from fpg.models.config import DetectorConfig
from fpg.models.detector import Detector


def hooked_grad_cam(model: Any, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Grad-CAM the usual way: the whole network with gradients to every weight; NumPy and OpenCV afterwards."""
    model = copy.deepcopy(model).eval()
    kept: list[Tensor] = []
    whole = model.last_block

    def keep(x: Tensor) -> Tensor:
        kept.append(whole(x))
        kept[-1].retain_grad()
        return kept[-1]

    model.last_block = keep
    logits = model(images)[0]
    logits[:, 1].sum().backward()
    (a,), maps = kept, []
    assert a.grad is not None
    for activation, gradient in zip(a.detach().double().numpy(), a.grad.double().numpy(), strict=True):
        cam = np.maximum(np.tensordot(gradient.mean((1, 2)), activation, 1), 0)
        cam = (cam - cam.min()) / ((cam - cam.min()).max() + 1e-7)
        cam = cv2.resize(cam, (images.shape[3], images.shape[2]), interpolation=cv2.INTER_LINEAR)
        maps.append((cam - cam.min()) / ((cam - cam.min()).max() + 1e-7))
    scores = np.exp(logits.detach().double().numpy())
    return np.stack(maps), scores[:, 1] / scores.sum(1)


def assert_same_perception(model: Any, images: Tensor) -> None:
    maps, probability = response_map(model, images)
    expected_maps, expected_probability = hooked_grad_cam(model, images)
    assert maps.shape == expected_maps.shape
    assert not maps.requires_grad
    assert not probability.requires_grad
    assert (expected_maps.max((1, 2)) > 0.9).any()
    np.testing.assert_allclose(maps.numpy(), expected_maps, atol=1e-4)
    np.testing.assert_allclose(probability.numpy(), expected_probability, atol=1e-5)


def test_against_hooks_tiny(tiny: Any) -> None:
    assert_same_perception(tiny, torch.rand(5, 3, 40, 56))


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "resnet18"])
def test_against_hooks_detector(backbone: str) -> None:
    torch.manual_seed(0)
    detector = Detector(DetectorConfig(backbone=backbone, image_size=96))
    with torch.no_grad():  # random weights fade out over many layers: give the running statistics what comes in
        for module in detector.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        detector.train()(torch.rand(4, 3, 96, 96))
    assert_same_perception(detector, torch.rand(3, 3, 96, 96))


def test_samples_do_not_influence_each_other(tiny: Any) -> None:
    images = torch.rand(4, 3, 32, 32)
    together = response_map(tiny, images)
    for index in range(4):
        alone = response_map(tiny, images[index : index + 1])
        torch.testing.assert_close(alone[0][0], together[0][index], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone[1][0], together[1][index], atol=1e-6, rtol=0)


def test_map_without_response_is_zero() -> None:
    activations = torch.rand(2, 4, 6, 6)
    assert (grad_cam(activations, -torch.ones_like(activations), 30) == 0).all()


@pytest.mark.parametrize("shape", [(2, 4, 6), (2, 4, 6, 5)])
def test_grad_cam_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"gradients: expected the activations' \[B, C, h, w\]"):
        grad_cam(torch.rand(2, 4, 6, 6), torch.rand(shape), 30)


def fingerprint(model: nn.Module) -> dict[str, Any]:
    state: dict[str, Any] = {name: value.clone() for name, value in model.state_dict().items()}
    state |= {f"{name}.training": module.training for name, module in model.named_modules()}
    for name, parameter in model.named_parameters():
        state[f"{name}.requires_grad"] = parameter.requires_grad
        state[f"{name}.grad"] = None if parameter.grad is None else parameter.grad.clone()
    return state


def assert_same_state(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert before.keys() == after.keys()
    for name, value in before.items():
        same = torch.equal(value, after[name]) if isinstance(value, Tensor) else value is after[name]
        assert same, name


@pytest.mark.parametrize("grads", [False, True])
def test_model_is_left_as_it_was(tiny: Any, grads: bool) -> None:
    tiny.blocks[1].eval()  # frozen batch normalisation stays frozen,
    tiny.blocks[0].weight.requires_grad_(False)  # so does a frozen weight
    images = torch.rand(3, 3, 32, 32)
    if grads:
        tiny(images).logits.sum().backward()
    before = fingerprint(tiny)
    response_map(tiny, images)
    input_gradient(tiny, images)
    assert_same_state(before, fingerprint(tiny))
    assert images.grad is None
    assert not images.requires_grad


@pytest.mark.parametrize("part", ["last_block", "head"])
@pytest.mark.parametrize("read", [response_map, input_gradient])
def test_model_is_left_as_it_was_on_errors(tiny: Any, part: str, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    before = fingerprint(tiny)
    monkeypatch.setattr(tiny, part, fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        read(tiny, torch.rand(1, 3, 32, 32))
    assert_same_state(before, fingerprint(tiny))


def test_works_without_ambient_gradients(tiny: Any) -> None:
    images = torch.rand(2, 3, 32, 32)
    expected_map, expected_gradient = response_map(tiny, images)[0], input_gradient(tiny, images)
    with torch.no_grad():
        assert torch.equal(response_map(tiny, images)[0], expected_map)
        assert torch.equal(input_gradient(tiny, images), expected_gradient)
        assert not torch.is_grad_enabled()


def test_training_pass_in_the_same_autocast_keeps_its_gradients(tiny: Any) -> None:
    images = torch.rand(4, 3, 32, 32)
    gradients = []
    for perceive in (False, True):
        model = copy.deepcopy(tiny)
        model.dropout.p = 0.0
        with torch.autocast("cpu", dtype=torch.bfloat16):
            if perceive:
                maps, probability = response_map(model, images)
                assert maps.dtype == probability.dtype == torch.float32
            loss = model(images).logits.float().square().sum()
        loss.backward()
        gradients.append([parameter.grad for name, parameter in model.named_parameters() if not name.startswith("rate")])
    for plain, perceived in zip(*gradients, strict=True):
        assert plain is not None
        assert torch.equal(plain, perceived)


def test_perception_mode_wants_a_module() -> None:
    with pytest.raises(TypeError, match=r"expected a torch.nn.Module, got int"), perception_mode(3):  # type: ignore[arg-type]
        pass
