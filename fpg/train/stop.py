"""Ctrl-C and SIGTERM as requests that the training loop honours between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn


class StopRequest:
    """Turns Ctrl-C and SIGTERM into a request that the loop honours between two steps; a second one ends the run at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self.leave(number)
        self.signal = number

    @staticmethod
    def leave(number: int) -> NoReturn:
        """Raise what a program that got this signal ends with."""
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(143)
