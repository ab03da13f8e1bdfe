"""TensorRT and TensorRT for RTX: one way to build an engine from ONNX, for whichever of the two packages is asked for.

Networks are strongly typed: TensorRT 11 knows no other, and takes precision from the ONNX graph (fp16: `fpg.export.onnx`). TensorRT for RTX
builds ahead of time on a machine without a GPU and compiles for the GPU when the engine is loaded; TensorRT builds on the GPU it is for.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fpg.common.errors import MissingDependencyError, UsageError
from fpg.common.files import atomic_write
from fpg.common.packages import install_extra
from fpg.engines.tensorrt import MODULES
from fpg.export import onnx as onnx_export
from fpg.export.graph import INPUT, ExportNetwork

SUFFIX = ".engine"
PRECISIONS = ("fp32", "fp16", "bf16", "int8", "fp8")
_ADVICE = {"tensorrt": " (NVIDIA's own index carries its libraries), or export to tensorrt-rtx or onnx"}
BATCHES = (1, 8, 32)
"""Batch buckets by default: one optimisation profile each."""


def load_package(target: str) -> Any:
    """The Python package of a target.

    Raises:
        MissingDependencyError: it is not installed, or its libraries do not load.
    """
    try:
        return importlib.import_module(MODULES[target])
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingDependencyError(
            f"{target}: {MODULES[target]} cannot be loaded ({error}): {install_extra(target)}{_ADVICE.get(target, '')}"
        ) from error


def build(
    target: str,
    onnx_file: Path,
    path: Path,
    batches: Sequence[int] = BATCHES,
    *,
    timing_cache: Path | None = None,
    version_compatible: bool = False,
    hardware_compatible: bool = False,
) -> dict[str, Any]:
    """Build an engine from an ONNX file whose batch is free.

    Args:
        target: `tensorrt` or `tensorrt-rtx`.
        onnx_file: with input `images` [B, 3, S, S].
        path: of the engine.
        batches: buckets in rising order; each gets an optimisation profile from one image up to it, tuned for it.
        timing_cache: read if it exists, and written: later builds on this GPU are faster. TensorRT only.
        version_compatible: the engine runs on later versions of the same major, too. TensorRT only.
        hardware_compatible: it runs on other GPUs from Ampere on, slower. TensorRT only.

    Returns:
        What the sidecar says of the build: package, its version, buckets, options, compute capability (null where the engine is not
        bound to one).

    Raises:
        MissingDependencyError: the package is not installed, or TensorRT finds no GPU to build on.
        UsageError: an option that TensorRT for RTX does not have.
        RuntimeError: TensorRT refuses the network; its own messages are in the error.
    """
    if target == "tensorrt-rtx" and (timing_cache or version_compatible or hardware_compatible):
        raise UsageError("--timing-cache, --version-compatible, --hardware-compatible: TensorRT for RTX has none of them")
    trt = load_package(target)
    capability = None if target == "tensorrt-rtx" else _capability()
    with _logged(trt) as (logger, messages):
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(onnx_file)):
            raise RuntimeError("; ".join(str(parser.get_error(i)) for i in range(parser.num_errors)))
        config = builder.create_builder_config()
        shape = network.get_input(0).shape
        for batch in batches:
            profile = builder.create_optimization_profile()
            profile.set_shape(INPUT, (1, *shape[1:]), (batch, *shape[1:]), (batch, *shape[1:]))
            config.add_optimization_profile(profile)
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that `inspect` can name the layers
        if version_compatible:
            config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        if hardware_compatible:
            config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        cache = _timing_cache(config, timing_cache)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise RuntimeError("; ".join(messages) or f"{target} built no engine and does not say why")
    with atomic_write(path) as file:
        file.write(plan)
    if timing_cache is not None and cache is not None:
        with atomic_write(timing_cache) as file:
            file.write(cache.serialize())
    return {
        "package": MODULES[target],
        "version": trt.__version__,
        "batches": list(batches),
        "compute_capability": None if hardware_compatible else capability,
        "version_compatible": version_compatible,
        "hardware_compatible": hardware_compatible,
    }


def write(
    network: ExportNetwork,
    path: Path,
    precision: str,
    calibration: np.ndarray | None,
    step: int,
    target: str,
    batches: Sequence[int],
    *,
    timing_cache: Path | None = None,
    version_compatible: bool = False,
    hardware_compatible: bool = False,
) -> dict[str, Any]:
    """The network as ONNX next to the engine (`STEM.onnx`, what the engine was built from), and the engine. See `build`."""
    load_package(target)  # before anything takes time
    source = path.with_suffix(".onnx")
    onnx_export.write(network, source, precision, calibration, step)
    return build(
        target,
        source,
        path,
        batches,
        timing_cache=timing_cache,
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
    )


def inspect(target: str, path: Path) -> list[dict[str, Any]]:
    """The layers of an engine, as its own inspector tells them; on a machine with a GPU.

    Raises:
        MissingDependencyError: no package, or no GPU.
        RuntimeError: the engine does not load here.
    """
    trt = load_package(target)
    _capability()
    with _logged(trt) as (logger, messages):
        engine = trt.Runtime(logger).deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise RuntimeError("; ".join(messages) or "the engine does not load here")
        layers = json.loads(engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON))["Layers"]
    return [layer if isinstance(layer, dict) else {"Name": str(layer)} for layer in layers]


def _capability() -> str:
    """Compute capability of the GPU that TensorRT will use. Asked first: TensorRT 11 crashes where there is none."""
    from fpg.engines.cuda import open_cuda

    return open_cuda().capability


def _timing_cache(config: Any, path: Path | None) -> Any:
    if path is None:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


@contextmanager
def _logged(trt: Any) -> Iterator[tuple[Any, list[str]]]:
    """A logger that keeps errors for our own messages instead of printing them."""
    messages: list[str] = []

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                messages.append(message)

    yield Logger(), messages
