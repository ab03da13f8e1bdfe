"""Errors that a person is meant to read. Every one is a single line; `InputError` names the file, and has a code for programs.

The codes are in `error_codes.json` next to this file, with what each means: the one table that Python reads, from which the C++ runtime's
header is made when it is built, and that the documentation shows. To add one, write a line there, and give it where the error is raised:
`InputError(path, reason, "new_code")` here, `InputError(path, reason, codes::new_code)` in C++.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

CODES: dict[str, str] = json.loads(Path(__file__).with_name("error_codes.json").read_text(encoding="utf-8"))
"""Code -> what it means."""
_BY_ERRNO = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.ELOOP: "missing",
    errno.EACCES: "not_permitted",
    errno.EPERM: "not_permitted",
    errno.EISDIR: "not_a_file",
}


class FpgError(Exception):
    """Base of all errors fpg raises on purpose. Command-line programs print it without a traceback."""


class InputError(FpgError):
    """One input (a file, a video, a checkpoint) cannot be used: carries the path, the reason and a code.

    Args:
        path: what was being read.
        reason: why it cannot be used, in one line.
        code: the kind of reason, one of `CODES`; None is the class's own.
    """

    code = "unreadable"

    def __init__(self, path: str | os.PathLike[str], reason: str, code: str | None = None) -> None:
        self.path = os.fspath(path)
        self.reason = " ".join(str(reason).split())
        if code is not None:
            if code not in CODES:
                raise ValueError(f"code: there is no {code} in error_codes.json")
            self.code = code
        super().__init__(f"{self.path}: {self.reason}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.reason), self.__dict__

    @staticmethod
    def of(path: str | os.PathLike[str], error: BaseException) -> InputError:
        """What the operating system said of a path, with its code."""
        number = getattr(error, "errno", None)
        return InputError(path, getattr(error, "strerror", None) or str(error), _BY_ERRNO.get(number or 0))


class UsageError(FpgError):
    """The call itself is wrong (unknown option, impossible combination): exit code 2."""


class SetupError(FpgError):
    """Something that a program needs before it looks at its first input cannot be used (the model): exit code 2."""


class MissingDependencyError(FpgError):
    """An optional package or system library is absent; the message says how to get it: exit code 2."""
