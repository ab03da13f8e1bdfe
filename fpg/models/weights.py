"""Reading weight files without running anything in them, and putting tensors into networks with an exact account."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from fpg.common.errors import InputError

_NESTED = ("model", "state_dict", "net", "model_state_dict")
"""Names under which checkpoints keep their state dict."""
_STAND_INS = {
    b"<!doctype html": "it is a web page; download the file itself",
    b"<html": "it is a web page; download the file itself",
    b"version https://git-lfs": "it is a pointer of Git LFS; fetch the file itself with `git lfs pull`",
}
"""How files begin that are no weights -> what they are."""


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """What a `.safetensors` or a torch file holds, on the CPU. Torch files are read with `weights_only=True`: no code in them runs.

    Raises:
        InputError: missing, damaged, or a pickle that holds more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "is a folder, expected a file of weights" if path.is_dir() else "no such file")
    try:
        _refuse_stand_ins(path)
        _refuse_archives(path)
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error that follows says what matters
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = _first_reason(str(error))
        if "GLOBAL" in reason:
            raise InputError(path, f"refused: the file holds code or objects besides tensors ({reason})") from error
        raise InputError(
            path, f"is not a readable checkpoint; damaged, or a pickle of something else; nothing in it was run ({reason})"
        ) from error
    except InputError:
        raise
    except Exception as error:  # damaged files make torch's reader fail in any way
        raise InputError(path, f"is not a readable checkpoint: {_first_reason(str(error)) or type(error).__name__}") from error


def _refuse_stand_ins(path: Path) -> None:
    """Refuse what a failed download leaves under the name of a weight file."""
    with open(path, "rb") as file:
        start = file.read(256).lstrip().lower()
    for opening, what in _STAND_INS.items():
        if start.startswith(opening):
            raise InputError(path, f"is not a readable checkpoint: {what}")


def _refuse_archives(path: Path) -> None:
    """Refuse zip files that are programs, or that hold more than they are large: torch writes its own uncompressed."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any("/code/" in entry.filename or entry.filename.endswith("constants.pkl") for entry in entries):
        raise InputError(path, "is a TorchScript program, and no program is run: save its state_dict() with torch.save", "refused")
    if sum(entry.file_size for entry in entries) > 2 * path.stat().st_size + (1 << 20):
        raise InputError(path, "is not a readable checkpoint: it claims to hold more than its own size", "too_large")


def _first_reason(message: str) -> str:
    """torch's explanation without its advice to turn the protection off."""
    lines = [line.strip() for line in message.splitlines() if line.strip()] or [""]
    reasons = [line for line in lines if line.startswith(("WeightsUnpickler error", "Unsupported", "GLOBAL", "Trying"))]
    return (reasons or lines)[0].removeprefix("WeightsUnpickler error: ")[:200]


def read_state(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The state dict in a file: bare, or under one of `_NESTED`; the prefix `module.` of data-parallel training is taken off.

    Raises:
        InputError: as `read_checkpoint`, or there is no state dict in it.
    """
    value = read_checkpoint(path)
    places = [value, *(value.get(name) for name in _NESTED)] if isinstance(value, Mapping) else []
    state = next((place for place in places if _is_state(place)), None)
    if state is None:
        raise InputError(path, f"holds no state dict (expected tensors by name, bare or under {', '.join(_NESTED)})")
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def _is_state(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(tensor, Tensor) for tensor in value.values())


@dataclass(frozen=True)
class KeyReport:
    """How a file's tensors and a network's fit; the first three empty when they fit exactly."""

    missing: tuple[str, ...] = ()
    """In the network, not in the file."""
    extra: tuple[str, ...] = ()
    """In the file, not in the network."""
    mismatched: tuple[str, ...] = ()
    """In both with different shapes, as `name [file] != [network]`."""
    used: tuple[str, ...] = ()
    """In both, where somebody keeps account of that."""
    unneeded: tuple[str, ...] = ()
    """In the file, known to take no part in an answer."""

    def lines(self) -> list[str]:
        """One line per key, all of them."""
        return [f"{kind}: {name}" for kind, names in (*self._named(), ("used", self.used)) for name in names]

    @property
    def exact(self) -> bool:
        """Whether nothing is missing, extra or of another shape."""
        return not (self.missing or self.extra or self.mismatched)

    def __str__(self) -> str:
        parts = [
            f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" for kind, names in self._named() if names
        ]
        return "; ".join([*([f"{len(self.used)} used"] if self.used else []), *parts]) or "every key fits"

    def _named(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return (
            ("missing", self.missing),
            ("extra", self.extra),
            ("of another shape", self.mismatched),
            ("not needed", self.unneeded),
        )


class KeysError(InputError):
    """A file's tensors do not fit a network; `keys` has a line for each that does not."""

    def __init__(self, path: str | os.PathLike[str], reason: str, keys: Sequence[str] = ()) -> None:
        super().__init__(path, reason)
        self.keys = list(keys)


def compare_keys(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> KeyReport:
    """Account of a file's `state` against a network's `own` tensors by the same names, in the network's order."""
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
    report = compare_keys(module.state_dict(), state)
    if not report.exact:
        raise KeysError(path, f"does not fit {what}: {report}", report.lines())
    module.load_state_dict(dict(state))
