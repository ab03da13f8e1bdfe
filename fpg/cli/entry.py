"""How every command-line program ends: 0 all done, 1 an input failed, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

from fpg.common.errors import FpgError, UsageError


class Terminated(SystemExit):
    """Raised in the main thread by SIGTERM, so that `finally` blocks clean up before the program ends."""


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated(143)


def run(main: Callable[[], int | None]) -> int:
    """Call `main` and turn its outcome into an exit code; errors meant for people are printed as one line.

    Args:
        main: returns the exit code (None is 0).
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return main() or 0
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except FpgError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
