"""How every command-line program says its version, and how it ends.

0: all done. 1: an input failed, or a result could not be written. 2: wrong usage, or what the program needs before its first input cannot
be used (a model, a package). 130: Ctrl-C. 141: closed pipe. 143: SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from fpg import __version__
from fpg.common.console import any_terminal, one_line
from fpg.common.errors import FpgError, InputError, MissingDependencyError, SetupError, UsageError
from fpg.common.packages import advice_for

_IMPATIENCE_S = 3.0
"""A second Ctrl-C within this time is the same one; a later one stops the cleaning up, too."""


def add_version(parser: argparse.ArgumentParser) -> None:
    """`--version`: name of the program and version of fpg."""
    parser.add_argument("--version", action="version", version=f"{parser.prog} {__version__}", help="print the version and exit")


class Terminated(SystemExit):
    """Raised in the main thread by SIGTERM, so that `finally` blocks clean up before the program ends."""


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated(143)


class _Interrupt:
    """SIGINT: one KeyboardInterrupt, not one in the middle of each step that cleans up after the first."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        before, self._last = self._last, time.monotonic()
        if self._last - before > _IMPATIENCE_S:
            raise KeyboardInterrupt


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """Around what a program needs before its first input: an `InputError` there is a `SetupError`, exit code 2."""
    try:
        yield
    except InputError as error:
        raise SetupError(str(error)) from error


def run(main: Callable[[], int | None]) -> int:
    """Call `main` and turn its outcome into an exit code; errors meant for people are printed as one line.

    Whatever the operating system refuses (a full disk, a name that is too long) is one line too, and a reader that has gone
    away (`| head`) ends the program silently. Terminals of any encoding get every character, escaped where they lack it.

    Args:
        main: returns the exit code (None is 0).
    """
    any_terminal()
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _Interrupt())
    try:
        code = main() or 0
        sys.stdout.flush()
        return code
    except (UsageError, SetupError, MissingDependencyError) as error:
        return _fail(str(error), 2)
    except FpgError as error:
        return _fail(str(error), 1)
    except ModuleNotFoundError as error:
        advice = advice_for(error.name)
        if advice is None:
            raise
        return _fail(f"{Path(sys.argv[0]).stem} needs {error.name}, which is not installed: {advice}", 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130, "")
    except BrokenPipeError:
        _drop_output()
        return 141
    except MemoryError as error:
        return _fail(f"out of memory {error}".strip(), 1)
    except OSError as error:
        _drop_output()
        name = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return _fail(f"{name}{error.strerror or error}", 1)


def _fail(text: str, code: int, prefix: str = "error: ") -> int:
    print(one_line(prefix + text), file=sys.stderr)
    return code


def _drop_output() -> None:
    """Send what is still buffered for a standard output that refuses it nowhere, or the interpreter complains as it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
