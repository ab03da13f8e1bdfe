"""Import of published weights by their key names: FPG (ACM MM 2024), SBI (CVPR 2022) and the quality network of SDD-FIQA.

FPG and SBI files are `{"model": state dict, "optimizer": ..., "epoch": ...}`, FIQA's is a bare state dict; a prefix `module.`
is taken off. Files are read with `weights_only=True`: nothing in them runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from fpg.common.errors import InputError
from fpg.models.detector import Detector, DetectorConfig
from fpg.models.efficientnet_keys import foreign_names
from fpg.models.fiqa import Fiqa
from fpg.models.weights import KeyReport, compare, read_state

Kind = Literal["fpg", "sbi", "fiqa"]
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_FPG_HEADS = {
    "irr_block.0.conv1.weight": "quality_features.0.weight",
    "irr_block.0.pointwise.weight": "quality_features.1.weight",
    **{f"irr_block.1.{name}": f"quality_features.2.{name}" for name in _NORM},
    "fc.weight": "quality.weight",
    "fc.bias": "quality.bias",
    "c_attn.0.weight": "attention.0.weight",
    "c_attn.2.weight": "attention.2.weight",
    "_fc.weight": "classifier.weight",
    "_fc.bias": "classifier.bias",
}
_SBI_HEADS = {"net._fc.weight": "classifier.weight", "net._fc.bias": "classifier.bias"}


def kind_of(state: Mapping[str, Tensor]) -> Kind | None:
    """Which published network a state dict belongs to, by its key names; None for none of them."""
    if "input_layer.0.weight" in state and "quality.3.weight" in state:
        return "fiqa"
    if "net._conv_stem.weight" not in state:
        return None
    if "net._fc.weight" in state:
        return "sbi"
    return "fpg" if "_fc.weight" in state else None


def import_checkpoint(path: str | os.PathLike[str]) -> tuple[Detector | Fiqa, KeyReport]:
    """The network of a published file, on the CPU in evaluation mode.

    Args:
        path: a `.pth`, `.tar`, `.pt` or `.safetensors` file with the published key names.

    Returns:
        A `Detector` (FPG with both branches; SBI with `heads="plain"`) or a `Fiqa`, and the account of the file's keys: only
        `extra` can be non-empty (tensors in the file that no part of the network asks for).

    Raises:
        InputError: unreadable, holding code, none of the three networks, or with keys missing or of another shape (all
            counted, the first named).
    """
    state = read_state(path)
    kind = kind_of(state)
    if kind is None:
        raise InputError(path, f"holds none of the published networks FPG, SBI or FIQA (first keys: {', '.join(list(state)[:3])})")
    model: Detector | Fiqa = Fiqa() if kind == "fiqa" else Detector(DetectorConfig(heads="fpg" if kind == "fpg" else "plain"))
    names = _names(model)
    report = _account(model, names, state)
    if report.missing or report.mismatched:
        raise InputError(path, f"does not fit the published {kind.upper()} network: {report}")
    model.load_state_dict({own: state[name] for name, own in names.items()})
    return model.eval(), report


def _names(model: Detector | Fiqa) -> dict[str, str]:
    """The file's name -> ours, for every tensor of the network."""
    if isinstance(model, Fiqa):
        return {name: name for name in model.state_dict()}
    backbone = {f"net.{theirs}": f"backbone.net.{ours}" for theirs, ours in foreign_names(model.backbone.net).items()}
    return backbone | (_FPG_HEADS if model.config.heads == "fpg" else _SBI_HEADS)


def _account(model: nn.Module, names: Mapping[str, str], state: Mapping[str, Tensor]) -> KeyReport:
    """`compare` in the file's names."""
    report = compare(model, {names.get(name, name): tensor for name, tensor in state.items()})
    theirs = {own: name for name, own in names.items()}
    mismatched = tuple(" ".join([theirs[text.split(" ", 1)[0]], text.split(" ", 1)[1]]) for text in report.mismatched)
    return KeyReport(tuple(theirs[name] for name in report.missing), report.extra, mismatched)
