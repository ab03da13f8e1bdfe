"""The thread that brings waiting jobs to an executor and what became of them to the store."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fpg.runtime.judgement import Judgement
from fpg.serve.document import document
from fpg.serve.hub import ProgressHub
from fpg.serve.job import CANCELLED, DONE, FAILED, RUNNING, JudgeTask
from fpg.serve.metrics import ServerMetrics
from fpg.serve.spool import JobSpool
from fpg.serve.store import JobRow, Store
from fpg.serve.worker import JobOutcome
from fpg.serve.workers import Event, Executor

log = logging.getLogger("fpg.serve")
DEATHS = 2
"""Processes that may die on one job: the first among others, the second by itself."""
_TICK_S = 0.5


@dataclass
class Dispatcher:
    """Runs jobs in order of arrival.

    Args:
        store, spool, hub, metrics: the server's.
        executor: works on jobs; this thread alone uses it.
        keep_s: seconds after its end in which a job can be asked for.
        fatal: called once when no process can be made, with the reason, before the first one was.
    """

    store: Store
    spool: JobSpool
    hub: ProgressHub
    metrics: ServerMetrics
    executor: Executor
    keep_s: float
    fatal: Callable[[Exception], None]
    description: dict[str, Any] | None = None
    """Of the detector, once a process is ready."""
    _running: dict[str, JobRow] = field(default_factory=dict)
    _cancelled: set[str] = field(default_factory=set)
    _to_cancel: list[str] = field(default_factory=list)
    _paused: bool = False
    _stopped: bool = False
    _swept: float = 0.0
    _recent_s: float | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._work, name="dispatcher")
        self._thread.start()

    def wake(self) -> None:
        """From any thread: there is something to do."""
        self.executor.wake()

    def cancel(self, id: str) -> None:
        """From any thread: end a running job."""
        self._to_cancel.append(id)
        self.wake()

    def stop(self, grace_s: float) -> None:
        """Start no more jobs, wait for those that run, put back those that are not done after `grace_s`, and end."""
        self._paused = True
        self.wake()
        until = time.monotonic() + grace_s
        while self._running and time.monotonic() < until:
            time.sleep(0.05)
        self._stopped = True
        self.wake()
        if self._thread is not None:
            self._thread.join()

    @property
    def seconds_per_job(self) -> float:
        """Of late; a guess before the first."""
        return self._recent_s or 5.0

    def _work(self) -> None:
        try:
            while not self._stopped:
                self._step()
        finally:
            self.executor.close()
            for id in list(self._running):
                self.store.put_back(id, died=False)

    def _step(self) -> None:
        while self._to_cancel:
            id = self._to_cancel.pop()
            if id in self._running:
                self._cancelled.add(id)
                self.executor.cancel(id)
        self._begin()
        for event in self.executor.wait(_TICK_S):
            self._on_event(event)
        if time.monotonic() - self._swept > min(60.0, self.keep_s):
            self._swept = time.monotonic()
            self._expire()

    def _begin(self) -> None:
        while not self._paused and (job := self.store.first_waiting()) is not None:
            alone = job.deaths > 0
            if not self.executor.room(alone) or not self.store.begin(job.id):
                return
            folder = self.spool.path(job.id)
            self._running[job.id] = job
            self.executor.start(JudgeTask(job.id, str(folder / (job.file or "")), job.name, str(folder), job.request), alone)
            self.metrics.waited(time.time() - job.created)
            self.hub.tell(job.id, {"stage": RUNNING})

    def _on_event(self, event: Event) -> None:
        if event.kind == "ready":
            self.description = event.value
        elif event.kind == "note":
            log.warning("%s", event.value)
        elif event.kind == "broken":
            log.error("%s", event.value)
            if self.description is None:
                self.fatal(event.value)
        elif event.id not in self._running:
            return
        elif event.kind == "progress":
            self.hub.tell(event.id, event.value)
        elif event.kind == "done":
            self._done(event.id, event.value)
        elif event.kind == "gone":
            self._retry_alone(event.id, died=False)
        elif event.kind == "late":
            cancelled = event.id in self._cancelled
            self._fail(event.id, "was cancelled" if cancelled else "was given up after --timeout", "cancelled" if cancelled else "timeout")
        elif self._running[event.id].deaths + 1 >= DEATHS:
            self._fail(event.id, event.value, "worker")
        else:
            log.warning("%s: %s; the job is tried again on its own", event.id, event.value)
            self.metrics.deaths.inc()
            self._retry_alone(event.id, died=True)

    def _done(self, id: str, outcome: JobOutcome | Exception) -> None:
        if isinstance(outcome, Exception):
            self._fail(id, str(outcome), "internal")
            return
        self.metrics.stages(outcome.stages)
        state = DONE if outcome.error is None else CANCELLED if id in self._cancelled else FAILED
        self._end(id, state, outcome.answer, outcome.error, outcome.error_code)

    def _fail(self, id: str, reason: str, code: str) -> None:
        job, known = self._running[id], self.description
        answer = None
        if known is not None:
            threshold = known["threshold"] if job.request.threshold is None else job.request.threshold
            warnings = tuple(known["model"]["warnings"])
            failed = Judgement(job.name, None, None, threshold, error=reason, error_code=code, warnings=warnings)
            answer = document(known["record"], known["model"], known["protocol"], [failed.to_json()])
        self._end(id, CANCELLED if code == "cancelled" else FAILED, answer, reason, code)

    def _end(self, id: str, state: str, answer: dict[str, Any] | None, error: str | None, code: str | None) -> None:
        job = self._running.pop(id)
        if self.store.end(id, state, None if state == CANCELLED else answer, error, code):
            took = time.time() - job.created
            began = self.store.get(id)
            if began is not None and began.started is not None:
                spent = time.time() - began.started
                self._recent_s = spent if self._recent_s is None else 0.8 * self._recent_s + 0.2 * spent
            self.metrics.ended(state, code, took)
        self._clean_up(job)

    def _retry_alone(self, id: str, *, died: bool) -> None:
        job = self._running.pop(id)
        if self.store.put_back(id, died=died):
            self.hub.tell(id, None)
        else:
            self._clean_up(job)

    def _clean_up(self, job: JobRow) -> None:
        """No process works on a job that has ended, or that nobody wants any more."""
        self._cancelled.discard(job.id)
        if self.store.get(job.id) is None:
            self.spool.drop(job.id)
        else:
            self.spool.drop_input(job.id, job.file)
        self.hub.tell(job.id, None)

    def _expire(self) -> None:
        old = self.store.expired(time.time() - self.keep_s)
        self.store.forget(old)
        for id in old:
            self.spool.drop(id)
