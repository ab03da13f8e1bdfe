"""The few CUDA calls that a TensorRT engine needs, through cuda-bindings or PyCUDA, in the primary context that torch uses too.

Both speak to the driver. cuda-bindings also captures graphs; with PyCUDA the same work is queued anew for each batch.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fpg.common.errors import FpgError, MissingDependencyError
from fpg.common.packages import install_extra

NONBLOCKING = 1
"""Flag of a stream that does not wait for the default one (CU_STREAM_NON_BLOCKING)."""


class CudaError(FpgError):
    """A CUDA call failed."""


class Cuda(ABC):
    """The current GPU. All but its properties is called inside `current()`.

    Memory and streams live as long as the process.
    """

    name: str
    """Of the GPU."""
    capability: str
    """Its compute capability, e.g. `9.0`."""

    @abstractmethod
    def current(self) -> contextlib.AbstractContextManager[None]:
        """The GPU's primary context for this thread."""

    @abstractmethod
    def stream(self) -> Any:
        """A stream that does not wait for the default one; `int()` of it is its handle."""

    @abstractmethod
    def synchronize(self, stream: Any) -> None:
        """Wait for all that was queued."""

    @abstractmethod
    def pinned(self, shape: tuple[int, ...]) -> np.ndarray:
        """float32 in page-locked memory."""

    @abstractmethod
    def memory(self, size: int) -> int:
        """Address of that many bytes on the GPU."""

    @abstractmethod
    def to_device(self, address: int, array: np.ndarray, stream: Any) -> None:
        """Queue a copy from page-locked memory."""

    @abstractmethod
    def to_host(self, array: np.ndarray, address: int, stream: Any) -> None:
        """Queue a copy to page-locked memory."""

    @abstractmethod
    def event(self) -> Any:
        """A mark for `record`."""

    @abstractmethod
    def record(self, event: Any, stream: Any) -> None:
        """Queue the mark."""

    @abstractmethod
    def wait(self, event: Any) -> None:
        """Wait until the GPU has reached the mark."""

    @abstractmethod
    def seconds(self, start: Any, end: Any) -> float:
        """The GPU's time between two marks that it has reached."""

    def captured(self, queue: Callable[[], None], stream: Any) -> Callable[[], None]:
        """A function that queues on the stream what `queue` does, always with the same addresses."""
        return queue


class _Bindings(Cuda):
    """Through NVIDIA's cuda-bindings.

    Raises:
        ImportError: it is not installed.
        CudaError: no driver or no GPU.
    """

    def __init__(self) -> None:
        self._driver = importlib.import_module("cuda.bindings.driver")
        try:
            self._driver.cuInit(0)
        except RuntimeError as error:
            raise CudaError("no NVIDIA driver") from error
        self._call("cuInit", 0)
        if not self._call("cuDeviceGetCount"):
            raise CudaError("no GPU")
        device = self._call("cuDeviceGet", 0)
        attribute = self._driver.CUdevice_attribute
        self.name = self._call("cuDeviceGetName", 256, device).decode().rstrip("\0")
        major, minor = (
            self._call("cuDeviceGetAttribute", getattr(attribute, f"CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_{part}"), device)
            for part in ("MAJOR", "MINOR")
        )
        self.capability = f"{major}.{minor}"
        self._context = self._call("cuDevicePrimaryCtxRetain", device)

    def _call(self, name: str, *arguments: Any) -> Any:
        """A function of the driver API; what it returns in addition to its error code."""
        code, *results = getattr(self._driver, name)(*arguments)
        if code != self._driver.CUresult.CUDA_SUCCESS:
            raise CudaError(f"{name}: {code.name}")
        return results[0] if results else None

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        self._call("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            self._call("cuCtxPopCurrent")

    def stream(self) -> Any:
        return self._call("cuStreamCreate", NONBLOCKING)

    def synchronize(self, stream: Any) -> None:
        self._call("cuStreamSynchronize", stream)

    def pinned(self, shape: tuple[int, ...]) -> np.ndarray:
        size = 4 * int(np.prod(shape))
        address = self._call("cuMemHostAlloc", size, 0)
        return np.frombuffer((ctypes.c_char * size).from_address(int(address)), np.float32).reshape(shape)

    def memory(self, size: int) -> int:
        return int(self._call("cuMemAlloc", size))

    def to_device(self, address: int, array: np.ndarray, stream: Any) -> None:
        self._call("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, stream)

    def to_host(self, array: np.ndarray, address: int, stream: Any) -> None:
        self._call("cuMemcpyDtoHAsync", array.ctypes.data, address, array.nbytes, stream)

    def event(self) -> Any:
        return self._call("cuEventCreate", 0)

    def record(self, event: Any, stream: Any) -> None:
        self._call("cuEventRecord", event, stream)

    def wait(self, event: Any) -> None:
        self._call("cuEventSynchronize", event)

    def seconds(self, start: Any, end: Any) -> float:
        return float(self._call("cuEventElapsedTime", start, end)) / 1e3

    def captured(self, queue: Callable[[], None], stream: Any) -> Callable[[], None]:
        self._call("cuStreamBeginCapture", stream, self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        try:
            queue()
        finally:
            graph = self._call("cuStreamEndCapture", stream)
        runnable = self._call("cuGraphInstantiate", graph, 0)
        return lambda: self._call("cuGraphLaunch", runnable, stream)


class _PyCuda(Cuda):
    """Through PyCUDA, which knows no graphs.

    Raises:
        ImportError: it is not installed, or there is no driver.
        CudaError: no GPU.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on a missing driver, which raises, too
            self._driver = driver = importlib.import_module("pycuda.driver")
        with self._named():
            driver.init()
            if not driver.Device.count():
                raise CudaError("no GPU")
            device = driver.Device(0)
            self.name = device.name()
            self.capability = ".".join(map(str, device.compute_capability()))
            self._context = device.retain_primary_context()
        self._kept: list[Any] = []  # PyCUDA frees what is forgotten, and can do so only where the context is current
        atexit.register(self._close)

    def _keep(self, thing: Any) -> Any:
        self._kept.append(thing)
        return thing

    def _close(self) -> None:
        with self.current():
            self._kept.clear()
        self._context.detach()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except self._driver.Error as error:
            raise CudaError(str(error)) from error

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        self._context.push()
        try:
            with self._named():
                yield
        finally:
            self._context.pop()

    def stream(self) -> Any:
        return _Stream(self._keep(self._driver.Stream(NONBLOCKING)))

    def synchronize(self, stream: Any) -> None:
        stream.own.synchronize()

    def pinned(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._keep(self._driver.pagelocked_empty(shape, np.float32))

    def memory(self, size: int) -> int:
        return int(self._keep(self._driver.mem_alloc(size)))

    def to_device(self, address: int, array: np.ndarray, stream: Any) -> None:
        self._driver.memcpy_htod_async(address, array, stream.own)

    def to_host(self, array: np.ndarray, address: int, stream: Any) -> None:
        self._driver.memcpy_dtoh_async(array, address, stream.own)

    def event(self) -> Any:
        return self._keep(self._driver.Event())

    def record(self, event: Any, stream: Any) -> None:
        event.record(stream.own)

    def wait(self, event: Any) -> None:
        event.synchronize()

    def seconds(self, start: Any, end: Any) -> float:
        return float(start.time_till(end)) / 1e3


class _Stream:
    """PyCUDA's stream; `int()` is its handle."""

    def __init__(self, own: Any) -> None:
        self.own = own

    def __int__(self) -> int:
        return int(self.own.handle)


def open_cuda() -> Cuda:
    """The GPU, through whichever of both packages is there.

    Raises:
        MissingDependencyError: neither is installed, or there is no driver or GPU; the message says which.
    """
    reasons = []
    for kind in (_Bindings, _PyCuda):
        try:
            return kind()
        except (ImportError, CudaError) as error:
            reasons.append(error)
    if all(isinstance(error, ModuleNotFoundError) for error in reasons):
        raise MissingDependencyError(
            f"TensorRT engines need cuda-bindings or PyCUDA, and an NVIDIA GPU: {install_extra('tensorrt-rtx')} (or pip install pycuda)"
        )
    why = next(error for error in reasons if not isinstance(error, ModuleNotFoundError))
    raise MissingDependencyError(f"TensorRT engines run on NVIDIA GPUs: none can be used here ({why}); use an openvino or onnx model")
