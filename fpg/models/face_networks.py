"""MediaPipe's face detector and face mesh as torch modules, built from the weights in their TensorFlow Lite files.

BlazeFace, full range (arXiv 1907.05047), and Face Mesh (arXiv 1907.06724); `fpg.faces.mediapipe` says which package carries the files. As
modules they can be exported like the detector, and run in batches.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpg.common.errors import InputError
from fpg.models.tflite import Graph, Operator, read_tflite

SIDE = 192
"""Side of both networks' input."""


class FaceDetections(NamedTuple):
    """Answer of `FaceDetectorNetwork`."""

    boxes: Tensor
    """float32 [B, 2304, 16]: centre, size and six points (x, y) about each anchor of a 48 x 48 grid, in pixels of the input."""
    scores: Tensor
    """float32 [B, 2304]: logits."""


class FaceLandmarks(NamedTuple):
    """Answer of `FaceLandmarkNetwork`."""

    points: Tensor
    """float32 [B, 468, 3]: (x, y, z) in pixels of the input."""
    presence: Tensor
    """float32 [B]: logit of there being a face."""


class TfliteModule(nn.Module):
    """The graph of a TensorFlow Lite model in torch's layout: [B, C, H, W] for [1, H, W, C], any batch.

    Args:
        graph: with one input [1, H, W, C] and float operators.

    Raises:
        ValueError: a combination of operators that the format allows and that is not supported here; names it.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._shapes = graph.shapes
        self._inputs, self._outputs = graph.inputs, graph.outputs
        known = dict(graph.constants)
        self._steps: list[Operator] = []
        for step in graph.operators:
            if step.name == "DEQUANTIZE" and step.inputs[0] in known:  # weights kept in 16 bits
                known[step.outputs[0]] = known[step.inputs[0]].astype(np.float32)
            else:
                self._steps.append(step)
        self._constants = {i: value for i, value in known.items() if value.dtype == np.int32}
        for step in self._steps:
            for place, tensor in enumerate(step.inputs):
                if tensor in known and known[tensor].dtype != np.int32 and f"t{tensor}" not in self._buffers:
                    self.register_buffer(f"t{tensor}", torch.from_numpy(_layout(step.name, place, known[tensor])))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """float32 [B, C, H, W] -> the outputs: [B, C, H, W] of what ends as an image, [B, ...] of what was reshaped."""
        values: dict[int, Tensor] = {self._inputs[0]: x}
        for step in self._steps:
            values[step.outputs[0]] = self._run(step, values)
        return tuple(values[i] for i in self._outputs)

    def _run(self, step: Operator, values: dict[int, Tensor]) -> Tensor:
        def take(place: int) -> Tensor:
            tensor = step.inputs[place]
            return values[tensor] if tensor in values else self.get_buffer(f"t{tensor}")

        x, option = take(0), step.options
        if step.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weight = take(1)
            groups = x.shape[1] if step.name == "DEPTHWISE_CONV_2D" else 1
            stride, dilation = (option["stride_h"], option["stride_w"]), (option["dilation_h"], option["dilation_w"])
            bias = take(2) if len(step.inputs) > 2 and step.inputs[2] >= 0 else None
            x = F.conv2d(self._padded(x, step, weight.shape[-2:], 0.0), weight, bias, stride, 0, dilation, groups)
        elif step.name == "MAX_POOL_2D":
            window = (option["filter_h"], option["filter_w"])
            x = F.max_pool2d(self._padded(x, step, window, -torch.inf), window, (option["stride_h"], option["stride_w"]))
        elif step.name == "ADD":
            x = x + take(1)
        elif step.name == "PRELU":
            x = torch.where(x > 0, x, x * take(1))
        elif step.name == "PAD":
            _, (top, bottom), (left, right), (front, back) = self._constants[step.inputs[1]].tolist()
            x = F.pad(x, (left, right, top, bottom, front, back))
        elif step.name == "RESIZE_BILINEAR":
            height, width = self._shapes[step.outputs[0]][1:3]
            x = _resize(x, height, width, bool(option["align_corners"]), bool(option["half_pixel_centers"]))
        elif step.name == "RESHAPE":
            x = x.permute(0, 2, 3, 1).reshape(x.shape[0], *self._shapes[step.outputs[0]][1:])
        elif step.name != "RELU":
            raise ValueError(f"{step.name} of values that are computed is not supported")
        return _activated(x, 1 if step.name == "RELU" else option.get("activation", 0))

    def _padded(self, x: Tensor, step: Operator, window: tuple[int, ...], value: float) -> Tensor:
        """SAME padding: as much as the output needs, the odd one below and to the right."""
        option = step.options
        if option["padding"] != 0:
            return x
        around: list[int] = []
        for axis, size, stride, dilation in (
            (3, window[1], option["stride_w"], option.get("dilation_w", 1)),
            (2, window[0], option["stride_h"], option.get("dilation_h", 1)),
        ):
            length = self._shapes[step.inputs[0]][axis - 1]
            total = max((-(-length // stride) - 1) * stride + (size - 1) * dilation + 1 - length, 0)
            around += [total // 2, total - total // 2]
        return F.pad(x, around, value=value) if any(around) else x


def _layout(name: str, place: int, value: np.ndarray) -> np.ndarray:
    """A constant in torch's layout: filters [O, H, W, I] -> [O, I, H, W], depthwise [1, H, W, C] -> [C, 1, H, W], slopes -> [C, 1, 1]."""
    value = value.astype(np.float32)
    if place == 1 and name == "CONV_2D":
        value = value.transpose(0, 3, 1, 2)
    elif place == 1 and name == "DEPTHWISE_CONV_2D":
        value = value.transpose(3, 0, 1, 2)
    elif place == 1 and name in ("PRELU", "ADD"):
        value = value.reshape(-1, 1, 1)
    return np.ascontiguousarray(value)


def _activated(x: Tensor, activation: int) -> Tensor:
    if activation not in (0, 1, 3):
        raise ValueError(f"fused activation {activation}: expected none, RELU or RELU6")
    return x if activation == 0 else F.relu(x) if activation == 1 else F.relu6(x)


def _resize(x: Tensor, height: int, width: int, align_corners: bool, half_pixels: bool) -> Tensor:
    """TensorFlow Lite's bilinear resize; without either option pixel i lies at i times the scale."""
    if align_corners or half_pixels:
        return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=align_corners)
    for axis, size in ((2, height), (3, width)):
        length = x.shape[axis]
        at = torch.arange(size, dtype=torch.float32, device=x.device) * (length / size)
        low = at.floor().long()
        fraction = (at - low).to(x.dtype).view(-1, *([1] * (3 - axis)))
        x = x.index_select(axis, low) * (1 - fraction) + x.index_select(axis, (low + 1).clamp(max=length - 1)) * fraction
    return x


class FaceDetectorNetwork(nn.Module):
    """BlazeFace, full range: faces in an image fitted into 192 x 192 (`fpg.faces.geometry.letterbox`).

    Args:
        path: `face_detection_full_range.tflite`.

    Raises:
        InputError: not such a file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.network = _network(path, {(1, 2304, 16), (1, 2304, 1)})

    def forward(self, images: Tensor) -> FaceDetections:
        """RGB float32 [B, 3, 192, 192] in [0, 1] -> `FaceDetections`."""
        boxes, scores = sorted(self.network(images * 2 - 1), key=lambda output: -output.shape[-1])
        return FaceDetections(boxes, scores.flatten(1))


class FaceLandmarkNetwork(nn.Module):
    """Face Mesh: 468 points in an upright crop of 192 x 192 (`fpg.common.upright.crop_upright`).

    Args:
        path: `face_landmark.tflite`.

    Raises:
        InputError: not such a file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.network = _network(path, {(1, 1, 1, 1404), (1, 1, 1, 1)})

    def forward(self, images: Tensor) -> FaceLandmarks:
        """RGB float32 [B, 3, 192, 192] in [0, 1] -> `FaceLandmarks`."""
        points, presence = sorted(self.network(images), key=lambda output: -output.shape[1])
        return FaceLandmarks(points.flatten(1).unflatten(1, (468, 3)), presence.flatten())


def _network(path: str | os.PathLike[str], outputs: set[tuple[int, ...]]) -> TfliteModule:
    graph = read_tflite(path)
    shapes = {graph.shapes[i] for i in graph.outputs}
    if [graph.shapes[i] for i in graph.inputs] != [(1, SIDE, SIDE, 3)] or shapes != outputs:
        raise InputError(path, f"is another network: expected outputs {sorted(outputs)}, got {sorted(shapes)}")
    try:
        module = TfliteModule(graph).eval()
        with torch.no_grad():
            module(torch.zeros(1, 3, SIDE, SIDE))
    except (ValueError, RuntimeError, KeyError) as error:
        raise InputError(path, f"is damaged, or not what can be run: {error}") from error
    return module
