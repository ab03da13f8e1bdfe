"""Reads TensorFlow Lite models as far as MediaPipe's face networks need: tensors and operators of one graph, no execution.

The format is a flatbuffer whose schema is TensorFlow Lite's `schema.fbs`, version 3; field numbers below are its. Nothing in a file is
trusted: every offset is checked, and what does not fit is an `InputError`.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpg.common.errors import InputError

OPERATORS = {
    0: "ADD",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    6: "DEQUANTIZE",
    17: "MAX_POOL_2D",
    19: "RELU",
    22: "RESHAPE",
    23: "RESIZE_BILINEAR",
    34: "PAD",
    54: "PRELU",
}
"""Builtin operators that are read, by code."""
_TYPES: dict[int, str] = {0: "<f4", 1: "<f2", 2: "<i4"}
_OPTIONS = {
    "CONV_2D": ("padding", "stride_w", "stride_h", "activation", "dilation_w", "dilation_h"),
    "DEPTHWISE_CONV_2D": ("padding", "stride_w", "stride_h", "multiplier", "activation", "dilation_w", "dilation_h"),
    "MAX_POOL_2D": ("padding", "stride_w", "stride_h", "filter_w", "filter_h", "activation"),
    "ADD": ("activation",),
    "RESIZE_BILINEAR": ("", "", "align_corners", "half_pixel_centers"),
}
"""Scalar options of an operator in the order of their fields; `padding` is 0 SAME or 1 VALID, `activation` 0 none, 1 RELU, 3 RELU6."""
_BYTES = frozenset(["padding", "activation", "align_corners", "half_pixel_centers"])
_DEFAULTS = {"dilation_w": 1, "dilation_h": 1}


@dataclass(frozen=True)
class Operator:
    """One step of a graph; tensors by index, -1 where an optional one is absent."""

    name: str
    inputs: list[int]
    outputs: list[int]
    options: dict[str, int]


@dataclass(frozen=True)
class Graph:
    """The first graph of a model."""

    operators: list[Operator]
    shapes: list[tuple[int, ...]]
    """Of every tensor."""
    constants: dict[int, np.ndarray]
    """Tensors that the file holds."""
    inputs: list[int]
    outputs: list[int]


def read_tflite(path: str | os.PathLike[str]) -> Graph:
    """Read a `.tflite` file.

    Raises:
        InputError: not there, damaged, or with an operator or type that is not in `OPERATORS`.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError.of(path, error) from error
    if data[4:8] != b"TFL3":
        raise InputError(path, "is not a TensorFlow Lite model")
    try:
        return _graph(_Table(data, _u32(data, 0)))
    except (struct.error, ValueError, IndexError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(path, f"is damaged, or not what can be read: {error}") from error


def _u32(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


class _Table:
    """A flatbuffer table: fields by number, through the offsets in its vtable."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._vtable = at - struct.unpack_from("<i", data, at)[0]
        if not 0 <= self._vtable < len(data):
            raise ValueError(f"a table at {at} points outside of the file")
        self._fields = (struct.unpack_from("<H", data, self._vtable)[0] - 4) // 2

    def field(self, number: int) -> int:
        """Where a field's value is; 0 when it is absent."""
        if number >= self._fields:
            return 0
        offset = int(struct.unpack_from("<H", self._data, self._vtable + 4 + 2 * number)[0])
        return self._at + offset if offset else 0

    def number(self, number: int, kind: str = "<i", default: int = 0) -> int:
        at = self.field(number)
        return int(struct.unpack_from(kind, self._data, at)[0]) if at else default

    def table(self, number: int) -> _Table | None:
        at = self.field(number)
        return _Table(self._data, at + _u32(self._data, at)) if at else None

    def vector(self, number: int, size: int) -> tuple[int, int]:
        """(length, where it starts) of a vector whose elements have that size."""
        at = self.field(number)
        if not at:
            return 0, 0
        start = at + _u32(self._data, at)
        length = _u32(self._data, start)
        if start + 4 + length * size > len(self._data):
            raise ValueError(f"a list of {length} at {start} goes beyond the end of the file")
        return length, start + 4

    def tables(self, number: int) -> list[_Table]:
        length, start = self.vector(number, 4)
        return [_Table(self._data, start + 4 * i + _u32(self._data, start + 4 * i)) for i in range(length)]

    def integers(self, number: int) -> list[int]:
        length, start = self.vector(number, 4)
        return list(struct.unpack_from(f"<{length}i", self._data, start))

    def content(self, number: int) -> bytes:
        length, start = self.vector(number, 1)
        return self._data[start : start + length]


def _graph(model: _Table) -> Graph:
    codes = [max(code.number(0, "<b"), code.number(3)) for code in model.tables(1)]
    buffers = model.tables(4)
    graph = model.tables(2)[0]
    shapes: list[tuple[int, ...]] = []
    constants: dict[int, np.ndarray] = {}
    for index, tensor in enumerate(graph.tables(0)):
        shape = tuple(tensor.integers(0))
        shapes.append(shape)
        if content := buffers[tensor.number(2, "<I")].content(0):
            kind = tensor.number(1, "<b")
            if kind not in _TYPES:
                raise ValueError(f"tensor {index} has type {kind}, expected float32, float16 or int32")
            constants[index] = np.frombuffer(content, np.dtype(_TYPES[kind])).reshape(shape)
    operators = []
    for entry in graph.tables(3):
        code = codes[entry.number(0, "<I")]
        if code not in OPERATORS:
            raise ValueError(f"operator {code} is not one of {', '.join(OPERATORS.values())}")
        operators.append(_operator(OPERATORS[code], entry, len(shapes)))
    inputs, outputs = graph.integers(1), graph.integers(2)
    if any(not 0 <= tensor < len(shapes) for tensor in inputs + outputs):
        raise ValueError("the graph's inputs or outputs are no tensors of it")
    return Graph(operators, shapes, constants, inputs, outputs)


def _operator(name: str, entry: _Table, tensors: int) -> Operator:
    options, table = {}, entry.table(4)
    for number, option in enumerate(_OPTIONS.get(name, ())):
        if option:
            kind = "<b" if option in _BYTES else "<i"
            options[option] = table.number(number, kind, _DEFAULTS.get(option, 0)) if table else _DEFAULTS.get(option, 0)
    inputs, outputs = entry.integers(1), entry.integers(2)
    if not outputs or any(not -1 <= tensor < tensors for tensor in inputs + outputs):
        raise ValueError(f"{name} refers to tensors that are not there")
    return Operator(name, inputs, outputs, options)
