"""What became of every video under every perturbation, kept as it comes, so that a run that was stopped goes on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpg.common.errors import InputError, UsageError
from fpg.runtime.judgement import Judgement

FORMAT = "fpg-robustness 1"
CLEAN = "clean"
Key = tuple[str, str, str, str, int]
"""Data set, method, video, perturbation (or `CLEAN`), level."""


@dataclass(frozen=True)
class PerturbedOutcome:
    """What became of one video under one perturbation."""

    status: str
    """`scored`, `no_face` or `failed`."""
    score: float | None = None
    reason: str = ""
    unchanged: bool = False
    """No frame differs from the clean one."""

    @staticmethod
    def of(judgement: Judgement, unchanged: bool = False) -> PerturbedOutcome:
        """From a judgement."""
        status = "scored" if judgement.score is not None else "no_face" if judgement.no_face else "failed"
        return PerturbedOutcome(status, judgement.score, judgement.error or "", unchanged)


class Log:
    """Outcomes as they come, one JSON line each, so that a run that was stopped goes on where it was.

    Args:
        path: the file; None keeps outcomes in memory only.
        header: what must be the same for outcomes to be comparable.

    Raises:
        UsageError: the file belongs to another run.
        InputError: it cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str] | None, header: dict[str, Any]) -> None:
        self._path = None if path is None else Path(path)
        self._done: dict[Key, tuple[str, PerturbedOutcome]] = {}
        if self._path is not None:
            self._start(self._path, {"format": FORMAT, **header})

    def get(self, key: Key, stamp: str) -> PerturbedOutcome | None:
        """The outcome of an earlier run; None when there is none, it failed, or the input has changed since."""
        kept = self._done.get(key)
        return kept[1] if kept is not None and kept[0] == stamp and kept[1].status != "failed" else None

    def add(self, key: Key, stamp: str, outcome: PerturbedOutcome) -> None:
        """Keep an outcome, on disk before this returns."""
        self._done[key] = (stamp, outcome)
        if self._path is not None:
            self._append(self._path, {"key": list(key), "stamp": stamp, **vars(outcome)})

    def _start(self, path: Path, header: dict[str, Any]) -> None:
        try:
            lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        except OSError as error:
            raise InputError(path, error.strerror or str(error)) from error
        whole = [line for line in lines if line.endswith(b"\n")]  # a run that was killed may leave half a line
        try:
            rows = [json.loads(line) for line in whole]
            entries = {tuple(row.pop("key")): (row.pop("stamp"), PerturbedOutcome(**row)) for row in rows[1:]}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"{path} is not a robustness log of fpg-eval: name another file ({error})") from error
        if rows and rows[0] != header:
            other = [k for k in header if not isinstance(rows[0], dict) or rows[0].get(k) != header[k]] or ["another version of fpg"]
            raise UsageError(f"{path} belongs to another run (it differs in {', '.join(other)}): name another file or delete it")
        self._done = entries
        if len(whole) != len(lines):
            os.truncate(path, sum(map(len, whole)))
        if not rows:
            self._append(path, header)

    @staticmethod
    def _append(path: Path, value: dict[str, Any]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab") as file:
                file.write(json.dumps(value, ensure_ascii=True, allow_nan=False).encode() + b"\n")
        except OSError as error:
            raise InputError(path, f"cannot be written: {error.strerror or error}") from error
