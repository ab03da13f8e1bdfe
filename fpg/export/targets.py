"""What a detector can be exported to. A new target is one file with `SUFFIX`, `PRECISIONS` and `write`, and one line here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from fpg.common.errors import UsageError
from fpg.models.detector import Detector

_MODULES = {
    "onnx": "fpg.export.onnx",
    "openvino": "fpg.export.openvino",
}
"""Target (its name is the backend of the spec) -> module."""

PLANNED = ("tensorrt", "tensorrt-rtx")
"""Targets whose place is kept."""

TARGETS = (*_MODULES, *PLANNED)


class Target(Protocol):
    """What a target's module has."""

    SUFFIX: str
    """Of the model file."""
    PRECISIONS: tuple[str, ...]
    """Those it can write."""

    def write(self, detector: Detector, path: Path, precision: str) -> None:
        """Write the model file at `path` and what belongs to it beside it, in an empty folder. Two outputs, any batch."""


def target(name: str, precision: str) -> Target:
    """The module of a target.

    Raises:
        UsageError: unknown, planned, or without that precision.
        MissingDependencyError: a package it needs is not installed.
    """
    if name in PLANNED:
        raise UsageError(f"--to {name}: not in this version; export to onnx, which TensorRT's own tools can build from")
    if name not in _MODULES:
        raise UsageError(f"--to: expected one of {', '.join(TARGETS)}, got {name}")
    module = cast(Target, importlib.import_module(_MODULES[name]))
    if precision not in module.PRECISIONS:
        raise UsageError(f"--precision: {name} has {', '.join(module.PRECISIONS)}, got {precision}")
    return module
