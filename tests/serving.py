"""A server in this process for tests, and requests as attackers write them."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from obedient import DESCRIPTION, load

from fpg.client import Client
from fpg.serve.confine import Limits
from fpg.serve.fetch import Fetcher
from fpg.serve.job import JudgeTask
from fpg.serve.run import prepared_server, serve
from fpg.serve.service import Service
from fpg.serve.settings import Settings
from fpg.serve.workers import Event, Executor, Workers

LIMITS = Limits(memory=4 * 2**30, cpu_s=60, file_bytes=2**20)


@dataclass
class Running:
    """A server that answers."""

    address: str
    service: Service
    settings: Settings

    @property
    def client(self) -> Client:
        return Client(self.address, self.settings.token, patience_s=0)

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    @property
    def workers(self) -> Workers:
        assert isinstance(self.service.dispatcher.executor, Workers)
        return self.service.dispatcher.executor

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[HTTPResponse, bytes]:
        """One request as it stands."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer, answer.read()

    def obey(self, folder: Path, orders: str, name: str = "orders.mp4", **options: Any) -> str:
        """Submit orders; the job's id."""
        path = folder / name
        path.write_text(orders + "\n")
        return str(self.client.submit(path, **options)["id"])


class Idle:
    """A `fpg.serve.workers.Executor` that is ready and never works."""

    def __init__(self) -> None:
        self._news = threading.Event()
        self._said = False

    def room(self, alone: bool = False) -> bool:
        return False

    def start(self, task: JudgeTask, alone: bool = False) -> None:
        raise NotImplementedError

    def cancel(self, id: str) -> None: ...

    def wait(self, timeout: float) -> list[Event]:
        if not self._said:
            self._said = True
            return [Event("ready", None, DESCRIPTION)]
        self._news.wait(timeout)
        self._news.clear()
        return []

    def wake(self) -> None:
        self._news.set()

    def close(self) -> None: ...


@contextlib.contextmanager
def serving(
    spool: Path, setup: Any = load, fetcher: Fetcher | None = None, executor: Callable[[], Executor] | None = None, **changes: Any
) -> Iterator[Running]:
    """A server on a free port of the loopback.

    Args:
        spool: its folder.
        setup: loads the judge in a worker; None: nothing is judged.
        fetcher: of URLs.
        executor: instead of worker processes.
        changes: of `Settings`.
    """
    settings = replace(Settings(port=0, spool=spool, slots=2, grace_s=5, limits=LIMITS), **changes)
    if executor is None and setup is None:
        executor = Idle
    if executor is None:
        executor = functools.partial(Workers, setup, settings.workers, settings.slots, settings.limits, settings.timeout)
    with prepared_server(settings, executor, fetcher) as (server, address):
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            until = time.monotonic() + 300
            while not (server.started and server.server.service.ready):
                assert thread.is_alive(), "the server ended"
                assert time.monotonic() < until, "the server does not get ready"
                time.sleep(0.02)
            yield Running(address, server.server.service, settings)
        finally:
            server.should_exit = True
            thread.join()


def face_clip(folder: Path) -> Path:
    """A short video of a face that scikit-image carries."""
    import numpy as np

    from fpg.data.encode import write_video
    from fpg.data.video import read_image

    image = read_image(str(importlib.metadata.distribution("scikit-image").locate_file("skimage/data/astronaut.png")))
    write_video(folder / "clip.mp4", (np.ascontiguousarray(image[i : i + 400, i : i + 400]) for i in range(12)), fps=25)
    return folder / "clip.mp4"


def form(content: bytes, name: str = "a.mp4", **fields: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an upload."""
    parts = [f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in fields.items()]
    parts.append(f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + content + b"\r\n--b--\r\n")
    return b"".join(parts), {"Content-Type": "multipart/form-data; boundary=b"}


def main(spool: str, port: str) -> None:
    """A server in a process of its own, to be killed: `python -c 'import serving; serving.main(...)'`."""
    settings = Settings(port=int(port), spool=Path(spool), slots=2, queue=100)
    serve(settings, functools.partial(Workers, load, 1, 2, LIMITS, settings.timeout), ready=lambda address: print(address, flush=True))
