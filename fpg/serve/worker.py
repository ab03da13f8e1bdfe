"""A process that judges strangers' files: it confines itself, loads the detector once, and works on a few jobs at a time in threads.

What it says goes through one link: `("ready", description)`, `("progress", id, values)`, `("done", id, outcome)`, `("fatal", error)`. It
is told `("task", Task)`, `("cancel", id)` and None, after which it ends. Nothing large is imported before `confine`.
"""

from __future__ import annotations

import gc
import pickle
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol

from fpg.common.errors import FpgError
from fpg.common.memory import return_freed_memory
from fpg.data.pool import follow_parent, portable
from fpg.serve.confine import Limits, allow_cpu, confine
from fpg.serve.job import JudgeTask

Tell = Callable[[dict[str, Any]], None]
"""Takes progress: `stage`, `frames` so far, `total`, `score` so far (None before the first face)."""


class JobOutcome(NamedTuple):
    """What became of a job."""

    answer: dict[str, Any]
    """The document, as fpg-detect writes it."""
    error: str | None
    error_code: str | None
    stages: dict[str, tuple[int, float]]
    """Stage of judging -> calls and seconds since the last outcome of this process."""


class Judge(Protocol):
    """A loaded detector."""

    @property
    def description(self) -> dict[str, Any]:
        """`record`, `model`, `protocol`, `threshold`: what is said of a job whose worker died, and by /v1/models."""

    def __call__(self, task: JudgeTask, tell: Tell, cancelled: threading.Event) -> JobOutcome:
        """Judge; called by several threads."""


Setup = Callable[[], Judge]
"""Picklable by reference to a module; called once per process."""


@dataclass
class _JobWorker:
    link: Connection
    judge: Judge
    limits: Limits
    lock: threading.Lock = field(default_factory=threading.Lock)
    cancels: dict[str, threading.Event] = field(default_factory=dict)

    def say(self, *message: Any) -> None:
        with self.lock:
            self.link.send(message)

    def work(self, task: JudgeTask) -> None:
        outcome: JobOutcome | FpgError
        try:
            outcome = self.judge(task, lambda values: self.say("progress", task.id, values), self.cancels[task.id])
        except Exception as error:
            outcome = portable(error)
        self.cancels.pop(task.id, None)
        self.say("done", task.id, outcome)
        return_freed_memory()


def work(link: Connection, setup: bytes, limits: Limits, slots: int) -> None:
    """The process's main function.

    Args:
        link: to the parent.
        setup: a `Setup`, pickled: reading it imports what it needs.
        limits: what is given up first.
        slots: jobs at a time.
    """
    missing = confine(limits)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=follow_parent, daemon=True).start()
    try:
        judge = pickle.loads(setup)()
    except Exception as error:
        link.send(("fatal", portable(error)))
        return
    gc.freeze()  # what was loaded stays, and is left out of collections
    worker = _JobWorker(link, judge, limits)
    worker.say("ready", judge.description, missing)
    with ThreadPoolExecutor(slots) as pool:
        try:
            while (message := link.recv()) is not None:
                kind, value = message
                if kind == "cancel":
                    if value in worker.cancels:
                        worker.cancels[value].set()
                    continue
                worker.cancels[value.id] = threading.Event()
                allow_cpu(limits)
                pool.submit(worker.work, value)
        except EOFError:
            return
