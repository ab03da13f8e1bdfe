"""Worker processes on this machine: they get jobs, and what becomes of them comes back as events.

Jobs that share a process share its engine, so that their faces go to the network in one batch. When a process dies, nobody knows which of
its jobs did it: each is tried again by itself (`Executor.start(alone=True)`), and one that ends a process once more has failed.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import pickle
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, Protocol

from fpg.common.errors import FpgError
from fpg.data.pool import describe_exit
from fpg.serve.confine import Limits
from fpg.serve.job import JudgeTask
from fpg.serve.worker import Setup, work

CANCEL_PATIENCE_S = 15.0
"""A cancelled job that has not ended after so long is ended with its process."""
_SETUP_RETRY_S = 5.0


class Event(NamedTuple):
    """What an executor says."""

    kind: str
    """`ready` (value: description), `note` (a line for people), `progress`, `done` (a `JobOutcome`, or the error that ended it), `lost` (a
    process died: why), `late` (given up), `gone` (ended with the process of another job), `broken` (no process can be made: why)."""
    id: str | None
    value: Any


class Executor(Protocol):
    """Where jobs are worked on. All methods but `wake` are for one thread."""

    def room(self, alone: bool = False) -> bool:
        """Whether a job can be started now; `alone`: in a process that has no other."""

    def start(self, task: JudgeTask, alone: bool = False) -> None:
        """Begin a job; only after `room`."""

    def cancel(self, id: str) -> None:
        """End a job soon."""

    def wait(self, timeout: float) -> list[Event]:
        """What has happened; returns early when `wake` is called."""

    def wake(self) -> None:
        """From any thread."""

    def close(self) -> None:
        """End everything now."""


@dataclass
class _Process:
    process: BaseProcess
    link: Connection
    ready: bool = False
    alone: bool = False
    tasks: dict[str, float] = field(default_factory=dict)
    """Job -> when it is late, by the monotonic clock."""
    late: str | None = None


class Workers:
    """The executor of one machine.

    Args:
        setup: loads the detector in a process.
        count: processes.
        slots: jobs at a time in each.
        limits: of each.
        timeout: seconds after which a job is given up.
    """

    def __init__(self, setup: Setup, count: int, slots: int, limits: Limits, timeout: float) -> None:
        self._setup, self._count, self._slots, self._limits, self._timeout = setup, count, slots, limits, timeout
        self._processes: list[_Process] = []
        self._ours, self._theirs = mp.Pipe(duplex=False)
        self._lock = threading.Lock()
        self._start_after = 0.0

    def room(self, alone: bool = False) -> bool:
        """See `Executor`."""
        return self._free(alone) is not None

    def start(self, task: JudgeTask, alone: bool = False) -> None:
        """See `Executor`."""
        worker = self._free(alone)
        assert worker is not None
        worker.tasks[task.id] = time.monotonic() + self._timeout
        worker.alone = alone
        with contextlib.suppress(OSError):  # it died in between: the end of its link is seen next
            worker.link.send(("task", task))

    def cancel(self, id: str) -> None:
        """See `Executor`."""
        for worker in self._processes:
            if id in worker.tasks:
                worker.tasks[id] = min(worker.tasks[id], time.monotonic() + CANCEL_PATIENCE_S)
                with contextlib.suppress(OSError):
                    worker.link.send(("cancel", id))

    def wake(self) -> None:
        """See `Executor`."""
        with self._lock, contextlib.suppress(OSError):
            self._theirs.send_bytes(b"w")

    def wait(self, timeout: float) -> list[Event]:
        """See `Executor`; also makes the processes that are missing, and ends those that are late."""
        self._fill()
        events: list[Event] = []
        until = self._end_late_ones(timeout)
        for link in wait([self._ours, *(worker.link for worker in self._processes)], until):
            if link is self._ours:
                while self._ours.poll():
                    self._ours.recv_bytes()
                continue
            worker = next(w for w in self._processes if w.link is link)
            try:
                while worker.link.poll():
                    events += self._on_event(worker, worker.link.recv())
            except (EOFError, OSError):
                events += self._reap(worker)
        return events

    def close(self) -> None:
        """See `Executor`."""
        for worker in self._processes:
            worker.process.kill()
        for worker in self._processes:
            worker.process.join()
            worker.link.close()
        self._processes.clear()

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        return [worker.process.pid for worker in self._processes if worker.process.pid is not None]

    def _free(self, alone: bool) -> _Process | None:
        """The process that has least to do."""
        able = [w for w in self._processes if w.ready and not w.alone and len(w.tasks) < (1 if alone else self._slots) and w.late is None]
        return min(able, key=lambda w: len(w.tasks), default=None)

    def _fill(self) -> None:
        if time.monotonic() < self._start_after:
            return
        context = mp.get_context("spawn")
        while len(self._processes) < self._count:
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, pickle.dumps(self._setup), self._limits, self._slots), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(_Process(process, ours))

    def _end_late_ones(self, timeout: float) -> float:
        """End the processes of jobs that took too long; seconds until the next may have."""
        now = time.monotonic()
        for worker in self._processes:
            for id, due in worker.tasks.items():
                timeout = min(timeout, max(0.05, due - now))
                if now >= due and worker.late is None:
                    worker.late = id
                    worker.process.kill()  # its end is seen on its link
        return timeout

    def _on_event(self, worker: _Process, message: tuple[Any, ...]) -> list[Event]:
        kind, *rest = message
        if kind == "ready":
            worker.ready = True
            return [Event("ready", None, rest[0]), *(Event("note", None, line) for line in rest[1])]
        if kind == "fatal":
            self._start_after = time.monotonic() + _SETUP_RETRY_S
            return [Event("broken", None, rest[0])]
        id, value = rest
        if kind == "done":
            worker.tasks.pop(id, None)
            worker.alone = worker.alone and bool(worker.tasks)
        return [Event(kind, id, value)]

    def _reap(self, worker: _Process) -> list[Event]:
        worker.process.join()
        self._processes.remove(worker)
        worker.link.close()
        reason = describe_exit(worker.process.exitcode or 0).reason
        if not worker.ready and worker.process.exitcode != 0:
            self._start_after = time.monotonic() + _SETUP_RETRY_S
            return [Event("broken", None, FpgError(f"the work could not start: {reason}"))]
        if worker.late is not None:
            return [Event("late" if id == worker.late else "gone", id, reason) for id in worker.tasks]
        return [Event("lost", id, reason) for id in worker.tasks]


def default_slots() -> tuple[int, int]:
    """Processes, and jobs at a time in each, for this machine: one process shares its batches among up to eight cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = max(1, cores // 8)
    return processes, max(1, min(8, cores // processes))
