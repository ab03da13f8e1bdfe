"""The optimiser: AdamW or SGD, its groups of parameters, and what is not trained at all."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

import torch
from timm.models import group_parameters
from torch import nn

from fpg.common.errors import UsageError
from fpg.models.backbones import NET_PREFIX
from fpg.models.detector import Detector
from fpg.train.config import OptimConfig


def build_optimizer(config: OptimConfig, model: Detector) -> torch.optim.Optimizer:
    """The optimiser of the recipe, over what is trained.

    Raises:
        UsageError: layer decay for a backbone whose layers have no order.
    """
    groups, fused = parameter_groups(config, model), config.fused == "auto" or config.fused
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=fused)
    betas = (config.beta1, config.beta2)
    return torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=config.eps, weight_decay=config.weight_decay, fused=fused)


def parameter_groups(config: OptimConfig, model: Detector) -> list[dict[str, Any]]:
    """Parameters that are trained, in groups of one weight decay and one `lr_scale`, the factor of their learning rate.

    Layer decay (Clark et al., ELECTRA, ICLR 2020) follows timm's order of the layers; what lies behind the backbone has the full rate.
    """
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    scales = {} if config.layer_decay == 1 else layer_scales(model, config.layer_decay)
    exempt = set() if config.decay_norm_bias else _without_decay(model)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trained:
        key = (scales.get(name, 1.0), 0.0 if name in exempt else config.weight_decay)
        groups.setdefault(key, []).append(parameter)
    return [{"params": params, "lr_scale": scale, "weight_decay": decay} for (scale, decay), params in groups.items()]


def layer_scales(model: Detector, decay: float) -> dict[str, float]:
    """Factor of the learning rate of each of the backbone's parameters: decay ** (layers between it and the heads).

    The backbone's last layer is one away from the heads.
    """
    layers = _layers(model, coarse=False, option="optim.layer_decay")
    last = max(layers.values())
    return {name: decay ** (last - layer + 1) for name, layer in layers.items()}


def freeze(model: Detector, patterns: Sequence[str], stages: int, only: Sequence[str] = ()) -> None:
    """Take parameters out of training (`requires_grad`), by name and by stage.

    Args:
        model: the detector.
        patterns: names, beginnings of names up to a dot, or shell patterns (`backbone`, `backbone.net.blocks.0`, `*.bias`); or `norms`,
            the backbone's normalisation layers, and `heads`, all behind the backbone.
        stages: freeze the backbone's stem and this many stages after it (timm's coarse groups); 0 freezes none.
        only: likewise names; where there are any, all other parameters are frozen, too.

    Raises:
        UsageError: a pattern that names no parameter, more stages than there are, or nothing is left to train.
    """
    names = dict(model.named_parameters())
    frozen = {name for pattern in patterns for name in _named(model, pattern, "freeze")}
    if only:
        frozen |= set(names) - {name for pattern in only for name in _named(model, pattern, "model.train_only")}
    for name in frozen:
        names[name].requires_grad_(False)
    if stages:
        groups = _layers(model, coarse=True, option="freeze_stages")
        last = max(groups.values())
        if stages > last:
            raise UsageError(f"freeze_stages: {model.config.backbone} has {last} stages after its stem, expected 0..{last}, got {stages}")
        for name, group in groups.items():
            if group <= stages:
                names[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in names.values()):
        kept = f" with model.train_only {list(only)}" if only else ""
        raise UsageError(f"freeze: expected something left to train, got {list(patterns)}{kept}, which freezes everything")


def _named(model: Detector, pattern: str, option: str) -> list[str]:
    """Names of the parameters that a word of `freeze` or `model.train_only` means.

    Raises:
        UsageError: it means none.
    """
    names = [name for name, _ in model.named_parameters()]
    if pattern == "heads":
        return [name for name in names if not name.startswith("backbone.")]
    if pattern == "norms":
        found = [
            f"backbone.{module}.{name}"
            for module, part in model.backbone.named_modules()
            if "norm" in type(part).__name__.lower()
            for name, _ in part.named_parameters(recurse=False)
        ]
    else:
        found = [name for name in names if name == pattern or name.startswith(f"{pattern}.") or fnmatch.fnmatchcase(name, pattern)]
    if not found:
        raise UsageError(f"{option}: expected norms, heads, or names of parameters such as {names[0]} or backbone, got {pattern!r}")
    return found


def checkpoint_gradients(model: Detector) -> None:
    """Let the backward pass compute the backbone's blocks again instead of keeping what they computed.

    Raises:
        UsageError: timm has no such thing for this backbone.
    """
    net = model.backbone.net
    try:
        net.set_grad_checkpointing(True)
    except (AttributeError, AssertionError, TypeError) as error:
        raise UsageError(f"grad_checkpointing: timm has none for {model.config.backbone}; leave it out") from error


def frozen_modules(model: nn.Module) -> list[nn.Module]:
    """The largest modules all of whose parameters are frozen: they stay in evaluation mode, so that their statistics stay too."""
    parameters = list(model.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        return [model]
    return [found for child in model.children() for found in frozen_modules(child)]


def _layers(model: Detector, coarse: bool, option: str) -> dict[str, int]:
    """Position of each of the backbone's parameters, counted from 0 at the stem; `coarse` counts stages instead of blocks."""
    net = model.backbone.net
    if not hasattr(net, "group_matcher"):
        raise UsageError(f"{option}: timm does not say how the layers of {model.config.backbone} follow each other; leave it out")
    layers = group_parameters(net, net.group_matcher(coarse=coarse), reverse=True)
    return {NET_PREFIX + name: layer for name, layer in layers.items()}


def _without_decay(model: Detector) -> set[str]:
    """Biases, normalisations (all vectors), and what timm lists for the network (position embeddings, class tokens)."""
    net = model.backbone.net
    listed = {NET_PREFIX + name for name in (net.no_weight_decay() if hasattr(net, "no_weight_decay") else ())}
    return {name for name, parameter in model.named_parameters() if parameter.ndim <= 1 or name in listed}
