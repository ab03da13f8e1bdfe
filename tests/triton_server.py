"""A stand-in for Triton Inference Server: its gRPC protocol, around a function; `tritonclient` carries the protocol's own stubs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

Run = Callable[[np.ndarray], dict[str, np.ndarray]]
"""float32 [B, 3, S, S] to outputs by name."""


@dataclass
class StandIn(service_pb2_grpc.GRPCInferenceServiceServicer):
    """One model."""

    model: str
    size: int
    outputs: dict[str, tuple[int, ...]]
    run: Run
    largest: int = 8
    unavailable: int = 0
    """Calls of infer that fail before one succeeds."""
    batches: list[int] = field(default_factory=list)

    def ModelReady(self, request: Any, context: Any) -> Any:
        return pb.ModelReadyResponse(ready=request.name == self.model)

    def ModelMetadata(self, request: Any, context: Any) -> Any:
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name=self.model,
            versions=["1"],
            platform="stand-in",
            inputs=[tensor(name="images", datatype="FP32", shape=[-1, 3, self.size, self.size])],
            outputs=[tensor(name=name, datatype="FP32", shape=[-1, *shape]) for name, shape in self.outputs.items()],
        )

    def ModelConfig(self, request: Any, context: Any) -> Any:
        answer = pb.ModelConfigResponse()
        answer.config.max_batch_size = self.largest
        return answer

    def ModelInfer(self, request: Any, context: Any) -> Any:
        if self.unavailable:
            self.unavailable -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "is being loaded")
        (given,) = request.inputs
        assert (given.name, given.datatype) == ("images", "FP32")
        images = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(given.shape)
        if len(images) > self.largest:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"batch size must be <= {self.largest}")
        self.batches.append(len(images))
        answer = pb.ModelInferResponse(model_name=self.model, model_version="1")
        values = self.run(images)
        for wanted in request.outputs:
            value = np.ascontiguousarray(values[wanted.name], np.float32)
            answer.outputs.add(name=wanted.name, datatype="FP32", shape=value.shape)
            answer.raw_output_contents.append(value.tobytes())
        return answer


@contextlib.contextmanager
def triton(stand_in: StandIn) -> Iterator[str]:
    """A server on the loopback; its URL."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(stand_in, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"triton://127.0.0.1:{port}/{stand_in.model}"
    finally:
        server.stop(None)
