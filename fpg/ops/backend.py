"""Which implementation runs an operation: the compiled kernels (`fpg._C`) or the pure-torch reference.

`FPG_BACKEND=native` demands the kernels, `reference` the pure-torch code, and `auto` (the default) takes the kernels where
this build has them. The choice is a decision made before the call and logged once; no error is ever turned into a fallback.
"""

from __future__ import annotations

import functools
import logging
from typing import Literal

import torch

from fpg.common.errors import MissingDependencyError
from fpg.common.native import VARIABLE, choice, native, native_built, native_module
from fpg.common.packages import BUILD_COMMAND

__all__ = ["Backend", "backend", "native", "native_built", "native_module", "native_target"]

Backend = Literal["native", "reference"]

_log = logging.getLogger("fpg.ops")


def backend(device_type: str = "cpu") -> Backend:
    """The implementation for tensors on `device_type` ("cpu", "cuda", ...), as `FPG_BACKEND` says.

    Raises:
        UsageError: `FPG_BACKEND` is none of its values.
        MissingDependencyError: `native` is demanded, but not built, or not built for this kind of device.
    """
    return choose_backend(choice(), device_type)


@functools.cache
def choose_backend(wanted: str, device_type: str) -> Backend:
    """The implementation for a value of `FPG_BACKEND` and a kind of device; decided and logged once per process. Raises as `backend`."""
    if wanted == "reference":
        _log.info("operations on %s: pure torch (%s=reference)", device_type, VARIABLE)
        return "reference"
    if wanted == "auto" and not native_built():
        _log.warning("operations on %s: pure torch, because fpg._C is not built (`%s` builds it)", device_type, BUILD_COMMAND)
        return "reference"
    if reason := _unsupported(device_type) or _too_old(device_type):
        if wanted == "native":
            raise MissingDependencyError(f"{VARIABLE}=native: {reason}")
        _log.warning("operations on %s: pure torch, because %s", device_type, reason)
        return "reference"
    _log.info("operations on %s: compiled kernels", device_type)
    return "native"


def _too_old(device_type: str) -> str:
    """Why the kernels that were compiled do not run on this GPU, where it is older than all they were compiled for; else empty."""
    if device_type != "cuda" or not torch.cuda.is_available():
        return ""
    names = native.build_info().cuda_architectures
    numbers = [int(digits) for name in names if (digits := "".join(c for c in str(name) if c.isdigit()))]
    major, minor = torch.cuda.get_device_capability()
    if not numbers or 10 * major + minor >= min(numbers):
        return ""
    return (
        f"{torch.cuda.get_device_name()} is an sm_{major}{minor}, and fpg's kernels were compiled for sm_{min(numbers)} and later "
        f"(CUDAARCHS={major}{minor} {BUILD_COMMAND} compiles them for it, untested)"
    )


def _unsupported(device_type: str) -> str:
    """Why the compiled module cannot work on this kind of device; empty when it can."""
    if device_type == "cpu":
        native_module()
        return ""
    if device_type != "cuda":
        return f"fpg has no kernels for {device_type}"
    return "" if native.build_info().cuda else "fpg._C was built without CUDA (install it with nvcc on PATH)"


def native_target(device: torch.device) -> native.Target:
    """Device, current stream and thread number as the compiled module takes them."""
    on_gpu = device.type == "cuda"
    stream = torch.cuda.current_stream(device).cuda_stream if on_gpu else 0
    return native.Target(device.index if on_gpu else -1, stream, torch.get_num_threads())
