"""Every family of backbones end to end: training with guidance, the response map on its grid, export, sizes, normalisation, first weights.

Networks have random weights and small images; nothing is downloaded.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from whole_loss import fpg_loss

from fpg.common.errors import InputError, UsageError
from fpg.guidance.config import GuidanceConfig
from fpg.guidance.draws import draw_guidance
from fpg.guidance.guide import refine
from fpg.guidance.response_map import response_map
from fpg.models.config import DetectorConfig
from fpg.models.detector import Detector, build_detector
from fpg.pairs import Pairs

SMALL = DetectorConfig(quality_width=16, attention_width=8)
FAMILIES = [
    ("tf_efficientnet_b0", 64),
    ("tf_efficientnet_lite0", 64),
    ("convnext_atto", 64),
    ("vit_xsmall_patch16_clip_224", 64),  # class token
    ("vit_small_patch14_dinov2", 56),  # class token, layer scale
    ("vit_tiny_patch16_dinov3_qkvb", 64),  # class token and four registers, rotary positions
]


def detector(backbone: str, size: int, **changes: Any) -> Detector:
    torch.manual_seed(2)
    return Detector(dataclasses.replace(SMALL, backbone=backbone, image_size=size, **changes))


def make_pairs(n: int, size: int) -> Pairs:
    """Smooth faces; the forged half is brighter in a soft disc."""
    rng = torch.Generator().manual_seed(4)
    real = F.interpolate(torch.rand(n, 3, 6, 6, generator=rng), size=(size, size), mode="bicubic").clamp(0, 0.8)
    axis = torch.linspace(-1, 1, size)
    mask = (4 * (0.7 - (axis[:, None].square() + axis.square()).sqrt())).clamp(0, 1).expand(n, 1, size, size).contiguous()
    source = real + 0.2
    return Pairs(mask * source + (1 - mask) * real, real, source, mask)


@pytest.mark.parametrize(("backbone", "size"), FAMILIES, ids=[f[0] for f in FAMILIES])
def test_trains_with_guidance(backbone: str, size: int) -> None:
    n, steps = 4, 6
    model = detector(backbone, size, dropout=0.0, drop_connect=0.0, bn_momentum=0.3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    pairs, quality, config = make_pairs(n, size), torch.full((2 * n,), 0.5), GuidanceConfig(threshold=1.0, certainty=0.0)
    losses, refined = [], 0
    for step in range(steps):
        draws = dataclasses.replace(draw_guidance(0, 0, step, range(n)), step_coin=step % 2 == 0)
        guided = refine(model, pairs, draws, config)
        refined += int(guided.refined.sum())
        output = model.train()(guided.pairs.images())
        result = fpg_loss(output, guided.pairs.mask, quality)
        assert result.total is not None
        optimizer.zero_grad()
        result.total.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        optimizer.step()
        losses.append(float(result.total.detach()))
    assert refined > 0
    assert losses[-1] < losses[0]


def hooked_map(model: Detector, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Grad-CAM by a hook on timm's own last block and timm's own `forward_features`, NumPy and OpenCV; probability of "fake"."""
    net, kept = model.backbone.net, []

    def keep(module: nn.Module, args: Any, output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    handle = (net.stages if hasattr(net, "stages") else net.blocks)[-1].register_forward_hook(keep)
    model.eval()
    x = images if model.mean is None else (images - model.mean) / model.std
    p = net.forward_features(x)
    if p.ndim == 3:
        side = round((p.shape[1] - net.num_prefix_tokens) ** 0.5)
        p = p[:, net.num_prefix_tokens :].transpose(1, 2).unflatten(2, (side, side))
    elif hasattr(net, "stages"):  # ConvNeXt normalises after its pooling, which fpg turns round; each position apart, then the mean
        p = net.head.norm(p)
    pooled = p.mean((2, 3))
    z = model.quality_features(p).mean((2, 3))
    logits = model.classifier(pooled * torch.sigmoid(model.attention(z)))
    logits[:, 1].sum().backward()
    handle.remove()
    activation, gradient = kept[0].detach().numpy(), kept[0].grad.numpy()  # type: ignore[union-attr]
    if activation.ndim == 3:
        tokens = slice(net.num_prefix_tokens, None)
        activation, gradient = (v[:, tokens].transpose(0, 2, 1).reshape(len(v), -1, side, side) for v in (activation, gradient))
    maps = []
    for a, g in zip(activation, gradient, strict=True):
        cam = np.maximum(np.einsum("c,chw->hw", g.mean(axis=(1, 2)), a), 0)
        for resize in (False, True):
            cam = cv2.resize(cam, (images.shape[3], images.shape[2]), interpolation=cv2.INTER_LINEAR) if resize else cam
            cam = cam - cam.min()
            cam = cam / (cam.max() + 1e-7)
        maps.append(cam)
    model.zero_grad()
    return np.stack(maps), logits.detach().softmax(dim=1)[:, 1].numpy()


@pytest.mark.parametrize(("backbone", "size"), FAMILIES, ids=[f[0] for f in FAMILIES])
def test_response_map_is_grad_cam_by_a_hook(backbone: str, size: int) -> None:
    model = detector(backbone, size)
    with torch.no_grad():
        for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.momentum = 0.9
        for _ in range(3):
            model.train()(torch.rand(4, 3, size, size))
    images = F.interpolate(torch.rand(3, 3, 7, 7), size=(size, size), mode="bicubic").clamp(0, 1)
    expected, probability = hooked_map(model, images)
    maps, found = response_map(model.train(), images)
    assert maps.shape == (3, size, size)
    assert (expected > 0).any()
    np.testing.assert_allclose(maps.numpy(), expected, atol=2e-3)
    np.testing.assert_allclose(found.numpy(), probability, atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "size", "grid"),
    [("vit_xsmall_patch16_clip_224", 96, 6), ("vit_small_patch14_dinov2", 42, 3), ("vit_small_patch14_reg4_dinov2", 56, 4)],
)
def test_token_grid_is_in_place(backbone: str, size: int, grid: int) -> None:
    """A change within one patch shows most at that patch's place in the grid; prefix tokens are not in it."""
    model = detector(backbone, size).eval()
    patch = size // grid
    images = torch.rand(1, 3, size, size)
    for y, x in ((0, grid - 1), (grid - 1, 0)):
        changed = images.clone()
        changed[..., y * patch : (y + 1) * patch, x * patch : (x + 1) * patch] = 0
        with torch.no_grad():
            difference = (model.last_block(changed) - model.last_block(images)).square().sum(dim=1)[0]
        assert difference.shape == (grid, grid)
        assert int(difference.argmax()) == y * grid + x


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "size", "kind"),
    [(*FAMILIES[2], "openvino"), (*FAMILIES[3], "onnx"), (*FAMILIES[5], "openvino")],
    ids=["convnext", "clip", "dinov3"],
)
def test_exports(backbone: str, size: int, kind: str, tmp_path: Path) -> None:
    from fpg.engines import load_engine
    from fpg.export.exporter import export_detector
    from fpg.models.detector import save_detector

    if kind == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    save_detector(tmp_path / "model.safetensors", detector(backbone, size).eval())
    exported = export_detector(tmp_path / "model.safetensors", kind, tmp_path)  # raises unless it matches torch's output
    images = np.random.default_rng(7).random((3, 3, size, size), dtype=np.float32)
    engines = [load_engine(path, device="cpu", threads=1) for path in (tmp_path / "model.safetensors", exported.path)]
    reference, answer = (engine(images) for engine in engines)
    np.testing.assert_allclose(answer.logits, reference.logits, atol=1e-4)
    np.testing.assert_allclose(answer.activation_map, reference.activation_map, atol=1e-3)


@pytest.mark.parametrize(
    ("backbone", "size", "message"),
    [
        ("vit_xsmall_patch16_clip_224", 100, r"takes multiples of its patch, 16 px \(e\.g\. 96 or 112\), got 100"),
        ("vit_small_patch14_dinov2", 380, r"takes multiples of its patch, 14 px \(e\.g\. 378 or 392\), got 380"),
        ("vit_base_patch32_clip_224", 40, r"takes multiples of its patch, 32 px \(e\.g\. 32 or 64\), got 40"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(backbone: str, size: int, message: str) -> None:
    with pytest.raises(UsageError, match=f"image_size: {backbone} {message}"):
        detector(backbone, size)


@pytest.mark.parametrize("backbone", ["vit_xsmall_patch16_clip_224", "vit_tiny_patch16_dinov3_qkvb", "convnext_atto"])
def test_normalisation_is_timms(backbone: str) -> None:
    cfg = timm.get_pretrained_cfg(backbone)
    model = detector(backbone, 64).eval()
    assert model.config.mean == tuple(cfg.mean)
    assert model.config.std == tuple(cfg.std)
    images = torch.rand(2, 3, 64, 64)
    transformed = (images - torch.tensor(cfg.mean).view(3, 1, 1)) / torch.tensor(cfg.std).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(model.last_block(images), model.backbone.last_block(transformed))


@pytest.mark.parametrize(("backbone", "size"), [FAMILIES[0], FAMILIES[2], FAMILIES[3]], ids=["efficientnet", "convnext", "clip"])
def test_stochastic_depth_grows_over_the_blocks(backbone: str, size: int) -> None:
    rates = [float(m.drop_prob or 0) for m in detector(backbone, size, drop_connect=0.3).modules() if type(m).__name__ == "DropPath"]
    assert rates == sorted(rates)
    assert max(rates) == pytest.approx(0.3, abs=0.03)
    model = detector(backbone, size, drop_connect=0.3, dropout=0.0)
    images = torch.rand(4, 3, size, size)
    with torch.no_grad():
        assert torch.equal(model.eval()(images).features, model(images).features)
        for norm in (m for m in model.train().modules() if isinstance(m, nn.BatchNorm2d)):
            norm.momentum = 0.0
        assert not torch.equal(model(images).features, model(images).features)


@pytest.mark.parametrize(
    ("backbone", "part"), [("mobilenetv3_small_050", "conv_head"), ("resnet50_clip", "head"), ("efficientvit_b0", "head")]
)
def test_what_lies_behind_the_map_takes_no_gradient(backbone: str, part: str) -> None:
    """Distributed training would wait for gradients that never come."""
    model = detector(backbone, 64, drop_connect=0.0)
    output = model(torch.rand(2, 3, 64, 64))
    (output.logits.square().sum() + output.quality.square().sum() + output.features.square().mean()).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert any(not parameter.requires_grad for parameter in getattr(model.backbone.net, part).parameters())


def test_first_weights_of_a_transformer_at_another_size(tmp_path: Path) -> None:
    """A file at the published size, with the tensors that published files have besides: positions are resampled, the rest is exact."""
    source = timm.create_model("vit_small_patch14_dinov2", pretrained=False, num_classes=0, img_size=70)
    state = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    file = tmp_path / "dino.pth"
    torch.save({**state, "mask_token": torch.zeros(1, 384)}, file)
    model = build_detector(dataclasses.replace(SMALL, backbone="vit_small_patch14_dinov2", image_size=56), file)
    loaded = model.backbone.net.state_dict()
    assert loaded["pos_embed"].shape[1] < state["pos_embed"].shape[1]
    for name, tensor in loaded.items():
        if name != "pos_embed":
            assert torch.equal(tensor, state[name]), name
    assert loaded["pos_embed"].std() > 0


def test_first_weights_with_a_classifier(tmp_path: Path) -> None:
    source = timm.create_model("convnext_atto", pretrained=False)
    file = tmp_path / "convnext.safetensors"
    safetensors.torch.save_file(source.state_dict(), file)
    config = dataclasses.replace(SMALL, backbone="convnext_atto", image_size=64)
    loaded = build_detector(config, file).backbone.net.state_dict()
    for name, tensor in loaded.items():
        assert torch.equal(tensor, source.state_dict()[name]), name
    with pytest.raises(InputError, match=r"convnext\.safetensors: does not fit backbone convnext_femto"):
        build_detector(dataclasses.replace(config, backbone="convnext_femto"), file)


@pytest.mark.parametrize("backbone", ["tf_efficientnet_b4.ap_in1k", "convnext_atto", "vit_small_patch14_dinov2"])
def test_offline_says_what_to_do(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a proxy resolves names: the Hub is asked
    import timm.models._builder as builder

    def offline(*args: object, **options: object) -> None:
        raise OSError("no connection")

    for name in ("load_state_dict_from_hf", "load_state_dict_from_url", "load_custom_from_hf"):
        monkeypatch.setattr(builder, name, offline, raising=False)
    with pytest.raises(InputError, match=rf"{backbone}: pretrained weights cannot be fetched: give a local file.*no connection"):
        build_detector(dataclasses.replace(SMALL, backbone=backbone, image_size=70), True)
