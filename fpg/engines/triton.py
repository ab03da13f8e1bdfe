"""The detector on a Triton Inference Server, over gRPC with NVIDIA's client: crops go there, logits and maps come back.

What is said of the model (threshold, temperature, crop rule, labels) comes from the sidecar of the model that the server has, which stays
here; `fpg-export --triton` puts both where they belong.
"""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple

import numpy as np

from fpg.common.errors import InputError, MissingDependencyError, UsageError
from fpg.common.spec import EngineSpec
from fpg.engines.base import CheckedEngine, reference_difference

try:
    import tritonclient.grpc as client
    from tritonclient.utils import InferenceServerException
except ImportError as error:
    raise MissingDependencyError(f"Triton's client is not installed: pip install 'tritonclient[grpc]' ({error})") from error

PATIENCE_S = 30.0
"""How long an answer may take, and a server that is away be waited for."""


class Address(NamedTuple):
    """A model on a server."""

    server: str
    """`HOST:PORT` of gRPC."""
    model: str
    version: str
    """`` is the server's choice."""


def parse_address(url: str) -> Address:
    """`triton://HOST[:PORT]/MODEL[/VERSION]`; the port is 8001 where none is given.

    Raises:
        UsageError: something else.
    """
    found = re.fullmatch(r"triton://(\[[0-9a-fA-F:]+\]|[^/:@]+)(?::(\d{1,5}))?/([^/]+)(?:/(\d+))?/?", url)
    if found is None:
        raise UsageError(f"--engine: expected triton://HOST:PORT/MODEL, got {url}")
    host, port, model, version = found.groups()
    return Address(f"{host}:{port or 8001}", model, version or "")


class TritonEngine(CheckedEngine):
    """A model that a Triton server runs; any batch, cut to what the server takes. Threads may share it."""

    def __init__(self, url: str, spec: EngineSpec, server: Any, largest: int) -> None:
        super().__init__(spec, url)
        self._address, self._server, self._largest = parse_address(url), server, largest

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        parts = [self._ask(images[start : start + self._largest]) for start in range(0, len(images), self._largest)]
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _ask(self, images: np.ndarray) -> list[np.ndarray]:
        taken = client.InferInput("images", list(images.shape), "FP32")
        taken.set_data_from_numpy(images)
        wanted = [client.InferRequestedOutput(name) for name in self.spec.outputs]
        address, until, pause = self._address, time.monotonic() + PATIENCE_S, 0.1
        while True:
            try:
                answer = self._server.infer(
                    address.model, [taken], model_version=address.version, outputs=wanted, client_timeout=PATIENCE_S
                )
            except InferenceServerException as error:
                if "UNAVAILABLE" not in str(error.status()) or time.monotonic() > until:
                    raise InputError(self.device, f"does not answer: {error.message()}", "worker") from error
                time.sleep(pause)  # it restarts, or loads a new version
                pause = min(2.0, 2 * pause)
                continue
            values = [answer.as_numpy(name) for name in self.spec.outputs]
            if any(value is None for value in values):
                raise InputError(self.device, f"answers without {' and '.join(self.spec.outputs)}", "invalid")
            return values


def connect(url: str, spec: EngineSpec) -> TritonEngine:
    """A detector on a server.

    Args:
        url: see `parse_address`.
        spec: the sidecar of the model that the server has.

    Raises:
        UsageError: no such URL.
        InputError: no server, no such model, other inputs or outputs than the sidecar's, or other answers than its reference.
    """
    address = parse_address(url)
    try:
        server = client.InferenceServerClient(address.server)
        if not server.is_model_ready(address.model, address.version, client_timeout=PATIENCE_S):
            raise InputError(url, f"the server has no model {address.model} that is ready", "missing")
        described = server.get_model_metadata(address.model, address.version, as_json=True, client_timeout=PATIENCE_S)
        config = server.get_model_config(address.model, address.version, as_json=True, client_timeout=PATIENCE_S)["config"]
    except InferenceServerException as error:
        raise InputError(url, f"does not answer as a Triton server: {error.message()}", "missing") from error
    size = str(spec.image_size)
    shapes = {value["name"]: value.get("shape", [])[1:] for value in described.get("inputs", [])}
    if shapes != {"images": ["3", size, size]}:
        raise InputError(url, f"takes {shapes}, the sidecar says images of [3, {size}, {size}]", "invalid")
    missing = set(spec.outputs) - {value["name"] for value in described.get("outputs", [])}
    if missing:
        raise InputError(url, f"does not answer with {', '.join(sorted(missing))}, as the sidecar says", "invalid")
    largest = int(config.get("max_batch_size", 0))
    if largest < 1:
        raise InputError(url, "takes no batches (max_batch_size)", "invalid")
    engine = TritonEngine(url, spec, server, largest)
    difference, tolerance = reference_difference(engine), (spec.reference or {}).get("tolerance", 0.0)
    if not difference <= tolerance:
        what = f"is another model: it differs by {difference:.3g} from the sidecar's reference, and may by {tolerance:g}"
        raise InputError(url, what, "invalid")
    return engine
