"""Checkpoints: everything a run needs to go on exactly where it stood.

Random states are not among it: dropout and drop-connect are seeded at every step from (seed, step, process), the other draws from their
own keys, so a position is enough. The number of processes may change: only dropout and the batch statistics know of it.
"""

from __future__ import annotations

import dataclasses
import io
import os
from dataclasses import dataclass, field
from typing import Any

import torch

from fpg.common.errors import InputError, UsageError
from fpg.common.files import atomic_write
from fpg.models.weights import read_checkpoint
from fpg.train.config import completed, differences
from fpg.train.learner import Learner

SCHEMA = "fpg.checkpoint/2"
COUNTS = ("pairs", "refined", "kept_unrefined", "unreadable", "no_update", "skipped_batches")
"""Pairs seen; refined in shape; left alone because refinement would have emptied their mask; faces that could not be read; steps without a
selected pair; batches without a single readable face."""


@dataclass
class Position:
    """Where a run stands, and what it has counted so far."""

    epoch: int = 0
    """0-based."""
    step_in_epoch: int = 0
    """Steps of this epoch that are done."""
    step: int = 0
    """Steps done in all, those without an update included."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    best: dict[str, float] | None = None
    """`auc`, `loss`, `epoch`, `step` of the best validation, None before the first."""
    latest: dict[str, float] | None = None
    """The same of the last validation."""
    kept: list[dict[str, float]] = field(default_factory=list)
    """The same of the `keep_top` best ones, best first."""


def save_checkpoint(path: str | os.PathLike[str], learner: Learner, position: Position, config: dict[str, Any], fingerprint: str) -> None:
    """Write a checkpoint atomically.

    Raises:
        InputError: it cannot be written.
    """
    value = {
        "schema": SCHEMA,
        "config": config,
        "fingerprint": fingerprint,
        "position": dataclasses.asdict(position),
        **learner.state_dict(),
    }
    buffer = io.BytesIO()
    torch.save(value, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint; tensors land on the CPU, and no code in it runs.

    Raises:
        InputError: missing, damaged, holding more than tensors and plain values, or not one of fpg-train's.
    """
    value = read_checkpoint(path)
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise InputError(path, f"is not a checkpoint of fpg-train (expected schema {SCHEMA})")
    return value


def restore(path: str | os.PathLike[str], learner: Learner, config: dict[str, Any], fingerprint: str) -> Position:
    """Put a run back to where its checkpoint stands.

    Raises:
        UsageError: the config differs in a field that decides what is learnt, or the data are others.
        InputError: unreadable, or of another network.
    """
    value = read(path)
    if found := differences(config, completed(value["config"])):
        raise UsageError(f"--resume: {path} was written with another config ({'; '.join(found)})")
    if value["fingerprint"] != fingerprint:
        raise UsageError(f"--resume: {path} was written with other data (fingerprint {value['fingerprint'][:12]}, now {fingerprint[:12]})")
    try:
        learner.load_state_dict(value)
        return Position(**value["position"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise InputError(path, f"does not fit this network: {str(error).splitlines()[0]}") from error
