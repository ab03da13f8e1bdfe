"""OpenVINO IR (`.xml` with `.bin`), straight from torch's exported graph: needs no ONNX package."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from fpg.common.errors import MissingDependencyError
from fpg.export.graph import INPUT, OUTPUTS, free_batch, module_and_example
from fpg.models.detector import Detector

try:
    import openvino as ov
except ImportError as error:
    raise MissingDependencyError("OpenVINO is not installed: pip install openvino") from error

SUFFIX = ".xml"
PRECISIONS = ("fp32", "fp16")


def write(detector: Detector, path: Path, precision: str) -> None:
    """See `fpg.export.targets.Target`. fp16 stores the weights in 16 bits; the engine computes in float32.

    Raises:
        RuntimeError: torch or OpenVINO refuses the network, or the file cannot be written.
    """
    module, example = module_and_example(detector)
    size = detector.config.image_size
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' notes on their own future; what they cannot do raises
        program = torch.export.export(module, (example,), dynamic_shapes=free_batch())
        model = ov.convert_model(program)
    model.input(0).get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    model.reshape({INPUT: [-1, 3, size, size]})
    ov.save_model(model, path, compress_to_fp16=precision == "fp16")
