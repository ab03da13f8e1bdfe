"""Eight bits and bfloat16: what stays in float32, and calibration on real face crops.

A detector with depthwise convolutions loses more in eight bits than its size suggests, so quantisation goes in steps: first everything
but the head and the first convolution, then all but the depthwise convolutions, too. The exporter takes the first step whose
answers pass its check (`fpg.export.parity`), and refuses when none does.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fpg.common.errors import MissingDependencyError
from fpg.common.packages import install_extra, install_pinned

CALIBRATED = ("int8", "fp8")
"""Precisions that need crops to calibrate on."""
STEPS = ("all but the head and the first convolution", "all but the head, the first and the depthwise convolutions")
"""What is quantised, by step."""


def steps(precision: str) -> tuple[int, ...]:
    """Indices into `STEPS` to try in turn: ModelOpt leaves depthwise convolutions alone in FP8; without calibration there is one."""
    return {"int8": (0, 1), "fp8": (1,)}.get(precision, (0,))


@dataclass(frozen=True)
class CalibrationSet:
    """Crops that ranges are measured on."""

    images: np.ndarray
    """float32 [N, 3, S, S] in [0, 1]."""
    source: str
    sha256: str
    """Of the crops' values: the same crops, the same hash."""


def openvino_int8(model: Any, images: np.ndarray, step: int) -> Any:
    """An OpenVINO model in INT8 by NNCF's post-training quantisation.

    Args:
        model: with input `images` and outputs `logits` and, where the detector has one, `activation_map`.
        images: float32 [N, 3, S, S].
        step: index into `STEPS`.

    Raises:
        MissingDependencyError: NNCF is not installed.
        RuntimeError: NNCF refuses the network.
    """
    try:
        with _quiet():
            import nncf
    except ImportError as error:
        raise MissingDependencyError(f"INT8 for OpenVINO needs NNCF: {install_extra('int8')}") from error
    nncf.set_log_level(logging.ERROR)
    operations = model.get_ordered_ops()
    convolutions = [op for op in operations if op.get_type_name() in ("Convolution", "GroupConvolution")]
    kept = [*_openvino_head(model), *(op.get_friendly_name() for op in convolutions[:1])]
    if step:
        kept += [op.get_friendly_name() for op in convolutions if op.get_type_name() == "GroupConvolution"]
    with contextlib.redirect_stdout(io.StringIO()):
        return nncf.quantize(
            model,
            nncf.Dataset([image[None] for image in images], lambda image: {"images": image}),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(names=sorted(set(kept))),
        )


def _openvino_head(model: Any) -> list[str]:
    """Operations after the last one that both outputs come from: eight bits of the map's products would be noise."""

    def ancestors(name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        waiting = [model.output(name).get_node()]
        while waiting:
            node = waiting.pop()
            if node.get_friendly_name() not in found:
                found[node.get_friendly_name()] = node
                waiting += [edge.get_source_output().get_node() for edge in node.inputs()]
        return found

    if len(model.outputs) == 1:
        return []
    logits, activation_map = ancestors("logits"), ancestors("activation_map")
    apart = {**logits, **activation_map}
    return [
        name
        for name, node in apart.items()
        if (name in logits) != (name in activation_map) and node.get_type_name() not in ("Constant", "Result")
    ]


def onnx_quantized(source: Path, path: Path, precision: str, images: np.ndarray, step: int) -> None:
    """An ONNX model with explicit quantisation (QuantizeLinear, DequantizeLinear) of its convolutions, by NVIDIA's ModelOpt.

    Args:
        source: the float32 model.
        path: of the result; may be the same.
        precision: `int8` or `fp8`.
        images: float32 [N, 3, S, S].
        step: index into `STEPS`; the head has no convolution and stays as it is in each.

    Raises:
        MissingDependencyError: ModelOpt is not installed.
        RuntimeError: it refuses the network.
    """
    import onnx

    modelopt = _modelopt("quantization")
    convolutions = [node for node in onnx.load(source, load_external_data=False).graph.node if node.op_type == "Conv"]
    kept = [node.name for node in convolutions[:1]]
    if step:
        kept += [node.name for node in convolutions if any(a.name == "group" and a.i > 1 for a in node.attribute)]
    with _quiet():
        try:
            modelopt.quantize(
                str(source),
                quantize_mode=precision,
                calibration_data={"images": images},
                calibration_method="max",
                calibration_eps=["cpu"],
                op_types_to_quantize=["Conv"],
                nodes_to_exclude=[f"^{name}$" for name in kept],
                high_precision_dtype="fp32",
                output_path=str(path),
                log_level="ERROR",
            )
        except Exception as error:  # whatever its passes meet
            raise RuntimeError(f"ModelOpt cannot quantise it: {error}") from error


def onnx_bf16(source: Path, path: Path) -> None:
    """An ONNX model whose inside is bfloat16, with float32 inputs and outputs, by ModelOpt's AutoCast.

    Raises:
        MissingDependencyError: ModelOpt is not installed.
        RuntimeError: it refuses the network.
    """
    import onnx

    modelopt = _modelopt("autocast")
    with _quiet():
        try:
            onnx.save(modelopt.convert_to_mixed_precision(str(source), low_precision_type="bf16", keep_io_types=True), path)
        except Exception as error:  # whatever its passes meet
            raise RuntimeError(f"ModelOpt cannot convert it: {error}") from error


def _modelopt(part: str) -> Any:
    try:
        with _quiet():
            return importlib.import_module(f"modelopt.onnx.{part}")
    except ImportError as error:
        raise MissingDependencyError(
            f"int8, fp8 and bf16 in ONNX need NVIDIA's ModelOpt ({error}): {install_pinned('modelopt')}"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without ModelOpt's progress bars, banners and notes; its errors are raised."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
