"""A TensorRT engine on paper: the interface that `fpg.engines.tensorrt` uses, over the driver of `paper_libcuda.c`.

    python paper_engine.py cuda.bindings|pycuda     with LIBCUDA preloaded; prints what the test asks about as JSON

The network's logits are sum and minus the sum of an image, its map the image's first corner.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from typing import Any

import numpy as np

from fpg.common.spec import EngineSpec
from fpg.engines.cuda import Cuda, open_cuda
from fpg.engines.tensorrt import TensorRtEngine

SIZE, MAP = 16, 3
BUCKETS = (8, 1, 4)
REFUSED = 26
"""Images of a batch with a value that is out of range."""
KERNEL = ctypes.CFUNCTYPE(None)


class Context:
    def __init__(self, driver: ctypes.CDLL) -> None:
        self.driver = driver
        self.addresses: dict[str, int] = {}
        self.kept: list[Any] = []

    def set_optimization_profile_async(self, index: int, stream: int) -> None:
        self.index = index

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        assert (name, shape) == ("images", (BUCKETS[self.index], 3, SIZE, SIZE))
        self.batch = shape[0]

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        """Queues a kernel for the addresses as they are now."""
        images, logits, activation_map = (
            self.behind(name, (self.batch, *shape))
            for name, shape in (("images", (3, SIZE, SIZE)), ("logits", (2,)), ("activation_map", (MAP, MAP)))
        )

        def run() -> None:
            sums = images.sum((1, 2, 3))
            logits[:] = np.stack([sums, -sums], 1)
            activation_map[:] = images[:, 0, :MAP, :MAP]

        kernel = KERNEL(run)
        self.kept.append(kernel)
        return self.driver.paper_launch(kernel, ctypes.c_void_p(stream)) == 0

    def behind(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        address = self.driver.paper_pointer(ctypes.c_uint64(self.addresses[name]))
        return np.frombuffer((ctypes.c_float * int(np.prod(shape))).from_address(address), np.float32).reshape(shape)


class Engine:
    num_optimization_profiles = len(BUCKETS)

    def __init__(self, driver: ctypes.CDLL) -> None:
        self.driver = driver

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        return [(batch, 3, SIZE, SIZE) for batch in (1, BUCKETS[index], BUCKETS[index])]

    def create_execution_context(self) -> Context:
        return Context(self.driver)


def answers(cuda: Cuda, spec: EngineSpec, driver: ctypes.CDLL, seed: int) -> list[float]:
    """Largest difference from NumPy for batches of each size, in an order that goes back and forth between the buckets."""
    with cuda.current():
        engine = TensorRtEngine(Engine(driver), None, spec, cuda)
    differences = []
    for count in (1, 3, 27, 8, 2, 16, 9, 1, 40, REFUSED, 3):
        images = np.random.default_rng([seed, count]).random((count, 3, SIZE, SIZE), dtype=np.float32)
        if count == REFUSED:  # the GPU has been given the first part by then, and is left in order
            images[5, 1, 2, 3] = 2
            refusal = ""
            try:
                engine(images)
            except ValueError as error:
                refusal = str(error)
            assert refusal.startswith("images: expected values in [0, 1], got ["), refusal
            assert refusal.endswith(", 2]"), refusal
            continue
        logits, activation_map = engine(images)
        sums = images.sum((1, 2, 3))
        differences.append(float(np.abs(logits - np.stack([sums, -sums], 1)).max()))
        differences.append(float(np.abs(activation_map - images[:, 0, :MAP, :MAP]).max()))
    return differences


def main() -> None:
    package = sys.argv[1]
    sys.modules["pycuda.driver" if package == "cuda.bindings" else "cuda.bindings.driver"] = None  # type: ignore[assignment]
    driver = ctypes.CDLL(os.environ["LIBCUDA"])
    driver.paper_pointer.restype = ctypes.c_void_p
    spec = EngineSpec("tensorrt", "model.engine", {}, {}, SIZE, (MAP, MAP), batch=(1, 4, 8))
    cuda = open_cuda()
    found: dict[str, Any] = {"name": cuda.name, "capability": cuda.capability, "here": answers(cuda, spec, driver, 0)}

    def elsewhere() -> None:
        found["in a thread"] = answers(cuda, spec, driver, 1)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    try:
        cuda.stream()  # the context is not left behind
        found["context"] = "left"
    except Exception as error:
        found["context"] = type(error).__name__
    found |= {name: ctypes.c_int.in_dll(driver, f"paper_{name}").value for name in ("captures", "launches")}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
