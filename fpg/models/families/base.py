"""What a family of published detectors is, and how their tensors come under our names with an account of every one."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fpg.models.detector import Detector
from fpg.models.weights import KeyReport, KeysError


@dataclass(frozen=True)
class Imported:
    """A published detector as one of ours."""

    model: Detector
    """On the CPU, in evaluation mode."""
    title: str
    """What it is, with its source in brackets."""
    crop: str
    """How it wants its faces cut, one of `fpg.common.spec.CROPS`."""
    preprocessing: str
    """What it expects of an image, and where fpg gives it something else."""
    report: KeyReport
    """Of the file's tensors, by their own names."""


@dataclass(frozen=True)
class DetectorFamily:
    """Detectors that are published in one form: `config.json` next to `model.safetensors`."""

    name: str
    """For people, in messages."""
    recognises: Callable[[Mapping[str, Any]], bool]
    """Whether a `config.json` is of this family."""
    build: Callable[[Mapping[str, Any], Mapping[str, Tensor], str | os.PathLike[str]], Imported]
    """`config.json`, the tensors of `model.safetensors` and the folder, for messages, to a detector. Raises InputError where they do not
    fit each other, or mean something that fpg does not build."""


def convert(
    own: Mapping[str, Tensor],
    sources: Mapping[str, Sequence[str]],
    state: Mapping[str, Tensor],
    path: str | os.PathLike[str],
    what: str,
    unneeded: Sequence[str] = (),
) -> tuple[dict[str, Tensor], KeyReport]:
    """A file's tensors under our names. Exact: every tensor of the network must come, and every tensor of the file must be accounted for.

    Args:
        own: our tensors by name; their shapes and types count.
        sources: our name -> names in the file, whose tensors follow each other along the first dimension; dimensions of length one may
            differ.
        state: the file's tensors by name.
        path: for messages.
        what: the network, for messages.
        unneeded: patterns of names that may be in the file and that the network has no use for.

    Raises:
        KeysError: a tensor is missing, of another shape, or none that this network has; all are named in `keys`.
    """
    wanted = {name for names in sources.values() for name in names}
    left = [name for name in state if name not in wanted]
    spare = tuple(name for name in left if any(fnmatch.fnmatchcase(name, pattern) for pattern in unneeded))
    found: dict[str, Tensor] = {}
    mismatched: list[str] = []
    for ours, names in sources.items():
        if not all(name in state for name in names):
            continue
        tensors = [state[name] for name in names]
        fits = len({tensor.shape for tensor in tensors}) == 1 and _joined(tensors) == [side for side in own[ours].shape if side != 1]
        if fits:
            found[ours] = torch.cat([tensor.reshape(-1) for tensor in tensors]).reshape(own[ours].shape).to(own[ours].dtype)
        else:
            each = " + ".join(str(list(tensor.shape)) for tensor in tensors)
            mismatched.append(f"{', '.join(names)} {each} != {list(own[ours].shape)}")
    report = KeyReport(
        missing=tuple(name for names in sources.values() for name in names if name not in state),
        extra=tuple(name for name in left if name not in spare),
        mismatched=tuple(mismatched),
        used=tuple(name for names in sources.values() for name in names if name in state),
        unneeded=spare,
    )
    if not report.exact:
        raise KeysError(path, f"does not fit the network of {what}: {report}", report.lines())
    return found, report


def _joined(tensors: Sequence[Tensor]) -> list[int]:
    """Sides of tensors of one shape put together along the first dimension, without those of length one."""
    first, *others = tensors[0].shape or (1,)
    return [side for side in (first * len(tensors), *others) if side != 1]
