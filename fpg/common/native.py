"""The compiled module `fpg._C`: whether it is there, whether it fits this checkout, whether `FPG_BACKEND` wants it.

`FPG_BACKEND=native` demands the kernels, `reference` what stands in for them (torch, OpenCV), and `auto` (the default) takes the kernels
where they are built. No error is ever turned into a fallback. Needs no torch; which device runs an operation is `fpg.ops.backend`'s.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fpg.common.errors import MissingDependencyError, UsageError
from fpg.common.packages import BUILD_COMMAND

VARIABLE = "FPG_BACKEND"
CHOICES = ("auto", "native", "reference")
STUB = Path(__file__).parents[1] / "_C.pyi"
"""Names and arguments of the compiled module; the build puts the SHA-256 of this file into it."""


def native_built() -> bool:
    """Whether the compiled module lies next to the package (it is not imported)."""
    return importlib.util.find_spec("fpg._C") is not None


@functools.cache
def native_module() -> ModuleType:
    """The compiled module `fpg._C`.

    Raises:
        MissingDependencyError: it was not built, it was built for another Python or system and does not load, or it was built from other
            sources than this checkout's.
    """
    if not native_built():
        raise MissingDependencyError(f"fpg._C is not built: run `{BUILD_COMMAND}` in the project, or set {VARIABLE}=reference")
    try:
        module = importlib.import_module("fpg._C")
    except ImportError as error:
        raise MissingDependencyError(f"fpg._C does not load ({error}): run `{BUILD_COMMAND}` again, or set {VARIABLE}=reference") from error
    if getattr(module, "INTERFACE", None) != hashlib.sha256(STUB.read_bytes()).hexdigest():
        raise MissingDependencyError(
            f"fpg._C was built from other sources (its interface is not that of {STUB.name}): "
            f"run `{BUILD_COMMAND}` again, or set {VARIABLE}=reference"
        )
    return module


class _Native:
    """`fpg._C`, loaded when something of it is first used; raises as `native_module`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(native_module(), name)


if TYPE_CHECKING:
    from fpg import _C as native
else:
    native = _Native()


def choice() -> str:
    """What `FPG_BACKEND` says, one of `CHOICES`.

    Raises:
        UsageError: it is none of its values.
    """
    said = os.environ.get(VARIABLE) or "auto"
    if said not in CHOICES:
        raise UsageError(f"{VARIABLE}: expected one of {', '.join(CHOICES)}, got {said!r}")
    return said


def use_native() -> bool:
    """Whether an operation on the CPU that works without the kernels, too, is to run on them.

    Raises:
        UsageError, MissingDependencyError: as `choice` and `native_module`.
    """
    said = choice()
    if said == "reference" or (said == "auto" and not native_built()):
        return False
    native_module()
    return True
