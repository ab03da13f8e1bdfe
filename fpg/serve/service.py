"""What the server does, behind its routes: takes jobs, tells of them, ends them."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from fpg.serve.dispatcher import Dispatcher
from fpg.serve.fetch import Fetcher
from fpg.serve.hub import ProgressHub
from fpg.serve.job import CANCELLED, ENDED, FETCHING, RUNNING, WAITING, JobRequest
from fpg.serve.metrics import ServerMetrics
from fpg.serve.refusal import RequestRefused
from fpg.serve.settings import Settings
from fpg.serve.spool import JobSpool, shown_name
from fpg.serve.store import JobRow, Store
from fpg.serve.uploads import Upload

log = logging.getLogger("fpg.serve")
HEARTBEAT_S = 10.0
MAX_KEY = 200
Receive = Callable[[Path, Callable[[int], None]], Awaitable[Upload]]
"""Writes an upload into a folder, telling the bytes so far."""


@dataclass
class Service:
    """One server's parts; made in its event loop."""

    settings: Settings
    store: Store
    spool: JobSpool
    hub: ProgressHub
    metrics: ServerMetrics
    dispatcher: Dispatcher
    fetcher: Fetcher
    stopping: bool = False
    _uploads: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def ready(self) -> bool:
        """Whether a job would be judged."""
        return self.dispatcher.description is not None and not self.stopping

    def recover(self) -> None:
        """After a start: jobs that ran wait again, half-received files go, URLs are fetched again."""
        again = self.store.recover()
        self.spool.sweep(self.store.ids())
        if again:
            log.info("restarting %d jobs that ran when the server ended", again)
        for job in self.store.in_state(FETCHING):
            self._fetch(job)

    async def take(self, receive: Receive, key: str | None, *, passing: bool = False) -> JobRow:
        """Receive a file and promise a job.

        Args:
            receive: writes the file.
            key: the request's Idempotency-Key; the same key is the same job.
            passing: somebody waits for the answer on this connection.

        Raises:
            RequestRefused: the queue or the spool is full, or the upload is not as it should be.
        """
        hashed = _hashed(key)
        if known := await self._known(hashed):
            return known
        with ExitStack() as receiving:
            receiving.enter_context(self._uploading())
            async with self._folder() as id:
                upload: Upload = await receive(self.spool.path(id), functools.partial(self.spool.reserve, id))
                receiving.close()  # counted as an upload while it is added as a job, it would take two places
                request = JobRequest.of(upload.fields)
                if upload.file is None:
                    raise RequestRefused("invalid", "expected a file, in the field named file")
                self.metrics.uploaded.inc(upload.size)
                job = JobRow(0, id, WAITING, passing, upload.name, None, upload.file, upload.size, request, time.time())
                return await self._promise(job, hashed)

    async def take_url(self, url: str, request: JobRequest, key: str | None) -> JobRow:
        """Promise a job whose file is fetched.

        Raises:
            RequestRefused: URLs are not fetched here, this one cannot be, or the queue is full.
        """
        if not self.settings.urls:
            raise RequestRefused("forbidden", "URLs are not fetched here; upload the file")
        self.fetcher.check(url)
        hashed = _hashed(key)
        if known := await self._known(hashed):
            return known
        self._not_full()
        async with self._folder() as id:
            name = shown_name(url.partition("?")[0])
            job = await self._promise(JobRow(0, id, FETCHING, False, name, url, None, 0, request, time.time()), hashed)
        if job.id == id:
            self._fetch(job)
        return job

    def get(self, id: str) -> JobRow:
        """A job.

        Raises:
            RequestRefused: there is none of that id.
        """
        job = self.store.get(id)
        if job is None:
            raise RequestRefused("not_found", "no such job, or it has expired")
        return job

    def describe(self, job: JobRow, *, result: bool = True) -> dict[str, Any]:
        """A job as the API tells it."""
        waits = job.state in (WAITING, FETCHING)
        progress = self.hub.progress(job.id) if job.state == RUNNING else None
        return {
            "id": job.id,
            "state": job.state,
            "name": job.name,
            "bytes": job.bytes,
            "created": job.created,
            "started": job.started,
            "ended": job.ended,
            "ahead": self.store.ahead(job) if waits else None,
            "progress": progress,
            "outputs": list(job.request.outputs),
            "error": job.error,
            "error_code": job.error_code,
            "result": self.store.answer(job.id) if result and job.state in ENDED else None,
        }

    def cancel(self, job: JobRow) -> None:
        """End a job that has not ended, and forget one that has."""
        if job.state in ENDED:
            self.store.forget([job.id])
            self.spool.drop(job.id)
        elif self.store.end(job.id, CANCELLED, None, "was cancelled", "cancelled"):
            self.metrics.ended(CANCELLED, "cancelled", time.time() - job.created)
            if job.state == RUNNING:
                self.dispatcher.cancel(job.id)
            else:
                self.spool.drop_input(job.id, job.file)
        self.hub.tell(job.id, None)

    async def events(self, id: str) -> AsyncIterator[str]:
        """Server-sent events of a job until it ends: `state` at once and at every change, `progress` in between."""
        told: str | None = None
        with self.hub.following(id) as news:
            while not self.stopping:
                news.clear()
                job = self.store.get(id)
                if job is None:
                    return
                ended = job.state in ENDED
                value = self.describe(job, result=False)
                if job.state != told:
                    yield _event("end" if ended else "state", value)
                    told = job.state
                elif value["progress"]:
                    yield _event("progress", value["progress"])
                if ended:
                    return
                try:
                    await asyncio.wait_for(news.wait(), HEARTBEAT_S)
                except asyncio.TimeoutError:
                    yield ": still here\n\n"

    def dismiss(self, id: str) -> None:
        """Nobody wants a job any more: end it, and forget it with everything made of it."""
        job = self.store.get(id)
        if job is None:
            return
        self.cancel(job)
        if job.state not in ENDED:
            self.store.forget([id])
            if job.state != RUNNING:  # else the dispatcher drops its folder when its worker has let go of it
                self.spool.drop(id)

    async def ended(self, id: str, seconds: float, gone: Callable[[], Awaitable[bool]]) -> JobRow:
        """Wait for a job's end.

        Args:
            id: of the job.
            seconds: for how long.
            gone: whether nobody waits any more.

        Raises:
            RequestRefused: it takes longer, or the server is shutting down.
        """
        until = time.monotonic() + seconds
        with self.hub.following(id) as news:
            while True:
                news.clear()
                job = self.get(id)
                if job.state in ENDED:
                    return job
                if self.stopping:
                    raise RequestRefused("stopping", "the server is shutting down; ask again", retry_s=5)
                left = until - time.monotonic()
                if left <= 0 or await gone():
                    raise RequestRefused("late", f"the answer took more than {seconds:g} s; submit a job instead")
                try:
                    await asyncio.wait_for(news.wait(), min(left, 1.0))
                except asyncio.TimeoutError:
                    continue

    def stop(self) -> None:
        """Take no more jobs, and let those go who wait for news."""
        self.stopping = True
        for task in self._tasks:
            task.cancel()
        self.hub.wake_all()

    def retry_s(self) -> int:
        """When there will be room in the queue, about."""
        places = max(1, self.settings.workers * self.settings.slots)
        return max(1, min(600, round(self.dispatcher.seconds_per_job / places)))

    async def _known(self, key: str | None) -> JobRow | None:
        if self.stopping:
            raise RequestRefused("stopping", "the server is shutting down", retry_s=10)
        return await run_in_threadpool(self.store.by_key, key) if key else None

    def _not_full(self) -> None:
        counts = self.store.counts()
        waiting = counts.get(WAITING, 0) + counts.get(FETCHING, 0) + self._uploads
        if waiting >= self.settings.queue:
            raise RequestRefused("queue_full", f"{waiting} jobs are waiting, the most that are allowed", retry_s=self.retry_s())

    @contextmanager
    def _uploading(self) -> Iterator[None]:
        if self._uploads >= self.settings.uploads:
            raise RequestRefused("queue_full", "too many files are being received", retry_s=self.retry_s())
        self._not_full()
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[str]:
        """The folder of a job to be, by its id; afterwards its bytes count, or are gone where no job came of it."""
        id = await run_in_threadpool(self.spool.make)
        try:
            yield id
        finally:
            await run_in_threadpool(self._settle, id)

    def _settle(self, id: str) -> None:
        self.spool.settle(id)
        if self.store.get(id) is None:
            self.spool.drop(id)

    async def _promise(self, job: JobRow, key: str | None) -> JobRow:
        promised = await run_in_threadpool(self.store.add, job, key, self.settings.queue)
        if promised is None:
            raise RequestRefused("queue_full", f"{self.settings.queue} jobs are waiting, the most that are allowed", retry_s=self.retry_s())
        self.dispatcher.wake()
        return promised

    def _fetch(self, job: JobRow) -> None:
        task = asyncio.get_running_loop().create_task(self._fetched(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetched(self, job: JobRow) -> None:
        folder = self.spool.path(job.id)
        try:
            reserve = functools.partial(self.spool.reserve, job.id)
            _, file, size = await run_in_threadpool(self.fetcher.fetch, job.url or "", folder, reserve)
            if not await run_in_threadpool(self.store.fetched, job.id, file, size):
                await run_in_threadpool(self.spool.drop_input, job.id, file)  # cancelled meanwhile
            self.dispatcher.wake()
        except RequestRefused as error:
            log.info("%s: %s", job.id, error)
            await run_in_threadpool(self.store.end, job.id, "failed", None, error.reason, error.code)
            self.metrics.ended("failed", error.code, time.time() - job.created)
        finally:
            self.spool.settle(job.id)
        self.hub.tell(job.id, None)


def _event(kind: str, value: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"


def _hashed(key: str | None) -> str | None:
    """What is kept of an Idempotency-Key.

    Raises:
        RequestRefused: it could be guessed, and with it somebody's job.
    """
    if key is None:
        return None
    if not 16 <= len(key) <= MAX_KEY:
        raise RequestRefused("invalid", f"Idempotency-Key: expected 16 to {MAX_KEY} random characters, got {len(key)}")
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
