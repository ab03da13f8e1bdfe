"""What Prometheus is told."""

from __future__ import annotations

import time
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

disable_created_metrics()  # when a counter was made: twice the lines, and nobody asks


class ServerMetrics:
    """The numbers of one server, in a registry of their own; may be shared by threads."""

    CONTENT_TYPE = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._jobs = Gauge("fpg_jobs", "Jobs in the spool, by state.", ["state"], registry=registry)
        self._queue = Gauge("fpg_queue_length", "Jobs waiting.", registry=registry)
        self._spool = Gauge("fpg_spool_bytes", "Bytes of the spool in use.", registry=registry)
        self._ended = Counter("fpg_jobs_ended", "Jobs that ended.", ["state", "error_code"], registry=registry)
        self._waited = Histogram("fpg_job_wait_seconds", "From a job's arrival to its start.", buckets=_SECONDS, registry=registry)
        self._took = Histogram("fpg_job_seconds", "From a job's arrival to its end.", buckets=_SECONDS, registry=registry)
        self._stage_seconds = Counter("fpg_stage_seconds", "Seconds spent in each stage of judging.", ["stage"], registry=registry)
        self._stage_calls = Counter("fpg_stage_calls", "Calls of each stage of judging.", ["stage"], registry=registry)
        self._requests = Histogram(
            "fpg_http_request_seconds",
            "Requests by route, method and status.",
            ["route", "method", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._refused = Counter("fpg_refused", "Requests that were refused, by code.", ["code"], registry=registry)
        self.uploaded = Counter("fpg_uploaded_bytes", "Bytes of files received.", registry=registry)
        self.deaths = Counter("fpg_worker_deaths", "Jobs whose worker process died.", registry=registry)

    def waited(self, seconds: float) -> None:
        """A job began."""
        self._waited.observe(seconds)

    def ended(self, state: str, code: str | None, seconds: float) -> None:
        """A job ended."""
        self._ended.labels(state, code or "").inc()
        self._took.observe(seconds)

    def stages(self, spent: dict[str, tuple[int, float]]) -> None:
        """What a job spent in the stages of judging: stage -> calls and seconds."""
        for stage, (calls, seconds) in spent.items():
            self._stage_calls.labels(stage).inc(calls)
            self._stage_seconds.labels(stage).inc(seconds)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, method, str(status)).observe(seconds)

    def refused(self, code: str) -> None:
        """A request was not granted."""
        self._refused.labels(code).inc()

    def text(self, counts: dict[str, int], queue: int, spool: int) -> bytes:
        """Everything, in Prometheus's format, with the present state of the store and the spool."""
        self._jobs.clear()
        for state, count in counts.items():
            self._jobs.labels(state).set(count)
        self._queue.set(queue)
        self._spool.set(spool)
        return generate_latest(self._registry)


@dataclass(frozen=True)
class Timed:
    """ASGI: tells the metrics how long every request took to its last byte."""

    app: ASGIApp
    metrics: ServerMetrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, seen)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.request(route, scope["method"], status, time.perf_counter() - start)
