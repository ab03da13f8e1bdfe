"""One way to run a detector, whatever it was exported to: `load_engine(path)(images) -> EngineOutput`. Torch-free but for `torch.py`.

A backend is one file here and one line in `_BACKENDS`.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from fpg.common.errors import InputError, MissingDependencyError
from fpg.common.packages import advice_for
from fpg.common.spec import DETECTOR, read_spec
from fpg.engines.base import CheckedEngine, Engine, EngineOutput, fake_probability, reference_difference

__all__ = ["CheckedEngine", "Engine", "EngineOutput", "fake_probability", "load_engine", "reference_difference"]

_BACKENDS = {
    ".safetensors": ("torch", "fpg.engines.torch"),
    ".onnx": ("onnx", "fpg.engines.onnxruntime"),
    ".xml": ("openvino", "fpg.engines.openvino"),
    ".engine": ("tensorrt", "fpg.engines.tensorrt"),
}
"""Suffix of the model file -> (backend in its spec or the part before its hyphen, module with `load(path, spec, device, threads)`)."""


def load_engine(
    path: str | os.PathLike[str], *, device: str = "auto", threads: int | None = None, verify: bool = True, network: str = DETECTOR
) -> CheckedEngine:
    """Load weights or an exported network by its sidecar.

    Args:
        path: `STEM.safetensors`, `STEM.onnx`, `STEM.xml` or `STEM.engine`, with `STEM.spec.json` next to it.
        device: `auto`, `cpu`, or another device of the backend (`cuda` for torch and ONNX Runtime, `gpu` for OpenVINO).
        threads: CPU threads; None leaves the choice to the backend.
        verify: compare the hash of every file with the sidecar before anything is opened.
        network: the expected kind of network, one of `fpg.common.spec.OUTPUTS`.

    Raises:
        InputError: no sidecar, a changed file, or a file that is not what the sidecar says.
        MissingDependencyError: the backend is not installed, or the GPU that it needs is not available.
        UsageError: the backend has no such device.
    """
    path = Path(path)
    if path.suffix not in _BACKENDS:
        raise InputError(
            path, f"expected a model file ({', '.join(_BACKENDS)}); a published checkpoint is imported and saved with fpg first"
        )
    spec = read_spec(path)
    backend, module = _BACKENDS[path.suffix]
    if spec.backend.split("-")[0] != backend or spec.model_file != path.name:
        raise InputError(path, f"its sidecar describes {spec.model_file} for {spec.backend}, expected {path.name} for {backend}")
    if spec.network != network:
        raise InputError(path, f"is a {spec.network}, expected a {network}")
    if verify:
        spec.verify(path.parent)
    try:
        loader = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (advice := advice_for(error.name)) is None:
            raise
        raise MissingDependencyError(f"{path}: to run it, fpg needs {error.name}, which is not installed: {advice}") from error
    engine: CheckedEngine = loader.load(path, spec, device, threads)
    return engine
