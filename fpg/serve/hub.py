"""News of jobs, from the thread that runs them to the connections that wait for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class ProgressHub:
    """Keeps the latest progress of each running job, and wakes those who follow it. Made in the event loop that serves them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._progress: dict[str, dict[str, Any]] = {}
        self._followers: dict[str, list[asyncio.Event]] = {}

    def progress(self, id: str) -> dict[str, Any] | None:
        """How far a job is, when that is known."""
        with self._lock:
            return self._progress.get(id)

    def tell(self, id: str, progress: dict[str, Any] | None) -> None:
        """From any thread: a job's progress, or (None) that its state has changed."""
        with self._lock:
            if progress is None:
                self._progress.pop(id, None)
            else:
                self._progress[id] = progress
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, id)

    @contextmanager
    def following(self, id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is news of a job; the follower clears it."""
        event = asyncio.Event()
        self._followers.setdefault(id, []).append(event)
        try:
            yield event
        finally:
            self._followers[id].remove(event)
            if not self._followers[id]:
                del self._followers[id]

    def wake_all(self) -> None:
        """The server ends: everybody looks."""
        for id in list(self._followers):
            self._wake(id)

    def _wake(self, id: str) -> None:
        for event in self._followers.get(id, ()):
            event.set()
