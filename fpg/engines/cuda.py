"""The few CUDA calls that a TensorRT engine needs, through cuda-bindings, in the primary context that torch uses too."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from fpg.common.errors import FpgError, MissingDependencyError


class CudaError(FpgError):
    """A CUDA call failed."""


class Cuda:
    """The current GPU.

    Raises:
        MissingDependencyError: cuda-bindings is not installed, there is no driver, or no GPU; the message says which.
    """

    def __init__(self) -> None:
        try:
            from cuda.bindings import runtime
        except ImportError as error:
            raise MissingDependencyError(
                "TensorRT engines need cuda-bindings and an NVIDIA GPU: pip install 'fpg[tensorrt-rtx]' (or fpg[tensorrt])"
            ) from error
        self._runtime = runtime
        code, count = runtime.cudaGetDeviceCount()
        if code != runtime.cudaError_t.cudaSuccess or not count:
            why = "no GPU" if code == runtime.cudaError_t.cudaSuccess else code.name
            raise MissingDependencyError(
                f"TensorRT engines run on NVIDIA GPUs: none can be used here ({why}); take an openvino or onnx model"
            )
        self.device = self.call("cudaGetDevice")
        properties = self.call("cudaGetDeviceProperties", self.device)
        self.name = properties.name.decode().rstrip("\0")
        self.capability = f"{properties.major}.{properties.minor}"

    def call(self, name: str, *arguments: Any) -> Any:
        """A function of the runtime API; its result, or the list of its results.

        Raises:
            CudaError: with the function's name and CUDA's words.
        """
        code, *results = getattr(self._runtime, name)(*arguments)
        if code != self._runtime.cudaError_t.cudaSuccess:
            words = self._runtime.cudaGetErrorString(code)[1]
            raise CudaError(f"{name}: {words.decode() if isinstance(words, bytes) else words}")
        return results[0] if len(results) == 1 else results

    def stream(self) -> Any:
        """A stream that does not wait for the default one."""
        return self.call("cudaStreamCreateWithFlags", self._runtime.cudaStreamNonBlocking)

    def pinned(self, shape: tuple[int, ...]) -> np.ndarray:
        """float32 in page-locked memory, which lives as long as the process."""
        size = 4 * int(np.prod(shape))
        address = self.call("cudaHostAlloc", size, self._runtime.cudaHostAllocDefault)
        return np.frombuffer((ctypes.c_char * size).from_address(int(address)), np.float32).reshape(shape)

    def to_device(self, address: int, array: np.ndarray, stream: Any) -> None:
        """Queue a copy from page-locked memory."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, stream)

    def to_host(self, array: np.ndarray, address: int, stream: Any) -> None:
        """Queue a copy to page-locked memory."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, stream)

    def graph(self, queue: Callable[[], None], stream: Any) -> Any:
        """What `queue` queues on the stream, captured; launch it with cudaGraphLaunch."""
        self.call("cudaStreamBeginCapture", stream, self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal)
        try:
            queue()
        finally:
            graph = self.call("cudaStreamEndCapture", stream)
        return self.call("cudaGraphInstantiate", graph, 0)
