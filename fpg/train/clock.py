"""How long the parts of a step take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch


class Clock:
    """Seconds spent in named blocks; on a GPU events are recorded, so that nothing waits for the device until `seconds`,
    and then for these blocks only."""

    def __init__(self, device: torch.device, *names: str) -> None:
        self.device = device
        self.laps: dict[str, list[tuple[Any, Any]]] = {name: [] for name in names}

    @contextlib.contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Measure a block."""
        started = self._now()
        yield
        self.laps[name].append((started, self._now()))

    def seconds(self) -> tuple[float, ...]:
        """Of each name, in their order."""
        if self.device.type == "cuda":
            for laps in self.laps.values():
                for _, ended in laps:
                    ended.synchronize()  # these alone: what was queued after them may go on
            return tuple(sum(a.elapsed_time(b) for a, b in laps) / 1000 for laps in self.laps.values())
        return tuple(sum(b - a for a, b in laps) for laps in self.laps.values())

    def _now(self) -> Any:
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self.device))
            return event
        return time.perf_counter()
