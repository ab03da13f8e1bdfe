"""`fpg.data.pool` for more than one machine: the same tasks on a Ray cluster, through Ray Data.

Ray Data starts an actor per worker, restarts those that die and gives their tasks to others. A task that has cost several
workers their life is given up by name, so that one bad file cannot keep a cluster busy for ever. Every node needs fpg and the
same paths for inputs and outputs (a shared file system).
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

from fpg.common.errors import FpgError, MissingDependencyError, UsageError
from fpg.common.packages import install_extra
from fpg.data.pool import WorkerDied, portable

T = TypeVar("T")
R = TypeVar("R")

LOCAL = "local"
"""Address that starts a small cluster on this machine, on the loopback, and ends it with the work."""
DEATHS = 3
"""Workers that may die on one task: a machine that was taken away is no fault of the file, three in a row are."""
_MAX_BLOCKS = 10_000
_KNOCK_S = 10
_LOCAL_STORE = 128 * 2**20
_LOOPBACK = ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_USAGE_STATS_ENABLED")
"""Ray's switches that keep a local cluster to 127.0.0.1 on every system, and to itself. Read when Ray is imported."""


def run_on_ray(
    tasks: Sequence[T], setup: Callable[[], Callable[[T], R]], address: str, workers: int | None = None, gpus: int = 0
) -> Generator[tuple[int, R | WorkerDied], None, None]:
    """Work on every task and give (index, result), each index once, in order of completion.

    Args:
        tasks: picklable; their paths must hold on every node. A task may be worked on again when its worker died on it, or
            when the node that kept its result was lost.
        setup: picklable by reference to fpg; called once per worker, gives the function that works on one task.
        address: of the cluster (`HOST:PORT`, `ray://HOST:PORT`, `auto`), or `local`.
        workers: actors of one CPU each; None is one per CPU of the cluster.
        gpus: GPUs of each worker.

    Raises:
        MissingDependencyError: Ray is not installed.
        UsageError: there is no cluster at `address`.
        FpgError: `setup` failed, an `FpgError` left the working function, or the cluster was lost: nothing more is done then.
    """
    if not tasks:
        return
    if workers is not None and workers < 1:
        raise UsageError(f"workers on Ray: expected at least 1, got {workers}")
    with connected(address, workers) as ray:
        try:
            for row in _dataset(ray, tasks, setup, workers, gpus).iter_rows():
                kind, value = pickle.loads(row["outcome"])
                if kind == "fatal":
                    raise value
                yield row["index"], value
        except ray.exceptions.RayError as error:
            raise FpgError(f"the work on Ray at {address} ended: {_first_line(error)}") from error


def _dataset(ray: Any, tasks: Sequence[Any], setup: Callable[[], Callable[[Any], Any]], workers: int | None, gpus: int) -> Any:
    """Ray Data's default for actors is to restart them, and to give their tasks to others, without end."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # a long video is no standstill
    count = min(len(tasks), workers or max(1, int(ray.cluster_resources().get("CPU", 1))))
    rows = [{"index": index, "task": pickle.dumps(task)} for index, task in enumerate(tasks)]
    return ray.data.from_items(rows, override_num_blocks=min(len(rows), _MAX_BLOCKS)).map(
        _RayWorker,
        fn_constructor_args=(setup, ray.remote(num_cpus=0)(_Ledger).remote()),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=count),
        num_cpus=1,
        num_gpus=gpus,
    )


class _Ledger:
    """Lives in the cluster and knows how often a task was begun and never ended."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}

    def begin(self, index: int) -> int:
        """Note a beginning; how many before it had no end."""
        before = self._open.get(index, 0)
        self._open[index] = before + 1
        return before

    def end(self, index: int) -> None:
        """The task was worked on to its end."""
        self._open.pop(index, None)


class _RayWorker:
    """What an actor of Ray Data does with a row. Errors travel as values: Ray would wrap them."""

    def __init__(self, setup: Callable[[], Callable[[Any], Any]], ledger: Any) -> None:
        self._setup, self._ledger = setup, ledger
        self._work: Callable[[Any], Any] | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        index = int(row["index"])
        return {"index": index, "outcome": pickle.dumps(self._outcome(index, row["task"]))}

    def _outcome(self, index: int, task: bytes) -> tuple[str, Any]:
        import ray

        try:
            self._work = self._work or self._setup()
            if ray.get(self._ledger.begin.remote(index)) >= DEATHS:
                return "done", WorkerDied(f"{DEATHS} worker processes in a row died on it (out of memory?)")
            value = self._work(pickle.loads(task))
            ray.get(self._ledger.end.remote(index))
        except Exception as error:
            return "fatal", portable(error)
        return "done", value


@contextlib.contextmanager
def connected(address: str, workers: int | None = None) -> Iterator[Any]:
    """The module `ray`, connected to `address`; a connection that was there before is used and stays.

    Args:
        address, workers: as in `run_on_ray`; a `local` cluster has so many CPUs.

    Raises:
        MissingDependencyError: Ray is not installed.
        UsageError: there is no cluster at `address`.
    """
    if address == LOCAL:
        for name in _LOOPBACK:
            os.environ.setdefault(name, "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingDependencyError(f"--ray needs Ray Data: {install_extra('ray')} ({error})") from error
    if ray.is_initialized():
        yield ray
        return
    _check_reachable(address)
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "error"}
    if address == LOCAL:
        options |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": _LOCAL_STORE, "_node_ip_address": "127.0.0.1"}
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with _own_sigterm():
        try:
            ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise UsageError(f"--ray {address}: no Ray cluster answers there: {_first_line(error)}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray takes minutes to say that nobody listens at `HOST:PORT`."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not (separator and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"--ray {address}: no Ray cluster answers there: {error}") from error


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray puts its own handler in; ours ends the program in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
