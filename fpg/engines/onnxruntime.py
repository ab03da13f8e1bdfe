"""ONNX models, run by ONNX Runtime on the CPU, or on CUDA where its GPU build is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fpg.common.errors import InputError, MissingDependencyError
from fpg.common.packages import install_extra
from fpg.common.spec import EngineSpec
from fpg.engines.base import CheckedEngine, choose_device

try:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state
except ImportError as error:
    raise MissingDependencyError(f"ONNX Runtime is not installed: {install_extra('onnx')}") from error

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_FAILURES = (
    state.Fail,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.InvalidArgument,
    state.NoSuchFile,
    state.NotImplemented,
    RuntimeError,
)


class OnnxRuntimeEngine(CheckedEngine):
    """An inference session; any batch."""

    def __init__(self, session: Any, spec: EngineSpec, device: str) -> None:
        super().__init__(spec, device)
        self._session = session

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        answers: list[np.ndarray] = self._session.run(list(self.spec.outputs), {"images": images})
        return answers


def load(path: Path, spec: EngineSpec, device: str, threads: int | None) -> OnnxRuntimeEngine:
    """See `fpg.engines.load_engine`, which has verified the files."""
    present = set(onnxruntime.get_available_providers())
    available = {name: provider for name, provider in _PROVIDERS.items() if provider in present}
    provider = choose_device(device, available, "cuda" if "cuda" in available else "cpu", "ONNX Runtime")
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        # It rewrites Clip before QuantizeLinear for integers only, and fails on the 8-bit floats of FP8.
        session = onnxruntime.InferenceSession(path, options, providers=[provider], disabled_optimizers=["ClipQuantRewrite"])
    except _FAILURES as error:
        raise InputError(path, f"ONNX Runtime cannot load it: {error}") from error
    shape = session.get_inputs()[0].shape
    if list(shape[1:]) != [3, spec.image_size, spec.image_size]:
        raise InputError(path, f"takes images of {shape}, its sidecar says side {spec.image_size}")
    return OnnxRuntimeEngine(session, spec, "cuda" if provider == _PROVIDERS["cuda"] else "cpu")
