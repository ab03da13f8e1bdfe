"""How every command-line program ends: 0 all done, 1 an input failed, 2 wrong usage, 130 Ctrl-C, 141 closed pipe, 143 SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from fpg.common.console import one_line
from fpg.common.errors import FpgError, UsageError


class Terminated(SystemExit):
    """Raised in the main thread by SIGTERM, so that `finally` blocks clean up before the program ends."""


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated(143)


def run(main: Callable[[], int | None]) -> int:
    """Call `main` and turn its outcome into an exit code; errors meant for people are printed as one line.

    Whatever the operating system refuses (a full disk, a name that is too long) is one line too, and a reader that has gone
    away (`| head`) ends the program without a word.

    Args:
        main: returns the exit code (None is 0).
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = main() or 0
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _fail(str(error), 2)
    except FpgError as error:
        return _fail(str(error), 1)
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
