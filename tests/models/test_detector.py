"""The detector over several families of backbones: the split, the heads, the activation map, saving and loading."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from fpg.common.errors import InputError, UsageError
from fpg.common.spec import reference_input, sidecar
from fpg.models.detector import Detector, DetectorConfig, ExportModule, build_detector, load_detector, save_detector
from fpg.models.pretrained import PACKAGES

SMALL = DetectorConfig(backbone="resnet18", image_size=64, quality_width=16, attention_width=8)

BACKBONES = [
    # backbone, image size, last block (channels, side), map before pooling (channels)
    ("tf_efficientnet_b4.ap_in1k", 64, (448, 2), 1792),
    ("tf_efficientnet_lite0", 96, (320, 3), 1280),
    ("resnet18", 96, (512, 3), 512),
    ("convnext_atto", 96, (320, 3), 320),
    ("vit_tiny_patch16_224", 96, (192, 6), 192),
    ("swin_tiny_patch4_window7_224", 224, (768, 7), 768),
    ("mobilenetv3_small_050", 96, (288, 3), 288),
    ("densenet121", 64, (1024, 2), 1024),
    ("eva02_tiny_patch14_224", 70, (192, 5), 192),
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(5)


def _perturb_statistics(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)


@pytest.mark.parametrize(("backbone", "size", "last", "channels"), BACKBONES, ids=[b[0] for b in BACKBONES])
def test_split_heads_and_activation_map(backbone: str, size: int, last: tuple[int, int], channels: int) -> None:
    model = Detector(DetectorConfig(backbone=backbone, image_size=size, quality_width=32, attention_width=8)).eval()
    _perturb_statistics(model)
    x = torch.rand(2, 3, size, size)
    with torch.no_grad():
        out = model(x)
        a = model.last_block(x)
        logits, quality = model.head(a)
        exported, activation = ExportModule(model)(x)
        p = model.backbone.pre_pooling(a)
    assert a.shape == (2, last[0], last[1], last[1])
    assert model.backbone.last_channels == last[0]
    assert p.shape == (2, channels, last[1], last[1])
    assert out.logits.shape == (2, 2)
    assert out.quality.shape == (2,)
    for one, other in ((out.logits, logits), (out.quality, quality), (out.features, a), (exported, logits)):
        torch.testing.assert_close(one, other)
    # The identity the map stands on: mean over space of the class activation of "fake" + its bias is its logit.
    torch.testing.assert_close(activation.mean((1, 2)) + model.classifier.bias[1], logits[:, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "vit_tiny_patch16_224", "resnet18"])
def test_map_before_pooling_is_timms(backbone: str) -> None:
    """Independent path: timm's own forward_features, prefix tokens dropped, in the model's normalisation."""
    model = Detector(DetectorConfig(backbone=backbone, image_size=96)).eval()
    _perturb_statistics(model)
    x = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        features = model.backbone.net.forward_features((x - model.mean) / model.std)
        p = model.backbone.pre_pooling(model.last_block(x))
    if features.ndim == 3:
        features = features[:, 1:].transpose(1, 2).reshape(p.shape)
    torch.testing.assert_close(p, features)


def test_gradients_reach_the_response_map_layer() -> None:
    model = Detector(SMALL).eval()
    a = model.last_block(torch.rand(2, 3, 64, 64)).detach().requires_grad_()
    logits, _ = model.head(a)
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), a)
    assert gradient.shape == a.shape
    assert gradient.abs().max() > 0


def test_normalization_is_inside_the_network() -> None:
    assert Detector(DetectorConfig(image_size=64)).config.normalization == "none"  # B4, as released
    model = Detector(dataclasses.replace(SMALL, backbone="tf_efficientnet_lite0")).eval()
    assert model.config.mean == (0.5, 0.5, 0.5)
    assert model.config.std == (0.5, 0.5, 0.5)
    bare = Detector(dataclasses.replace(model.config, normalization="none", mean=None, std=None)).eval()
    bare.load_state_dict(model.state_dict())
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(x).logits, bare(2 * x - 1).logits)


def test_batch_normalisation_and_stochastic_depth_as_released() -> None:
    model = Detector(DetectorConfig(image_size=64))
    norms = [m for m in model.backbone.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert {(m.momentum, m.eps) for m in norms} == {(0.01, 1e-3)}
    blocks = [b for stage in model.backbone.net.blocks for b in stage]
    rates = [getattr(b.drop_path, "drop_prob", 0.0) for b in blocks]
    assert len(blocks) == 32
    assert rates == pytest.approx([0.2 * i / 32 for i in range(32)])
    assert 18.5e6 < sum(p.numel() for p in model.parameters()) < 19.5e6


def test_plain_heads_have_no_quality() -> None:
    model = Detector(dataclasses.replace(SMALL, heads="plain")).eval()
    out = model(torch.rand(2, 3, 64, 64))
    assert out.quality.tolist() == [0.0, 0.0]
    assert not out.quality.requires_grad
    assert not any("quality" in name or "attention" in name for name in model.state_dict())
    logits, activation = ExportModule(model)(torch.rand(2, 3, 64, 64))
    torch.testing.assert_close(activation.mean((1, 2)) + model.classifier.bias[1], logits[:, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "no_such_net"}, "no_such_net"),
        ({"image_size": 8}, "image_size: expected at least 32"),
        ({"backbone": "maxvit_pico_rw_256", "image_size": 100}, "image_size: maxvit_pico_rw_256 does not take 100"),
        ({"dropout": 1.5}, "dropout"),
        ({"heads": "other"}, "heads: expected one of fpg, plain"),
        ({"normalization": "given"}, "mean, std"),
        ({"mean": (0.5, 0.5, 0.5)}, "mean, std"),
    ],
)
def test_wrong_config_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Detector(dataclasses.replace(SMALL, **change))  # type: ignore[arg-type]


def test_save_and_load(tmp_path: Path) -> None:
    model = Detector(SMALL).train()
    _perturb_statistics(model)
    path = tmp_path / "model.safetensors"
    spec = save_detector(path, model, provenance={"seed": 3}, threshold=0.4, temperature=2.0)
    assert model.training
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.safetensors", "model.spec.json"]
    loaded, again = load_detector(path)
    assert again == spec
    assert not loaded.training
    assert (spec.threshold, spec.temperature, spec.map_size, spec.provenance["seed"]) == (0.4, 2.0, (2, 2), 3)
    x = torch.from_numpy(reference_input(0, 2, 64))
    with torch.no_grad():
        logits = loaded(x).logits
        torch.testing.assert_close(logits, model.eval()(x).logits)
    assert spec.reference is not None
    torch.testing.assert_close(logits, torch.tensor(spec.reference["logits"]))


def test_load_refuses_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_detector(path, Detector(SMALL))
    spec = json.loads(sidecar(path).read_text())

    other = json.loads(json.dumps(spec))
    other["detector"]["backbone"] = "resnet34"
    sidecar(path).write_text(json.dumps(other))
    with pytest.raises(InputError, match=r"model\.safetensors: does not fit a detector on resnet34.*missing"):
        load_detector(path)

    other["detector"] = spec["detector"] | {"depth": 3}
    sidecar(path).write_text(json.dumps(other))
    with pytest.raises(InputError, match="unknown fields depth"):
        load_detector(path)

    sidecar(path).write_text(json.dumps(spec))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="does not match its sidecar"):
        load_detector(path)

    sidecar(path).unlink()
    with pytest.raises(InputError, match=r"has no sidecar model\.spec\.json"):
        load_detector(path)


def test_saving_a_broken_network_leaves_nothing(tmp_path: Path) -> None:
    model = Detector(SMALL)
    nn.init.constant_(model.classifier.bias, float("nan"))
    with pytest.raises(ValueError, match="logits: expected finite"):
        save_detector(tmp_path / "model.safetensors", model)
    with pytest.raises(UsageError, match=r"STEM\.safetensors"):
        save_detector(tmp_path / "model.pt", Detector(SMALL))
    assert list(tmp_path.iterdir()) == []


def test_pretrained_from_a_file(tmp_path: Path) -> None:
    source = Detector(dataclasses.replace(SMALL, heads="plain")).backbone.net
    state = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    path = tmp_path / "backbone.safetensors"
    safetensors.torch.save_file(state | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, path)
    model = build_detector(SMALL, path)
    for name, tensor in model.backbone.net.state_dict().items():
        torch.testing.assert_close(tensor, state[name])
    with pytest.raises(InputError, match=r"backbone\.safetensors: does not fit backbone resnet34"):
        build_detector(dataclasses.replace(SMALL, backbone="resnet34"), path)
    with pytest.raises(InputError, match="no such file"):
        build_detector(SMALL, tmp_path / "absent.pth")


def test_pretrained_from_a_detector(tmp_path: Path) -> None:
    """Its backbone is taken, running statistics included; its heads are not."""
    source = Detector(SMALL)
    source.backbone.net.bn1.running_mean += 1  # type: ignore[operator]
    path = tmp_path / "model.safetensors"
    save_detector(path, source)
    model = build_detector(SMALL, path)
    for name, tensor in model.backbone.net.state_dict().items():
        torch.testing.assert_close(tensor, source.backbone.net.state_dict()[name])
    assert not torch.equal(model.classifier.weight, source.classifier.weight)
    with pytest.raises(InputError, match=r"model\.safetensors: does not fit backbone resnet34"):
        build_detector(dataclasses.replace(SMALL, backbone="resnet34"), path)


@pytest.mark.parametrize("backbone", sorted(PACKAGES))
def test_pretrained_from_a_package(backbone: str) -> None:
    pytest.importorskip(PACKAGES[backbone][0])
    model = build_detector(DetectorConfig(backbone=backbone, image_size=224), "package").eval()
    # ImageNet features are far from random ones: the stem sees edges, and statistics are those of natural images.
    assert model.backbone.net.bn2.running_var.std() > 0
    assert not torch.equal(model.backbone.net.bn1.running_mean, torch.zeros(32))
    with pytest.raises(UsageError, match="tf_efficientnet_lite0"):
        build_detector(SMALL, "package")


def test_pretrained_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a proxy resolves names: the Hub is asked
    import timm.models._builder as builder

    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no connection")

    monkeypatch.setattr(builder, "load_state_dict_from_hf", offline)
    with pytest.raises(InputError, match=r"resnet18: pretrained weights cannot be fetched: give a local file.*no connection"):
        build_detector(SMALL, True)
    with pytest.raises(InputError, match='or "package"'):
        build_detector(dataclasses.replace(SMALL, backbone="tf_efficientnet_lite0"), True)
