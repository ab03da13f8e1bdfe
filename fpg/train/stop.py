"""Ctrl-C and SIGTERM as requests that the training loop honours between two steps."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, NoReturn


class StopRequest:
    """Turns Ctrl-C and SIGTERM into a request that the loop honours between two steps; a second one ends the run at once.

    Args:
        follow: this process is one of several that a launcher watches. The launcher passes on signals that may have come here already
            (a job scheduler signals everyone), so that what follows within `GRACE` seconds is no second one; and when the launcher is
            gone, that is a request to stop.
    """

    GRACE = 5.0

    def __init__(self, follow: bool = False) -> None:
        self._signal: int | None = None
        self._at = 0.0
        self._follow, self._parent = follow, os.getppid()
        self._before: dict[int, Any] = {}

    @property
    def signal(self) -> int | None:
        """What asked this process to stop, None so far."""
        if self._signal is None and self._follow and os.getppid() != self._parent:
            return signal.SIGTERM
        return self._signal

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._signal is None:
            self._signal, self._at = number, now
        elif not self._follow or now - self._at > self.GRACE:
            self.leave(number)

    def leave(self, number: int) -> NoReturn:
        """Raise what a program that got this signal ends with; one of several processes ends silently."""
        raise KeyboardInterrupt if number == signal.SIGINT and not self._follow else SystemExit(128 + number)
