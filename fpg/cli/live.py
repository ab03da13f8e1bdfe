"""Streams and cameras, judged without end: a result for every so many seconds, and a new connection when one is lost."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from fpg.common.errors import InputError
from fpg.record.run import now
from fpg.runtime.judgement import FrameScore, Judgement
from fpg.runtime.pipeline import VideoDetector
from fpg.runtime.stages import closing

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Before the first new connection, doubled with each that fails, up to the longest."""


class LiveSegment(NamedTuple):
    """What was judged of a stream in one stretch of time."""

    result: Judgement
    live: dict[str, Any]
    """number (from 0), started, ended (UTC)."""


@dataclass
class Live:
    """One stream or camera.

    Args:
        detector: judges.
        source: a URL, or `camera:N`.
        seconds: of a stretch, by the clock.
        every: look at every N-th frame.
        frames: to look at in all; None without end.
        patience_s: without a frame after which the source is given up; None never.
        tell: is told in a line when a connection is lost.
        wait: sleeps so many seconds.
    """

    detector: VideoDetector
    source: str
    seconds: float
    every: int
    frames: int | None
    patience_s: float | None
    tell: Callable[[str], object]
    wait: Callable[[float], object] = time.sleep

    def __post_init__(self) -> None:
        self._number = self._looked = self._failures = 0
        self._kept: list[FrameScore] = []
        self._started = now()

    def stretches(self) -> Iterator[LiveSegment]:
        """Results as they come. What was judged of a stretch when the source ends is given, too; a source that is given up gives its
        error."""
        seen = time.monotonic()
        while True:
            try:
                for frame in self._frames():
                    seen, self._failures = time.monotonic(), 0
                    yield from self._take(frame)
                    if self.frames is not None and self._looked >= self.frames:
                        yield from self._close()
                        return
                reason = "it ended"
            except InputError as error:
                reason = error.reason
            yield from self._close()
            if self.patience_s is not None and time.monotonic() - seen > self.patience_s:
                yield self._given_up(f"was given up after {self.patience_s:g} s without a frame (--timeout): {reason}")
                return
            pause = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._failures)
            self._failures += 1
            self.tell(f"{self.source}: connection lost ({reason}); reconnecting in {pause:g} s")
            self.wait(pause)

    def _frames(self) -> Iterator[FrameScore]:
        with closing(self.detector.stream(self.source, every=self.every)) as judged:
            for now_ in judged:
                yield now_.frame

    def _take(self, frame: FrameScore) -> Iterator[LiveSegment]:
        if not self._kept:
            self._started, self._end = now(), time.monotonic() + self.seconds
        self._kept.append(frame)
        self._looked += 1
        if time.monotonic() >= self._end:
            yield from self._close()

    def _close(self) -> Iterator[LiveSegment]:
        """The result of what was kept, if anything was."""
        if not self._kept:
            return
        result = self.detector.conclude(self.source, self._kept)
        self._kept = []
        yield self._stretch(result)

    def _given_up(self, reason: str) -> LiveSegment:
        self._started = now()
        return self._stretch(self.detector.failed(self.source, InputError(self.source, reason, "timeout")))

    def _stretch(self, result: Judgement) -> LiveSegment:
        self._number += 1
        return LiveSegment(result, {"number": self._number - 1, "started": self._started, "ended": now()})


def merge_streams(sources: list[Live]) -> Iterator[LiveSegment]:
    """The stretches of several sources, each in a thread of its own, as they come."""
    if len(sources) == 1:
        yield from sources[0].stretches()
        return
    waiting: queue.Queue[LiveSegment | BaseException | None] = queue.Queue(maxsize=len(sources))

    def work(source: Live) -> None:
        try:
            for stretch in source.stretches():
                waiting.put(stretch)
            waiting.put(None)
        except BaseException as error:
            waiting.put(error)

    for source in sources:
        threading.Thread(target=work, args=(source,), daemon=True).start()
    left = len(sources)
    while left:
        item = waiting.get()
        if isinstance(item, BaseException):
            raise item
        if item is None:
            left -= 1
        else:
            yield item
