"""TensorRT engines, and those of TensorRT for RTX: the fastest way on an NVIDIA GPU. No torch.

Batches go through buckets, one optimisation profile each: a batch is padded to the smallest bucket that holds it, larger ones are divided.
Each bucket has two sets of page-locked and device buffers at fixed addresses, and a CUDA graph for each (copy in, network, copy out), so
that the host fills one set while the GPU works on the other.
"""

from __future__ import annotations

import importlib
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from fpg.common.errors import InputError, MissingDependencyError
from fpg.common.spec import EngineSpec
from fpg.engines.base import CheckedEngine, check_range, choose_device, extremes
from fpg.engines.cuda import Cuda, open_cuda

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Backend of the spec -> Python module."""


class Slot:
    """Buffers of one bucket, page-locked and on the GPU, and the graph that goes through them."""

    def __init__(self, cuda: Cuda, context: Any, shapes: dict[str, tuple[int, ...]], stream: Any) -> None:
        self.cuda, self.stream = cuda, stream
        self.outputs = [name for name in shapes if name != "images"]
        self.host = {name: cuda.pinned(shape) for name, shape in shapes.items()}
        self.device = {name: cuda.memory(array.nbytes) for name, array in self.host.items()}
        self.done = cuda.event()

        def compute() -> None:
            for name, address in self.device.items():
                context.set_tensor_address(name, address)
            if not context.execute_async_v3(int(stream)):
                raise RuntimeError("TensorRT could not queue the network")

        def queue() -> None:
            cuda.to_device(self.device["images"], self.host["images"], stream)
            compute()
            for name in self.outputs:
                cuda.to_host(self.host[name], self.device[name], stream)

        self.host["images"][:] = 0
        queue()  # once before capturing: compiles and allocates what is left to be
        cuda.synchronize(stream)
        self.launch = cuda.captured(queue, stream)
        self.compute = compute
        """Queues the network alone, on what lies in the device buffers."""

    def start(self, images: np.ndarray) -> None:
        """Queue a batch; what the bucket holds beyond it keeps its former images, whose answers nobody reads."""
        self.host["images"][: len(images)] = images
        self.launch()
        self.cuda.record(self.done, self.stream)

    def finish(self, count: int) -> list[np.ndarray]:
        """Wait, and copy the answers out."""
        self.cuda.wait(self.done)
        return [self.host[name][:count].copy() for name in self.outputs]


class TensorRtEngine(CheckedEngine):
    """A loaded engine; any batch. Made inside `cuda.current()`."""

    looks_at_range = True

    def __init__(self, engine: Any, runtime: Any, spec: EngineSpec, cuda: Cuda) -> None:
        super().__init__(spec, "cuda")
        self._engine, self._runtime, self.cuda = engine, runtime, cuda
        self._stream = cuda.stream()
        self._buckets = [engine.get_tensor_profile_shape("images", i)[2][0] for i in range(engine.num_optimization_profiles)]
        self._slots: dict[int, tuple[Slot, Slot]] = {}

    def _bucket(self, count: int) -> int:
        """Index of the smallest bucket that holds that many images, else of the largest."""
        fitting = [i for i, size in enumerate(self._buckets) if size >= count]
        return min(fitting, key=lambda i: self._buckets[i]) if fitting else int(np.argmax(self._buckets))

    def _slots_of(self, index: int) -> tuple[Slot, Slot]:
        """Made when a bucket is first needed: activations take memory."""
        if index not in self._slots:
            batch, size = self._buckets[index], self.spec.image_size
            context = self._engine.create_execution_context()
            if context is None:
                raise RuntimeError(f"TensorRT has no memory for batches of {batch}")
            context.set_optimization_profile_async(index, int(self._stream))
            context.set_input_shape("images", (batch, 3, size, size))
            shapes = {"images": (batch, 3, size, size)} | {name: (batch, *shape) for name, shape in self.spec.outputs.items()}
            self._slots[index] = (Slot(self.cuda, context, shapes, self._stream), Slot(self.cuda, context, shapes, self._stream))
        return self._slots[index]

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        with self.cuda.current():
            return self._through_slots(images)

    def _through_slots(self, images: np.ndarray) -> list[np.ndarray]:
        largest = max(self._buckets)
        waiting: deque[tuple[Slot, int]] = deque()
        answers: list[list[np.ndarray]] = []

        def finish() -> None:
            slot, count = waiting.popleft()
            answers.append(slot.finish(count))

        try:
            for turn, start in enumerate(range(0, len(images), largest)):
                part = images[start : start + largest]
                slot = self._slots_of(self._bucket(len(part)))[turn % 2]
                if len(waiting) == 2:
                    finish()
                slot.start(part)
                waiting.append((slot, len(part)))
                check_range(*extremes(part))  # the GPU is at work meanwhile
            while waiting:
                finish()
        finally:
            for slot, _ in waiting:  # of what was refused: nobody may write where the GPU still reads
                self.cuda.wait(slot.done)
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]


def load(path: Path, spec: EngineSpec, device: str, threads: int | None) -> TensorRtEngine:
    """See `fpg.engines.load_engine`, which has verified the files before this opens one: an engine is executable."""
    cuda = open_cuda()  # first: TensorRT 11 crashes where there is no GPU
    choose_device(device, {"cuda": "cuda"}, "cuda", spec.backend)
    built = spec.build or {}
    if built.get("compute_capability") not in (None, cuda.capability):
        raise InputError(
            path, f"was built for compute capability {built['compute_capability']}, {cuda.name} has {cuda.capability}: export again here"
        )
    try:
        trt = importlib.import_module(MODULES[spec.backend])
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingDependencyError(f"{spec.backend}: {MODULES[spec.backend]} cannot be loaded ({error})") from error
    if spec.backend == "tensorrt-rtx" and built.get("version") not in (None, trt.__version__):
        raise InputError(path, f"was built by {MODULES[spec.backend]} {built['version']}, installed is {trt.__version__}: export again")
    with cuda.current():
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        plan = path.read_bytes()
        if hasattr(runtime, "get_engine_validity"):
            validity, reasons = runtime.get_engine_validity(plan[: runtime.engine_header_size])
            if validity == trt.EngineValidity.INVALID:
                raise InputError(path, f"cannot run on {cuda.name} ({cuda.capability}): {_explain(trt, reasons)}")
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise InputError(path, f"{MODULES[spec.backend]} {trt.__version__} cannot load it on {cuda.name}; export again on this machine")
        shape = list(engine.get_tensor_shape("images"))
        if shape[1:] != [3, spec.image_size, spec.image_size]:
            raise InputError(path, f"takes images of {shape}, its sidecar says side {spec.image_size}")
        return TensorRtEngine(engine, runtime, spec, cuda)


def _explain(trt: Any, reasons: int) -> str:
    """The bits of TensorRT for RTX's diagnostics in its own words."""
    known = getattr(trt, "EngineInvalidityDiagnostics", None)
    names = [name.lower().replace("_", " ") for name, value in (known.__members__.items() if known else ()) if int(value) & int(reasons)]
    return ", ".join(names) or f"diagnostics {int(reasons):#x}"
