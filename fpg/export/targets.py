"""What a network can be exported to. A new target is one file with `SUFFIX`, `PRECISIONS` and `write`, and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from fpg.common.errors import UsageError
from fpg.export.graph import ExportNetwork

_MODULES = {
    "onnx": "fpg.export.onnx",
    "openvino": "fpg.export.openvino",
    "tensorrt": "fpg.export.tensorrt",
    "tensorrt-rtx": "fpg.export.tensorrt",
}
"""Target (its name is the backend of the spec) -> module."""

TARGETS = tuple(_MODULES)


@dataclass(frozen=True)
class BuildOptions:
    """What only TensorRT engines have; see `fpg.export.tensorrt.build`."""

    batches: Sequence[int] = (1, 8, 32)
    timing_cache: Path | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False

    def __post_init__(self) -> None:
        if not self.batches or list(self.batches) != sorted(set(self.batches)) or self.batches[0] < 1:
            raise UsageError(f"--batch: expected rising numbers >= 1, got {','.join(map(str, self.batches))}")


class Target(Protocol):
    """What a target's module has."""

    SUFFIX: str
    """Of the model file."""
    PRECISIONS: tuple[str, ...]
    """Those it can write."""

    def write(
        self, network: ExportNetwork, path: Path, precision: str, calibration: np.ndarray | None = None, step: int = 0
    ) -> dict[str, Any] | None:
        """Write the model file at `path` and what belongs to it next to it, in an empty folder. Two outputs, any batch.

        Args:
            calibration: images to measure ranges on, for `fpg.export.quantize.CALIBRATED` precisions.
            step: what is quantised then, an index into `fpg.export.quantize.STEPS`.

        Returns:
            `EngineSpec.build`.
        """


class _TensorRt:
    """TensorRT's module, for one of its two packages."""

    def __init__(self, module: Any, name: str, options: BuildOptions) -> None:
        self.SUFFIX, self.PRECISIONS = module.SUFFIX, module.PRECISIONS
        self._module, self._name, self._options = module, name, options

    def write(
        self, network: ExportNetwork, path: Path, precision: str, calibration: np.ndarray | None = None, step: int = 0
    ) -> dict[str, Any]:
        """See `Target`."""
        build: dict[str, Any] = self._module.write(network, path, precision, calibration, step, self._name, **vars(self._options))
        return build


def target(name: str, precision: str, options: BuildOptions | None = None) -> Target:
    """The module of a target.

    Raises:
        UsageError: unknown, or without that precision or those options.
        MissingDependencyError: a package it needs is not installed.
    """
    if name not in _MODULES:
        raise UsageError(f"--to: expected one of {', '.join(TARGETS)}, got {name}")
    if options is not None and not name.startswith("tensorrt"):
        raise UsageError(f"--batch and the options of TensorRT engines: --to {name} has none of them; it takes any batch")
    module = importlib.import_module(_MODULES[name])
    if precision not in module.PRECISIONS:
        raise UsageError(f"--precision: {name} has {', '.join(module.PRECISIONS)}, got {precision}")
    return _TensorRt(module, name, options or BuildOptions()) if name.startswith("tensorrt") else cast(Target, module)
