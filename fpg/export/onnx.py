"""ONNX, through torch's graph exporter. For ONNX Runtime, and what TensorRT builds from."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fpg.common.errors import MissingDependencyError
from fpg.common.packages import install_extra
from fpg.export.graph import INPUT, ExportNetwork, free_batch
from fpg.export.quantize import CALIBRATED, onnx_bf16, onnx_quantized

try:
    import onnx
    import onnxscript  # noqa: F401  (torch's exporter needs it and says so late)
    from onnxconverter_common import float16
except ImportError as error:
    raise MissingDependencyError(
        f"ONNX export needs onnx, onnxscript and onnxconverter-common ({error.name} is missing): {install_extra('onnx')}"
    ) from error

SUFFIX = ".onnx"
PRECISIONS = ("fp32", "fp16", "int8")
"""Those that ONNX Runtime runs; TensorRT takes more (`fpg.export.tensorrt`)."""
OPSET = 18
LARGEST = 1 << 31
"""Bytes that one protobuf file can hold; above it the weights go to a second file."""


def write(network: ExportNetwork, path: Path, precision: str, calibration: np.ndarray | None = None, step: int = 0) -> None:
    """See `fpg.export.targets.Target`. Inputs and outputs are float32 always; weights above 2 GiB go to `STEM.onnx.data`.

    Raises:
        MissingDependencyError: int8, fp8 and bf16 need ModelOpt.
        RuntimeError: torch's exporter or ONNX's checker refuses the network; there is no other exporter to fall back to.
    """
    model = _graph(network)
    if precision == "fp16":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="the float32 number .* will be truncated")  # tiny constants; parity is checked
            model = float16.convert_float_to_float16(model, keep_io_types=True)
    external = sum(tensor.nbytes for tensor in network.module.state_dict().values()) >= LARGEST
    onnx.save_model(model, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=1024)
    if precision == "bf16":
        onnx_bf16(path, path)
    elif precision in CALIBRATED:
        assert calibration is not None
        onnx_quantized(path, path, precision, calibration, step)
    try:
        onnx.checker.check_model(path, full_check=True)
    except onnx.checker.ValidationError as error:
        raise RuntimeError(f"ONNX's checker refuses the graph: {error}") from error


def _graph(network: ExportNetwork) -> Any:
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # the exporter's notes on its own future; what it cannot do raises
            program = torch.onnx.export(
                network.module,
                (network.example(),),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=free_batch(),
                input_names=[INPUT],
                output_names=list(network.outputs),
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    if program is None:
        raise RuntimeError("torch's exporter returned no graph")
    return _without_traces(program.model_proto)


def _without_traces(model: Any) -> Any:
    """The graph without the exporter's notes: they hold the source lines and folders of the machine it ran on."""
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    return model
