"""OpenVINO IR (`.xml` with `.bin`), straight from torch's exported graph: needs no ONNX package."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from fpg.common.errors import MissingDependencyError
from fpg.export.graph import INPUT, ExportNetwork, free_batch
from fpg.export.quantize import openvino_int8

try:
    import openvino as ov
except ImportError as error:
    raise MissingDependencyError("OpenVINO is not installed: pip install openvino") from error

SUFFIX = ".xml"
PRECISIONS = ("fp32", "fp16", "int8")


def write(network: ExportNetwork, path: Path, precision: str, calibration: np.ndarray | None = None, step: int = 0) -> None:
    """See `fpg.export.targets.Target`. fp16 stores the weights in 16 bits; the engine computes in float32.

    Raises:
        RuntimeError: torch or OpenVINO refuses the network, or the file cannot be written.
    """
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' notes on their own future; what they cannot do raises
        program = torch.export.export(network.module, (network.example(),), dynamic_shapes=free_batch())
        model = ov.convert_model(program)
    model.input(0).get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, network.outputs, strict=True):
        output.get_tensor().set_names({name})
    model.reshape({INPUT: [-1, 3, network.size, network.size]})
    if precision == "int8":
        assert calibration is not None
        model = openvino_int8(model, calibration, step)
    ov.save_model(model, path, compress_to_fp16=precision == "fp16")
