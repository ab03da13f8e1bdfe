"""Several processes that share a list of tasks, and survive the death of one of them.

Workers are spawned, build what they need once, and get one task at a time, so that it is known which task a worker died on.
That task is reported and not tried again; a new worker takes the rest. Workers end when their parent does, even by SIGKILL.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Generic, TypeVar

from fpg.common.errors import FpgError

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class WorkerDied:
    """What comes back for a task whose process ended while working on it."""

    reason: str
    """One line for people."""


@dataclass(frozen=True)
class TimedOut(WorkerDied):
    """What comes back for a task that was given up."""


def describe_exit(exit_code: int) -> WorkerDied:
    """What a process's exit code says of its end."""
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return WorkerDied(f"the worker process was ended by {name}{hint}")
    return WorkerDied(f"the worker process ended with exit code {exit_code}")


def run_tasks(
    tasks: Sequence[T], setup: Callable[[], Callable[[T], R]], workers: int, timeout: float | None = None
) -> Generator[tuple[int, R | WorkerDied], None, None]:
    """Work on every task and give (index, result) in order of completion.

    Args:
        tasks: picklable.
        setup: picklable; called once per process, gives the function that works on one task.
        workers: processes; 0 works in this one.
        timeout: seconds after which a task is given up and its process ended; None: never. In this process nothing is given up.

    Raises:
        FpgError: `setup` failed, or an `FpgError` left the working function: nothing more is done then.
    """
    if workers == 0:
        work = setup() if tasks else None
        for index, task in enumerate(tasks):
            assert work is not None
            yield index, work(task)
        return
    pool = _Pool(tasks, setup, timeout)
    try:
        yield from pool.run(min(workers, len(tasks)))
    finally:
        pool.stop()


@dataclass
class _PoolWorker:
    process: BaseProcess
    link: Connection
    ready: bool = False
    task: int | None = None
    since: float = 0.0
    """When it was given its task, by the monotonic clock."""
    late: bool = False


@dataclass
class _Pool(Generic[T, R]):
    tasks: Sequence[T]
    setup: Callable[[], Callable[[T], R]]
    timeout: float | None = None
    workers: list[_PoolWorker] = field(default_factory=list)
    pending: deque[int] = field(default_factory=deque)

    def run(self, count: int) -> Iterator[tuple[int, R | WorkerDied]]:
        self.pending.extend(range(len(self.tasks)))
        for _ in range(count):
            self._start()
        while self.workers:
            for link in wait([worker.link for worker in self.workers], None if self.timeout is None else self._end_late_ones()):
                worker = next(w for w in self.workers if w.link is link)
                try:
                    kind, value = worker.link.recv()
                except (EOFError, OSError):
                    yield from self._reap(worker)
                    continue
                if kind == "fatal":
                    raise value
                if kind == "done" and worker.task is not None:
                    yield worker.task, value
                worker.ready = True
                self._assign(worker)

    def _start(self) -> None:
        context = mp.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self.setup), daemon=True)
        process.start()
        theirs.close()
        self.workers.append(_PoolWorker(process, ours))

    def _end_late_ones(self) -> float:
        """End the processes whose task has taken too long; seconds until the next one may have."""
        assert self.timeout is not None
        now, left = time.monotonic(), self.timeout
        for worker in self.workers:
            if worker.ready and worker.task is not None and not worker.late:
                left = min(left, max(0.0, worker.since + self.timeout - now))
                if now - worker.since >= self.timeout:
                    worker.late = True
                    worker.process.kill()  # its end is seen on its link
        return max(left, 0.05)

    def _assign(self, worker: _PoolWorker) -> None:
        worker.since = time.monotonic()
        worker.task = self.pending.popleft() if self.pending else None
        try:
            worker.link.send(None if worker.task is None else (self.tasks[worker.task],))
        except OSError:
            return  # it died in between: the end of its link is seen next
        if worker.task is None:
            self.workers.remove(worker)
            worker.process.join(10)
            worker.link.close()

    def _reap(self, worker: _PoolWorker) -> Iterator[tuple[int, R | WorkerDied]]:
        worker.process.join()
        self.workers.remove(worker)
        worker.link.close()
        late = TimedOut(f"was given up after {self.timeout:g} s (--timeout)") if worker.late else None
        died = late or describe_exit(worker.process.exitcode or 0)
        if not worker.ready:
            raise FpgError(f"the work could not start: {died.reason}")
        if worker.task is not None:
            yield worker.task, died
        if self.pending:
            self._start()

    def stop(self) -> None:
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join(10)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.link.close()
        self.workers.clear()


def _work(link: Connection, setup: Callable[[], Callable[[Any], Any]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=follow_parent, daemon=True).start()
    try:
        work = setup()
        link.send(("ready", None))
        while (message := link.recv()) is not None:
            link.send(("done", work(message[0])))
    except EOFError:
        return
    except Exception as error:
        link.send(("fatal", portable(error)))


def _leave(signum: int, frame: FrameType | None) -> None:
    sys.exit(143)


def follow_parent() -> None:
    """End this process with its parent, however that ends; for a thread."""
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def portable(error: Exception) -> FpgError:
    """The error itself if people are meant to read it and it survives the way to another process, else its text."""
    if isinstance(error, FpgError):
        try:
            pickle.loads(pickle.dumps(error))
        except Exception as problem:
            return FpgError(f"{error} ({problem})")
        return error
    return FpgError(f"unexpected {type(error).__name__}: {' '.join(str(error).split())}")
