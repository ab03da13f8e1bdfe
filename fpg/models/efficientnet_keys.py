"""Names of EfficientNet's tensors: those of the `efficientnet_pytorch` package and timm's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timm.models.efficientnet import EfficientNet
from torch import Tensor

_OUTER = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
_SQUEEZE = {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
_EXPANDED = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
} | _SQUEEZE
_SEPARABLE = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"} | _SQUEEZE


def is_foreign(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of `efficientnet_pytorch`."""
    return "_conv_stem.weight" in state


def foreign_names(net: EfficientNet) -> dict[str, str]:
    """`efficientnet_pytorch`'s name -> timm's, for every tensor of timm's network, in its order."""
    stages: Any = net.blocks
    blocks = [(f"blocks.{s}.{i}.", block) for s, stage in enumerate(stages) for i, block in enumerate(stage)]
    numbers = {prefix: (number, _EXPANDED if hasattr(block, "conv_pwl") else _SEPARABLE) for number, (prefix, block) in enumerate(blocks)}
    return {_foreign(name, numbers): name for name in net.state_dict()}


def _foreign(name: str, numbers: dict[str, tuple[int, dict[str, str]]]) -> str:
    layer, _, tensor = name.rpartition(".")
    if not name.startswith("blocks."):
        return f"{_OUTER[layer]}.{tensor}"
    _, stage, index, inner = layer.split(".", 3)
    number, names = numbers[f"blocks.{stage}.{index}."]
    return f"_blocks.{number}.{names[inner]}.{tensor}"


def to_timm(state: Mapping[str, Tensor], net: EfficientNet) -> dict[str, Tensor]:
    """Rename a state dict of `efficientnet_pytorch` for timm's network.

    Args:
        state: tensors by their foreign names, without prefix; the classifier becomes `classifier`, unknown names stay.
        net: timm's network, with or without classifier.
    """
    names = foreign_names(net) | {f"_fc.{tensor}": f"classifier.{tensor}" for tensor in ("weight", "bias")}
    return {names.get(name, name): tensor for name, tensor in state.items()}
