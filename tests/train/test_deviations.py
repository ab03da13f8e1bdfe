"""docs/method.md's table of deviations against the configuration: every default is the release's, or stands in the table."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from fpg.cli.train import parse_command
from fpg.pairs.draws import FINISHING
from fpg.train.config import TrainConfig
from fpg.train.methods import describe_method, resolve_method

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
RELEASED: dict[str, Any] = {
    "epochs": 50,
    "batch": 128,
    "frames_per_video": 8,
    "val_frames_per_video": 8,
    "keep_top": 8,
    "quality": "SDD-FIQA",
    "precision": "mixed",
    "fakes": "self-blended",
    "batch_statistics": "batch",
    "model.backbone": "tf_efficientnet_b4.ap_in1k",
    "model.image_size": 380,
    "model.heads": "fpg",
    "model.pretrained": True,
    "model.dropout": 0.4,
    "model.drop_connect": 0.2,
    "model.bn_momentum": 0.01,
    "model.bn_eps": None,
    "model.padding": "backbone",
    "model.quality_width": 512,
    "model.attention_width": 256,
    "model.normalization": "auto",
    "augment.mirror_probability": 0.5,
    "augment.only_68_probability": 0.25,
    "augment.recolor_source_probability": 0.5,
    "augment.families": ("facehull", "dfl_full", "components", "extended"),
    "augment.rgb_shift": 20,
    "augment.rgb_shift_probability": 0.3,
    "augment.hsv_shift": 0.3,
    "augment.copy_hsv_probability": 1.0,
    "augment.copy_contrast": 0.1,
    "augment.copy_brightness": 0.1,
    "augment.copy_contrast_probability": 1.0,
    "augment.sharpen_probability": 0.5,
    "augment.down_scales": (2, 4),
    "augment.sharpen_amount": (0.2, 0.5),
    "augment.sharpen_lightness": (0.5, 1.0),
    "augment.scale": (0.95, 1 / 0.95),
    "augment.translate_x": 0.03,
    "augment.translate_y": 0.015,
    "augment.elastic_alpha": 50.0,
    "augment.elastic_sigma": 7.0,
    "augment.feather_size": (192, 256),
    "augment.feather_kernel": (5, 25),
    "augment.feather_sigma": (5, 45),
    "augment.ratios": (0.25, 0.5, 0.75, 1.0, 1.0, 1.0),
    "augment.shared_hsv_probability": 0.3,
    "augment.shared_contrast": 0.3,
    "augment.shared_brightness": 0.3,
    "augment.shared_contrast_probability": 0.3,
    "augment.blend_rounding": "released",
    "augment.jpeg_quality": (40, 100),
    "augment.jpeg_probability": 0.5,
    "guidance.shape": True,
    "guidance.threshold": 0.2,
    "guidance.certainty": 0.5,
    "guidance.erosion": "released",
    "guidance.erosion_kernel": (10, 14),
    "guidance.feather_size": (192, 256),
    "guidance.feather_kernel": (17, 25),
    "guidance.feather_sigma": (15, 45),
    "guidance.magnitude": True,
    "guidance.eps": 0.01,
    "guidance.step_probability": 0.5,
    "loss.similarity": 0.075,
    "loss.quality": 1.0,
    "loss.over": "selected",
    "loss.class_weights": (1.0, 1.0),
    "optim.name": "adamw",
    "optim.lr": 1e-4,
    "optim.beta1": 0.9,
    "optim.beta2": 0.98,
    "optim.eps": 1e-6,
    "optim.weight_decay": 0.2,
    "optim.schedule": "linear",
    "optim.constant": 0.75,
    "optim.decay_norm_bias": True,
}
"""What the released code trains with (its training script and the constants of its data pipeline)."""
OFF: dict[str, Any] = {
    "accumulate": 1,
    "repeat": 1,
    "ema": 0.0,
    "freeze": [],
    "freeze_stages": 0,
    "patience": 0,
    "model.train_only": [],
    **{f"augment.{section}.probability": 0.0 for section in ("part", *FINISHING)},
    "optim.layer_decay": 1.0,
    "optim.sam": False,
    "optim.warmup_epochs": 0.0,
    "model.global_pool": None,
    "model.mean": None,
    "model.std": None,
}
"""What the release does not have, and the value that leaves it out."""
NO_MATTER_OF_LEARNING = {
    *("out", "data", "method", "seed", "device", "channels_last", "compile", "grad_checkpointing", "cuda_graphs", "deterministic"),
    *("workers", "threads", "checkpoint_steps", "log_steps", "tracker", "pictures", "picture_epochs", "optim.fused"),
    *("keep", "optim.momentum", "optim.sam_rho"),  # `keep` stands in the second table; the others are of what is off
}


def fields(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            yield from fields(inner, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, inner


DEFAULTS = dict(fields(TrainConfig(out="run")))
TABLE = {
    field: (released, here)
    for field, released, here in re.findall(r"^\| `([\w.]+)` \| ([^|]+?) \| ([^|]+?) \|", TEXT[TEXT.index("## Deviations") :], re.MULTILINE)
}


def test_the_table_is_every_default_that_differs_and_no_other() -> None:
    differing = {name: value for name, value in RELEASED.items() if DEFAULTS[name] != value}
    assert {name: released for name, (released, _) in TABLE.items()} == {name: str(value) for name, value in differing.items()}
    assert {name: here for name, (_, here) in TABLE.items()} == {name: str(DEFAULTS[name]) for name in differing}


def test_what_the_release_does_not_have_is_off() -> None:
    assert {name: DEFAULTS[name] for name in OFF} == OFF


def test_no_field_was_left_uncompared() -> None:
    inner = {name for name in DEFAULTS if name.startswith("augment.") and name.count(".") == 2}  # of what is off
    assert set(DEFAULTS) - inner - set(RELEASED) - set(OFF) - NO_MATTER_OF_LEARNING == set()


def test_paper_yaml_is_the_release_as_far_as_it_is_configuration() -> None:
    path = ROOT / "configs" / "paper.yaml"
    config, _ = parse_command(["--config", str(path), "--data", "d", "--out", "run"])
    found = dict(fields(config))
    changed = {name: value for name, value in found.items() if value != DEFAULTS[name]}
    assert changed == {"data": ["d"], "batch": 128, "accumulate": 4, "keep_top": 8}
    assert {name: found[name] for name in TABLE if name not in ("quality", "precision")} == {"batch": 128, "keep_top": 8}
    written = yaml.safe_load(path.read_text())
    assert {name for name, value in fields(config) if "." not in name} >= set(written) - {"model", "guidance", "loss", "optim"}


def test_sbi_published_is_its_recipe_and_sbi_is_named_what_it_is() -> None:
    config = resolve_method(TrainConfig(out="run", data=["d"], method="sbi-published"))
    config.check()
    optim = config.optim
    assert (config.epochs, config.batch, config.model.heads, config.loss.over) == (100, 32, "plain", "all")
    assert (optim.name, optim.lr, optim.momentum, optim.weight_decay, optim.sam, optim.sam_rho) == ("sgd", 1e-3, 0.9, 0.0, True, 0.05)
    assert "SAM (rho 0.05) over SGD, 100 epochs, cross-entropy over all images" in describe_method(config)
    assert describe_method(resolve_method(TrainConfig(out="run", data=["d"], method="sbi"))).startswith("SBI's data in FPG's recipe")
