"""Methods that can be compared: each is a name for switches of `TrainConfig`, so that trainer, data and budget stay the same.

`fpg` is FPG (ACM MM 2024). `sbi` is SBI's data in FPG's recipe: the same network and optimiser on the same self-blended pairs (SBI, CVPR
2022), without what FPG adds; `sbi-sam` does so with sharpness-aware minimisation (SAM, ICLR 2021); `plain-sbi` has SBI's network, a bare
backbone with a linear layer. `sbi-published` is SBI's own recipe: that network, SAM over SGD, 100 epochs, cross-entropy over all images.
`real-fake` learns from given fakes, as a plain classifier does.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from fpg.train.config import TrainConfig


@dataclass(frozen=True)
class Method:
    """One method of comparison."""

    words: str
    """For provenance; fields of the config in braces."""
    switches: dict[str, Any]
    """Fields of `TrainConfig` that it sets, by dotted name."""


_ALONE = {"guidance.shape": False, "guidance.magnitude": False, "loss.similarity": 0.0, "loss.quality": 0.0}
_IN_FPG = (
    "SBI's data in FPG's recipe: self-blended images (SBI, CVPR 2022) in the network of FPG, without guidance, classification loss only"
)
_PUBLISHED = {
    "model.heads": "plain",
    "epochs": 100,
    "batch": 32,
    "optim.name": "sgd",
    "optim.lr": 1e-3,
    "optim.momentum": 0.9,
    "optim.weight_decay": 0.0,
    "optim.sam": True,
    "optim.sam_rho": 0.05,
    "optim.schedule": "linear",
    "optim.constant": 0.75,
    "loss.over": "all",
}
"""The recipe that SBI's released code trains with."""

METHODS: dict[str, Method] = {
    "fpg": Method("FPG (ACM MM 2024)", {}),
    "sbi": Method(_IN_FPG, _ALONE),
    "sbi-sam": Method(_IN_FPG + ", with SAM (rho {optim.sam_rho:g})", {**_ALONE, "optim.sam": True}),
    "plain-sbi": Method(
        "self-blended images (SBI, CVPR 2022) in a bare {model.backbone} with a linear head", {**_ALONE, "model.heads": "plain"}
    ),
    "sbi-published": Method(
        "SBI (CVPR 2022) as published: self-blended images in a bare {model.backbone} with a linear head, SAM (rho {optim.sam_rho:g}) over "
        "SGD, {epochs} epochs, cross-entropy over all images",
        {**_ALONE, **_PUBLISHED},
    ),
    "real-fake": Method("real faces against given fakes, in the network of FPG, classification loss only", {**_ALONE, "fakes": "given"}),
}
PARTS = {
    "guidance.shape": "shape refinement",
    "guidance.magnitude": "magnitude refinement",
    "loss.similarity": "similarity loss",
    "loss.quality": "quality loss",
}
"""What FPG adds to self-blended images, and the fields that switch it off."""


def resolve_method(config: TrainConfig) -> TrainConfig:
    """The config with the switches of its method set; they win over what the config says. Resolving twice changes nothing.

    A linear layer on what the backbone pools itself is as bare as `plain`, and stays.
    """
    for name, value in METHODS[config.method].switches.items():
        if name == "model.heads" and not config.model.has_map:
            continue
        config = _replace(config, name.split("."), value)
    return config


def describe_method(config: TrainConfig) -> str:
    """What a resolved config trains, in words."""
    text = METHODS[config.method].words.format(**{f.name: getattr(config, f.name) for f in dataclasses.fields(config)})
    if config.method != "fpg":
        return text
    off = [words for name, words in PARTS.items() if not _get(config, name)]
    if len(off) == len(PARTS):
        return _IN_FPG
    changes = [f"without {' and '.join(off)}"] if off else []
    if config.guidance.shape and config.guidance.erosion == "intended":
        changes.append("with the intended erosion")
    if config.optim.sam:
        changes.append(f"with SAM (rho {config.optim.sam_rho:g})")
    return ", ".join([text, *changes])


def _get(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part)
    return config


def _replace(config: Any, path: list[str], value: Any) -> Any:
    inner = value if len(path) == 1 else _replace(getattr(config, path[0]), path[1:], value)
    return dataclasses.replace(config, **{path[0]: inner})
