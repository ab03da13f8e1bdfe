"""The foundation recipe on a tiny vision transformer: only norms and heads learn, with bfloat16 and blocks computed again, to an engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from interrupted_runs import terminated_after
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from fpg.cli.train import main, parse_command
from fpg.common.errors import UsageError
from fpg.common.spec import read_spec
from fpg.export.exporter import export_detector
from fpg.models.backbones import pretrained_cfg
from fpg.models.config import DetectorConfig
from fpg.models.detector import Detector
from fpg.train.config import ModelConfig, TrainConfig
from fpg.train.distributed import ALONE
from fpg.train.loop import train
from fpg.train.methods import resolve_method
from fpg.train.optimizer import freeze
from fpg.train.setup import build_learner

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "configs" / "foundation.yaml"
Tiny = Callable[..., TrainConfig]
VIT = ModelConfig(backbone="test_vit", image_size=64, pretrained=False, quality_width=16, attention_width=8, train_only=["norms", "heads"])


def recipe(tiny: Tiny, *arguments: str, **changes: object) -> TrainConfig:
    """`configs/foundation.yaml` with a tiny network and the tests' data."""
    small = tiny()
    words = ["--model.backbone", "test_vit", "--model.image_size", "64", "--model.pretrained", "false", "--model.quality_width", "16"]
    words += ["--model.attention_width", "8", "--epochs", "2", "--batch", "8", "--workers", "0", "--threads", "1", "--device", "cpu"]
    words += ["--pictures", "0", "--guidance.threshold", "1.0", "--guidance.certainty", "0.0", *arguments]
    config, _ = parse_command(["--config", str(RECIPE), "--data", small.data[0], "--out", small.out, *words])
    return dataclasses.replace(config, **changes)


def trained_names(config: DetectorConfig, *only: str, but: tuple[str, ...] = ()) -> set[str]:
    model = Detector(config)
    freeze(model, but, 0, only)
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_norms_and_heads_of_every_kind_of_backbone() -> None:
    for backbone, side in (("test_vit", 64), ("test_efficientnet", 64), ("test_convnext", 64), ("vit_tiny_patch16_dinov3_qkvb", 64)):
        config = DetectorConfig(backbone=backbone, image_size=side, quality_width=16, attention_width=8)
        model = Detector(config)
        kinds = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
        norms = {
            f"backbone.net.{module}.{name}"
            for module, part in model.backbone.net.named_modules()
            if isinstance(part, kinds)
            for name, parameter in part.named_parameters(recurse=False)
            if parameter.requires_grad
        }
        heads = {name for name, _ in model.named_parameters() if not name.startswith("backbone.")}
        assert len(norms) > 4
        assert trained_names(config, "norms") == norms
        assert trained_names(config, "norms", "heads") == norms | heads
        assert trained_names(config, "norms", "heads", but=("quality", "heads")) == norms
        assert trained_names(config, "classifier") == {"classifier.weight", "classifier.bias"}
        assert trained_names(config, but=("norms",)) == {n for n, p in model.named_parameters() if p.requires_grad} - norms
    for only, but, reason in (
        (("nrms",), (), r"model\.train_only: expected norms, heads, or names .*'nrms'"),
        (("norms",), ("norms",), r"freeze: .*train_only \['norms'\], which freezes everything"),
    ):
        with pytest.raises(UsageError, match=reason):
            trained_names(config, *only, but=but)


@pytest.mark.parametrize("backbone", ["test_vit", "test_efficientnet", "vit_tiny_patch16_dinov3_qkvb"])
def test_blocks_computed_again_give_the_same_gradients(tiny: Tiny, backbone: str) -> None:
    """And keep less for the backward pass."""
    model = dataclasses.replace(VIT, backbone=backbone, drop_connect=0.0, dropout=0.0)
    gradients, kept = [], []
    for again in (False, True):
        learner = build_learner(tiny(model=model, grad_checkpointing=again), torch.device("cpu"), ALONE)
        learner.train()
        images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        sizes = []

        def pack(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = learner.model(images)
        output.logits.sum().backward()
        kept.append(sum(sizes))
        gradients.append({name: p.grad.clone() for name, p in learner.model.named_parameters() if p.grad is not None})
    assert kept[1] < 0.8 * kept[0]
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6)


def test_networks_without_checkpointing_are_refused(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, enable: bool = True) -> None:
        assert not enable, "gradient checkpointing not supported"  # timm's own way

    monkeypatch.setattr(VisionTransformer, "set_grad_checkpointing", refuse)
    with pytest.raises(UsageError, match="grad_checkpointing: timm has none for test_vit"):
        build_learner(tiny(model=VIT, grad_checkpointing=True), torch.device("cpu"), ALONE)


def test_the_recipe_is_what_it_says() -> None:
    values = yaml.safe_load(RECIPE.read_text())
    config, _ = parse_command(["--config", str(RECIPE), "--data", "d", "--out", "o"])
    assert (config.method, config.precision, config.grad_checkpointing) == ("fpg", "bf16", True)
    assert config.model.train_only == ["norms", "heads"]
    assert pretrained_cfg(values["model"]["backbone"]).license == "apache-2.0"
    for other in ("vit_large_patch14_clip_quickgelu_224.openai", "vit_large_patch16_dinov3.lvd1689m"):
        assert other in RECIPE.read_text()
        assert pretrained_cfg(other).hf_hub_id


@pytest.mark.parametrize("arguments", [[], ["--method", "plain-sbi", "--model.heads", "linear"]], ids=["guided", "BlenD"])
def test_from_recipe_to_engine(tiny: Tiny, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after an epoch and resumed, it ends where an uninterrupted run does; the average of the weights is exported."""
    config = resolve_method(recipe(tiny, *arguments))
    config.check()
    before = build_learner(config, torch.device("cpu"), ALONE).model.state_dict()
    path = train(config)
    after = load_file(path)
    statistics = ("running_mean", "running_var", "num_batches_tracked")  # of the heads' batch normalisation
    moved = {name for name, value in after.items() if not torch.equal(value, before[name].cpu()) and not name.endswith(statistics)}
    learns = trained_names(config.model.detector(), "norms", "heads")
    assert moved <= learns
    assert len(moved) > 0.8 * len(learns - {name for name in learns if name.endswith("bias")})

    stopped = dataclasses.replace(config, out=str(tmp_path / "stopped"))
    with terminated_after(2), pytest.raises(SystemExit):
        train(stopped)
    again = load_file(train(stopped, resume=True))
    for name, value in after.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=1e-6)

    spec = read_spec(path)
    assert (spec.map_size is None) == bool(arguments)
    done = export_detector(path, "onnx", tmp_path / "engines")
    assert done.parity.passed


def test_dry_run_says_what_is_trained_in_memory_and_hours(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = tiny()
    words = ["--model.backbone", "test_vit", "--model.image_size", "64", "--model.pretrained", "false", "--workers", "0"]
    words += ["--threads", "1", "--device", "cpu", "--batch", "4"]
    assert main(["--config", str(RECIPE), "--data", small.data[0], "--out", str(tmp_path / "r"), *words, "--dry-run"]) == 0
    told = capsys.readouterr()
    text = told.out + told.err
    assert "million are trained" in text
    assert "at the peak" in text
    assert "whole run: about" in text
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("method", ["fpg", "sbi", "plain-sbi"])
def test_guidance_needs_places(tiny: Tiny, method: str) -> None:
    model = dataclasses.replace(VIT, heads="linear-norm")
    config = resolve_method(tiny(model=model, method=method))
    assert config.model.heads == "linear-norm"
    if method == "fpg":
        with pytest.raises(UsageError, match=r"model\.heads: expected fpg or plain: .*guidance needs a feature map"):
            config.check()
    else:
        config.check()
