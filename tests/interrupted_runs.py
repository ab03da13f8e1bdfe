"""Ends that a training run may meet, at a step or checkpoint of choice."""

from __future__ import annotations

import contextlib
import itertools
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from fpg.train import loop
from fpg.train.state import save_checkpoint
from fpg.train.step import StepResult, train_step


@contextlib.contextmanager
def terminated_after(steps: int) -> Iterator[None]:
    """SIGTERM reaches this process at the end of training step number `steps`, counted from 1."""

    def stopping(*arguments: Any) -> StepResult:
        result = train_step(*arguments)
        if arguments[5] + 1 == steps:
            signal.raise_signal(signal.SIGTERM)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", stopping)
        yield


@contextlib.contextmanager
def killed_at_checkpoint(number: int, *, written: bool) -> Iterator[None]:
    """The run ends where its checkpoint number `number` (from 1) is due, before it is written or right after."""
    calls = itertools.count(1)

    def dying(*arguments: Any) -> None:
        last = next(calls) == number
        if written or not last:
            save_checkpoint(*arguments)
        if last:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", dying)
        yield
