"""The executor of a Ray cluster, through Ray Serve: replicas with workers and limits of their own, as many as there is work for.

Page, jobs and files stay with the server; the bytes of an input travel to a replica, and what was made of it comes back. A replica is
`fpg.serve.workers.Workers` on another machine, so that a file is judged there as it is here. When a replica is lost, its jobs begin again
elsewhere, and nobody holds it against them.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import queue
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fpg.common.errors import FpgError, MissingDependencyError
from fpg.common.packages import install_extra
from fpg.data.ray_pool import connected
from fpg.serve.confine import Limits
from fpg.serve.job import JudgeTask
from fpg.serve.worker import Setup
from fpg.serve.workers import Event, Executor, Workers

APPLICATION = "fpg"
_TICK_S = 0.5
_END_S = 60.0
"""How long the end of the application may take."""
_ENDS = ("done", "lost", "late", "gone")


@dataclass(frozen=True)
class Cluster:
    """Where and how replicas run."""

    address: str
    """Of the cluster, as `fpg.data.ray_pool.connected` takes it."""
    least: int = 1
    """Replicas that are always there."""
    most: int = 4
    gpus: float = 0
    """Of each."""
    cpus: float = 1


class Replica:
    """What runs on the cluster: one process of workers, and a thread that feeds it."""

    def __init__(self, setup: bytes, slots: int, limits: Limits, timeout: float) -> None:
        self._workers = Workers(pickle.loads(setup), 1, slots, limits, timeout)
        self._waiting: queue.SimpleQueue[tuple[JudgeTask, bool]] = queue.SimpleQueue()
        self._cancels: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._news: dict[str, asyncio.Queue[Event]] = {}
        self._said: Event | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="fpg-replica-"))
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._feed, daemon=True).start()

    async def describe(self) -> dict[str, Any]:
        """The detector, once it is loaded.

        Raises:
            FpgError: it cannot be.
        """
        while self._said is None:
            await asyncio.sleep(0.1)
        if self._said.kind == "broken":
            raise FpgError(str(self._said.value))
        described: dict[str, Any] = self._said.value
        return described

    async def judge(self, task: JudgeTask, data: bytes, alone: bool) -> AsyncIterator[tuple[str, Any]]:
        """(kind, value) of a job's events; before the last, `files`: name -> bytes of what was made."""
        folder = self._folder / task.id
        folder.mkdir()
        self._news[task.id] = asyncio.Queue()
        try:
            path = folder / Path(task.path).name
            await asyncio.to_thread(path.write_bytes, data)
            del data
            self._waiting.put((replace(task, path=str(path), folder=str(folder)), alone))
            self._workers.wake()
            while True:
                event = await self._news[task.id].get()
                if event.kind in _ENDS:
                    made = {
                        entry.name: entry.read_bytes() for entry in folder.iterdir() if entry != path and not entry.name.startswith(".")
                    }
                    yield "files", made
                yield event.kind, event.value
                if event.kind in _ENDS:
                    return
        finally:
            self._cancels.put(task.id)  # of no effect on a job that has ended
            self._workers.wake()
            self._news.pop(task.id, None)
            shutil.rmtree(folder, ignore_errors=True)

    def _feed(self) -> None:
        held: tuple[JudgeTask, bool] | None = None
        while True:
            with contextlib.suppress(queue.Empty):
                while True:
                    self._workers.cancel(self._cancels.get_nowait())
            with contextlib.suppress(queue.Empty):
                while True:
                    held = held or self._waiting.get_nowait()
                    if held[0].id in self._news and not self._workers.room(held[1]):
                        break
                    if held[0].id in self._news:
                        self._workers.start(*held)
                    held = None
            for event in self._workers.wait(_TICK_S):
                if event.id is None:
                    if event.kind in ("ready", "broken") and (self._said is None or event.kind == "ready"):
                        self._said = event
                else:
                    self._loop.call_soon_threadsafe(self._tell, event)

    def _tell(self, event: Event) -> None:
        if event.id in self._news:
            self._news[event.id].put_nowait(event)


class RayReplicas(Executor):
    """The server's side: a thread per running job listens to its replica.

    Args:
        setup: loads the detector in a worker.
        cluster: where replicas run.
        slots: jobs at a time in each.
        limits, timeout: of each worker.
    """

    def __init__(self, setup: Setup, cluster: Cluster, slots: int, limits: Limits, timeout: float) -> None:
        self._cluster, self._slots = cluster, slots
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._running: dict[str, Any] = {}
        self._handle: Any = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(pickle.dumps(setup), slots, limits, timeout), daemon=True)
        self._thread.start()

    def room(self, alone: bool = False) -> bool:
        """See `Executor`. Ray holds what its replicas have no slot for, and makes more of them for it."""
        return self._handle is not None and len(self._running) < self._cluster.most * self._slots

    def start(self, task: JudgeTask, alone: bool = False) -> None:
        """See `Executor`."""
        self._running[task.id] = None
        threading.Thread(target=self._listen, args=(task, alone), daemon=True).start()

    def cancel(self, id: str) -> None:
        """See `Executor`."""
        answers = self._running.get(id)
        if answers is not None:
            answers.cancel()

    def wait(self, timeout: float) -> list[Event]:
        """See `Executor`."""
        events = []
        with contextlib.suppress(queue.Empty):
            event = self._events.get(timeout=timeout)
            while True:
                if event is not None:
                    events.append(event)
                    if event.id is not None and event.kind in _ENDS:
                        self._running.pop(event.id, None)
                event = self._events.get_nowait()
        return events

    def wake(self) -> None:
        """See `Executor`."""
        self._events.put(None)

    def close(self) -> None:
        """See `Executor`: the application ends, a cluster that was there goes on."""
        self._closing.set()
        self._thread.join(_END_S)

    def _live(self, *arguments: Any) -> None:
        """From begin to end in one thread: the processes of a `local` cluster end with the thread that started them."""
        try:
            try:
                from ray import serve
            except ImportError as error:
                raise MissingDependencyError(f"--ray needs Ray Serve: {install_extra('ray')} ({error})") from error
            with connected(self._cluster.address):
                serve.start(proxy_location="Disabled")
                handle = serve.run(self._deployment(serve).bind(*arguments), name=APPLICATION, route_prefix=None)
                description = handle.describe.remote().result()
                self._handle = handle
                self._events.put(Event("ready", None, description))
                self._closing.wait()
                serve.delete(APPLICATION, _blocking=False)
        except Exception as error:
            self._events.put(Event("broken", None, error if isinstance(error, FpgError) else FpgError(f"--ray: {_line(error)}")))

    def _deployment(self, serve: Any) -> Any:
        cluster = self._cluster
        scaling = {"min_replicas": cluster.least, "max_replicas": cluster.most, "target_ongoing_requests": self._slots}
        return serve.deployment(
            Replica,
            name="judge",
            autoscaling_config=scaling | {"upscale_delay_s": 2, "downscale_delay_s": 60},
            max_ongoing_requests=self._slots,
            ray_actor_options={"num_cpus": cluster.cpus, "num_gpus": cluster.gpus},
            health_check_period_s=5,
        )

    def _listen(self, task: JudgeTask, alone: bool) -> None:
        try:
            data = Path(task.path).read_bytes()
            answers = self._handle.options(stream=True).judge.remote(task, data, alone)
            del data
            self._running[task.id] = answers
            for kind, value in answers:
                if kind == "files":
                    for name, content in value.items():
                        (Path(task.folder) / Path(name).name).write_bytes(content)
                else:
                    self._events.put(Event(kind, task.id, value))
                    if kind in _ENDS:
                        return
            self._events.put(Event("gone", task.id, "the replica ended"))
        except Exception as error:  # whatever Ray says of a replica that is no more, or was told to let go
            self._events.put(Event("late" if "Cancel" in type(error).__name__ else "gone", task.id, _line(error)))


def _line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
