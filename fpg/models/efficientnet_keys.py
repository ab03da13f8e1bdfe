"""Names of EfficientNet's tensors: from those of the `efficientnet_pytorch` package to timm's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from timm.models.efficientnet import EfficientNet
from torch import Tensor

_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_SQUEEZE = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
} | _SQUEEZE
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"} | _SQUEEZE
_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")


def is_foreign(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of `efficientnet_pytorch`."""
    return "_conv_stem.weight" in state


def to_timm(state: Mapping[str, Tensor], net: EfficientNet) -> dict[str, Tensor]:
    """Rename a state dict of `efficientnet_pytorch` for timm's network; names without a counterpart stay as they are.

    Args:
        state: tensors by their foreign names, without prefix.
        net: says how many blocks each stage has.
    """
    stages: Any = net.blocks
    places = [(s, i, hasattr(block, "conv_pwl")) for s, stage in enumerate(stages) for i, block in enumerate(stage)]
    return {_rename(name, places): tensor for name, tensor in state.items()}


def _rename(name: str, places: list[tuple[int, int, bool]]) -> str:
    if match := _BLOCK.fullmatch(name):
        number, layer, tensor = int(match[1]), match[2], match[3]
        if number < len(places):
            stage, index, expanded = places[number]
            names = _EXPANDED if expanded else _SEPARABLE
            if layer in names:
                return f"blocks.{stage}.{index}.{names[layer]}.{tensor}"
        return name
    layer, _, tensor = name.partition(".")
    return f"{_OUTER[layer]}.{tensor}" if layer in _OUTER else name
