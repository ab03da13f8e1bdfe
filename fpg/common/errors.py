"""Errors that a person is meant to read. Every one is a single line; `InputError` names the file."""

from __future__ import annotations

import os


class FpgError(Exception):
    """Base of all errors fpg raises on purpose. Command-line programs print it without a traceback."""


class InputError(FpgError):
    """One input (a file, a video, a checkpoint) cannot be used: carries the path and the reason.

    Args:
        path: what was being read.
        reason: why it cannot be used, in one line.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = os.fspath(path)
        self.reason = " ".join(str(reason).split())
        super().__init__(f"{self.path}: {self.reason}")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.path, self.reason)


class UsageError(FpgError):
    """The call itself is wrong (unknown option, impossible combination): exit code 2."""


class MissingDependencyError(FpgError):
    """An optional package or system library is absent; the message says how to get it."""
