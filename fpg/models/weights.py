"""Reading weight files without running anything in them, and putting tensors into networks with an exact account."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from fpg.common.errors import InputError


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """What a `.safetensors` or a torch file holds, on the CPU. Torch files are read with `weights_only=True`: no code in them runs.

    Raises:
        InputError: missing, damaged, or a pickle that holds more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")  # the error that follows says what matters
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = _first_reason(str(error))
        if "GLOBAL" in reason:
            raise InputError(path, f"refused: the file holds code or objects besides tensors ({reason})") from error
        raise InputError(
            path, f"is not a readable checkpoint; damaged, or a pickle of something else; nothing in it was run ({reason})"
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, zipfile.BadZipFile, safetensors.SafetensorError) as error:
        raise InputError(path, f"is not a readable checkpoint: {error}") from error


def _first_reason(message: str) -> str:
    """torch's explanation without its advice to turn the protection off."""
    lines = [line.strip() for line in message.splitlines()]
    reasons = [line for line in lines if line.startswith(("WeightsUnpickler error", "Unsupported", "GLOBAL", "Trying"))]
    return (reasons or lines)[0].removeprefix("WeightsUnpickler error: ")[:200]


def read_state(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The state dict in a file: bare, or under `model` or `state_dict`; the prefix `module.` of data-parallel training is taken off.

    Raises:
        InputError: as `read_checkpoint`, or there is no state dict in it.
    """
    value = read_checkpoint(path)
    for name in ("model", "state_dict"):
        if isinstance(value, Mapping) and isinstance(value.get(name), Mapping):
            value = value[name]
            break
    if not isinstance(value, Mapping) or not value or not all(isinstance(v, Tensor) for v in value.values()):
        raise InputError(path, "holds no state dict (expected tensors by name, bare or under 'model' or 'state_dict')")
    return {str(name).removeprefix("module."): tensor for name, tensor in value.items()}


@dataclass(frozen=True)
class KeyReport:
    """How a file's tensors and a network's fit; all three empty when they fit exactly."""

    missing: tuple[str, ...] = ()
    """In the network, not in the file."""
    extra: tuple[str, ...] = ()
    """In the file, not in the network."""
    mismatched: tuple[str, ...] = ()
    """In both with different shapes, as `name [file] != [network]`."""

    @property
    def exact(self) -> bool:
        """Whether nothing is missing, extra or of another shape."""
        return not (self.missing or self.extra or self.mismatched)

    def __str__(self) -> str:
        parts = [
            f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" for kind, names in self._named() if names
        ]
        return "; ".join(parts) or "every key fits"

    def _named(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return ("missing", self.missing), ("extra", self.extra), ("of another shape", self.mismatched)


def compare(module: nn.Module, state: Mapping[str, Tensor]) -> KeyReport:
    """Account of `state` against the module's state dict, in the module's order."""
    own = module.state_dict()
    return KeyReport(
        missing=tuple(name for name in own if name not in state),
        extra=tuple(name for name in state if name not in own),
        mismatched=tuple(
            f"{name} {list(state[name].shape)} != {list(own[name].shape)}"
            for name in own
            if name in state and state[name].shape != own[name].shape
        ),
    )


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], path: str | os.PathLike[str], what: str) -> None:
    """Copy `state` into the module when every key and shape fits.

    Args:
        module: changed in place.
        state: tensors by the module's own names.
        path: named in the error.
        what: what the file was expected to be, e.g. `a detector on resnet18`.

    Raises:
        InputError: a key is missing, extra or of another shape; the module is left as it was.
    """
    report = compare(module, state)
    if not report.exact:
        raise InputError(path, f"does not fit {what}: {report}")
    module.load_state_dict(dict(state))
