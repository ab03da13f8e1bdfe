"""Learning-rate schedules, groups of parameters, freezing, class weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from interrupted_runs import terminated_after
from safetensors.torch import load_file
from torch import nn
from whole_loss import fpg_loss

from fpg.cli.train import parse_command
from fpg.common.errors import UsageError
from fpg.guidance.losses import LossConfig
from fpg.models.config import DetectorConfig
from fpg.models.detector import Detector, DetectorOutput
from fpg.train.config import ModelConfig, OptimConfig, TrainConfig
from fpg.train.distributed import ALONE
from fpg.train.loop import train
from fpg.train.optimizer import build_optimizer, freeze, frozen_modules, layer_scales, parameter_groups
from fpg.train.schedule import learning_rate, set_learning_rate
from fpg.train.setup import build_learner
from fpg.train.state import read

Tiny = Callable[..., TrainConfig]
SMALL = DetectorConfig(backbone="test_efficientnet", image_size=64, quality_width=16, attention_width=8)
VIT = DetectorConfig(backbone="test_vit", image_size=160, quality_width=16, attention_width=8)


def test_cosine_follows_torchs_after_a_linear_warm_up() -> None:
    epochs, steps, warmup = 6, 5, 2
    config = OptimConfig(lr=0.3, schedule="cosine", warmup_epochs=warmup)
    rates = [learning_rate(config, step // steps, epochs, step % steps, steps) for step in range(epochs * steps)]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, (epochs - warmup) * steps)
    assert rates[: warmup * steps] == pytest.approx([0.3 * (k + 1) / (warmup * steps) for k in range(warmup * steps)])
    for rate in rates[warmup * steps :]:
        assert rate == pytest.approx(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()
    assert 0 < rates[-1] < 0.02


def test_warm_up_of_part_of_an_epoch_leaves_the_rest_of_the_methods_schedule_alone() -> None:
    plain, warm = OptimConfig(), OptimConfig(warmup_epochs=0.5)
    ratios = [learning_rate(warm, e, 8, s, 4) / learning_rate(plain, e, 8, s, 4) for e in range(8) for s in range(4)]
    assert ratios == [0.5] + [1.0] * 31


def test_without_options_there_is_one_group_with_the_recipes_decay() -> None:
    model = Detector(SMALL)
    (group,) = parameter_groups(OptimConfig(), model)
    assert group["params"] == list(model.parameters())
    assert (group["lr_scale"], group["weight_decay"]) == (1.0, 0.2)


@pytest.mark.parametrize("config", [SMALL, VIT], ids=["cnn", "vit"])
def test_no_decay_on_norms_biases_and_positions(config: DetectorConfig) -> None:
    model = Detector(config)
    decays = {
        id(p): group["weight_decay"] for group in parameter_groups(OptimConfig(decay_norm_bias=False), model) for p in group["params"]
    }
    norms = (nn.LayerNorm, nn.modules.batchnorm._BatchNorm)
    spared = {id(p) for m in model.modules() if isinstance(m, norms) for p in m.parameters(recurse=False)}
    spared |= {id(p) for name, p in model.named_parameters() if name.endswith((".bias", "pos_embed", "cls_token", "reg_token"))}
    assert {key for key, decay in decays.items() if decay == 0} == spared
    assert set(decays.values()) == {0.0, 0.2}
    assert len(decays) == len([p for p in model.parameters() if p.requires_grad])


@pytest.mark.parametrize("config", [SMALL, VIT], ids=["cnn", "vit"])
def test_layer_decay_grows_from_the_stem_to_the_heads(config: DetectorConfig) -> None:
    model = Detector(config)
    scales = layer_scales(model, 0.5)
    assert set(scales) == {name for name, _ in model.named_parameters() if name.startswith("backbone.net.")}
    exponents = [math.log(scale, 0.5) for scale in scales.values()]
    assert sorted({round(e) for e in exponents}) == list(range(1, round(max(exponents)) + 1))
    stem = "backbone.net.conv_stem.weight" if config is SMALL else "backbone.net.patch_embed.proj.weight"
    assert scales[stem] == min(scales.values())

    optimizer = build_optimizer(OptimConfig(layer_decay=0.5), model)
    set_learning_rate(optimizer, 0.1)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert all(rates[id(p)] == 0.1 * scales.get(name, 1.0) for name, p in model.named_parameters() if p.requires_grad)
    assert rates[id(model.classifier.weight)] == 0.1


def test_freezing_by_stage_name_and_pattern() -> None:
    def frozen(*patterns: str, stages: int = 0) -> set[str]:
        model = Detector(SMALL)
        freeze(model, patterns, stages)
        return {name for name, p in model.named_parameters() if not p.requires_grad}

    names = {name for name, _ in Detector(SMALL).named_parameters()}
    assert frozen() == set()
    assert frozen("backbone") == {name for name in names if name.startswith("backbone.")}
    assert frozen("*.bias", "classifier.weight") == {name for name in names if name.endswith(".bias") or name == "classifier.weight"}
    stem = ("backbone.net.conv_stem.", "backbone.net.bn1.")
    assert frozen(stages=2) == {name for name in names if name.startswith((*stem, "backbone.net.blocks.0.", "backbone.net.blocks.1."))}
    for patterns, stages, named in (
        (("backbon",), 0, "freeze: .*'backbon'"),
        (("*",), 0, "freeze: .*everything"),
        ((), 99, "freeze_stages: "),
    ):
        with pytest.raises(UsageError, match=named):
            frozen(*patterns, stages=stages)


def test_frozen_parts_keep_weights_and_statistics_and_the_rest_learns(tiny: Tiny) -> None:
    config = tiny(epochs=1, freeze_stages=2, freeze=["attention"], ema=0.5)
    before = {name: value.clone() for name, value in build_learner(config, torch.device("cpu"), ALONE).model.state_dict().items()}
    after = load_file(train(config))
    still = ("backbone.net.conv_stem.", "backbone.net.bn1.", "backbone.net.blocks.0.", "backbone.net.blocks.1.", "attention.")
    for name, value in after.items():
        if name.startswith(still):
            assert torch.equal(value, before[name]), name
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert {"classifier.weight", "backbone.net.conv_head.weight", "backbone.net.bn2.running_mean"} <= moved


def test_frozen_modules_stay_in_evaluation_mode(tiny: Tiny) -> None:
    learner = build_learner(tiny(freeze=["backbone.net.blocks"]), torch.device("cpu"), ALONE)
    assert frozen_modules(learner.model) == [learner.model.backbone.net.blocks]
    learner.train()
    assert not any(module.training for module in learner.model.backbone.net.blocks.modules())
    assert learner.model.training
    assert learner.model.backbone.net.bn2.training


def random_output(n: int, seed: int) -> tuple[DetectorOutput, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    output = DetectorOutput(torch.randn(2 * n, 2, requires_grad=True), torch.randn(2 * n), torch.randn(2 * n, 3, 4, 4))
    return output, torch.rand(n, 1, 8, 8) + 0.1, torch.rand(2 * n)


def test_class_weights_are_torchs_weighted_mean() -> None:
    output, mask, target = random_output(5, torch.initial_seed())
    mask[3] = 0  # a pair that is not selected
    chosen = torch.tensor([0, 1, 2, 4])
    both = torch.cat([chosen, chosen + 5])
    loss = fpg_loss(output, mask, target, LossConfig(class_weights=(3.0, 0.5))).classification
    labels = torch.arange(2).repeat_interleave(4)
    assert loss is not None
    expected = F.cross_entropy(output.logits[both].detach(), labels, weight=torch.tensor([3.0, 0.5]))
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    same = [fpg_loss(output, mask, target, LossConfig(class_weights=weights)).total for weights in ((1.0, 1.0), (7.0, 7.0))]
    assert same[0] is not None
    assert torch.equal(same[0], same[1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"optim": OptimConfig(warmup_epochs=2)}, "optim.warmup_epochs: expected fewer than the 2 epochs, got 2"),
        ({"optim": OptimConfig(warmup_epochs=-1)}, "optim.warmup_epochs: .*got -1"),
        ({"optim": OptimConfig(layer_decay=0)}, r"optim.layer_decay: expected a factor in \(0, 1\], got 0"),
        ({"optim": OptimConfig(layer_decay=1.5)}, "optim.layer_decay"),
        ({"freeze_stages": -1}, "freeze_stages: expected a number in 0..1024, got -1"),
        ({"patience": -1}, "patience: expected .*, got -1"),
        ({"keep_top": -2}, "keep_top: expected .*, got -2"),
    ],
)
def test_bad_values_are_named(tiny: Tiny, changes: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        tiny(**changes).check()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--loss.class_weights", "[0, 1]"], "class_weights: expected two numbers > 0"),
        (["--optim.schedule", "step"], "optim.schedule"),
        (["--keep", "first"], "keep"),
    ],
)
def test_bad_words_are_named(arguments: list[str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        parse_command(["--data", "a", "--out", "r", *arguments])


def test_options_are_read_from_flags() -> None:
    config, _ = parse_command(
        ["--data", "a", "--out", "r", "--freeze", "[backbone.net.conv_stem, '*.bias']", "--loss.class_weights", "[2, 1]", "--keep", "best"]
    )
    assert config.freeze == ["backbone.net.conv_stem", "*.bias"]
    assert config.loss.class_weights == (2.0, 1.0)
    assert config.keep == "best"


def test_resume_is_exact_with_layer_decay_cosine_and_freezing(tiny: Tiny, tmp_path: Path) -> None:
    optim = OptimConfig(lr=3e-3, schedule="cosine", warmup_epochs=0.5, layer_decay=0.8, decay_norm_bias=False)
    config = tiny(optim=optim, freeze_stages=1, loss=LossConfig(class_weights=(1.0, 2.0)), epochs=2)
    whole = train(dataclasses.replace(config, out=str(tmp_path / "whole")))
    with terminated_after(2), pytest.raises(SystemExit):
        train(config)
    groups = read(Path(config.out) / "checkpoints/last.pt")["optimizer"]["param_groups"]
    assert len({group["lr_scale"] for group in groups}) > 2
    assert {group["weight_decay"] for group in groups} == {0.0, 0.2}
    resumed = load_file(train(config, resume=True))
    assert all(torch.equal(value, resumed[name]) for name, value in load_file(whole).items())


def test_class_weights_reach_the_step(tiny: Tiny) -> None:
    weights = [
        load_file(train(tiny(epochs=1, out=f"{tiny().out}{k}", loss=LossConfig(class_weights=w))))
        for k, w in enumerate([(1.0, 1.0), (5.0, 1.0), (10.0, 2.0)])
    ]
    assert not torch.equal(weights[0]["classifier.weight"], weights[1]["classifier.weight"])
    assert torch.allclose(weights[1]["classifier.weight"], weights[2]["classifier.weight"])


def test_a_frozen_vit_trains(tiny: Tiny) -> None:
    model = ModelConfig(backbone="test_vit", image_size=160, pretrained=False, quality_width=16, attention_width=8)
    path = train(tiny(model=model, epochs=1, freeze=["backbone"], optim=OptimConfig(lr=1e-3, decay_norm_bias=False)))
    assert path.is_file()
