"""OpenVINO models (`.xml` with `.bin`): the fastest way on Intel and AMD CPUs without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fpg.common.errors import InputError, MissingDependencyError
from fpg.common.openvino import core
from fpg.common.spec import EngineSpec
from fpg.engines.base import CheckedEngine, choose_device

try:
    import openvino
except ImportError as error:
    missing = isinstance(error, ModuleNotFoundError) and error.name == "openvino"
    what = "is not installed: pip install openvino" if missing else f"is installed and cannot be loaded: {error}"
    raise MissingDependencyError(f"OpenVINO {what}") from error


class OpenVinoEngine(CheckedEngine):
    """A compiled model; any batch."""

    def __init__(self, model: Any, spec: EngineSpec, device: str) -> None:
        super().__init__(spec, device.lower())
        self._model = model

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        result = self._model({"images": images})
        return [result[name] for name in self.spec.outputs]


def load(path: Path, spec: EngineSpec, device: str, threads: int | None) -> OpenVinoEngine:
    """See `fpg.engines.load_engine`, which has verified the files."""
    if path.with_suffix(".bin").name not in spec.files:
        raise InputError(path, f"its sidecar has no hash of {path.with_suffix('.bin').name}")
    plugins = core()
    available = {name.lower(): name for name in plugins.available_devices}
    chosen = choose_device(device, available, "cpu", "OpenVINO")
    # Without the hint the plugin may compute in 16 bits where the processor can, and answer differently from machine to machine.
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads is not None and chosen == "CPU":
        options["INFERENCE_NUM_THREADS"] = threads
    try:
        model = plugins.read_model(path)
        shape = str(model.input("images").partial_shape)
        if shape != f"[?,3,{spec.image_size},{spec.image_size}]":
            raise InputError(path, f"takes images of {shape}, its sidecar says side {spec.image_size}")
        for name, expected in spec.outputs.items():
            answers = model.output(name).partial_shape
            if not answers.compatible(openvino.PartialShape([-1, *expected])):
                raise InputError(path, f"answers with {name} of {answers}, its sidecar says {list(expected)}", "invalid")
        return OpenVinoEngine(plugins.compile_model(model, chosen, options), spec, chosen)
    except RuntimeError as error:
        raise InputError(path, f"OpenVINO cannot load it: {error}") from error
