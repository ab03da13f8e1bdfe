"""The server's process: listens, serves until it is told to end, and ends in order."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn

from fpg.common.errors import SetupError
from fpg.serve.app import Server, create
from fpg.serve.fetch import Fetcher
from fpg.serve.settings import Settings
from fpg.serve.spool import JobSpool
from fpg.serve.store import Store
from fpg.serve.workers import Executor


class UvicornServer(uvicorn.Server):
    """Lets those go who wait for news before it waits for open connections."""

    def __init__(self, config: uvicorn.Config, server: Server, listening: socket.socket) -> None:
        super().__init__(config)
        self.server, self._listening = server, listening
        self.failed: Exception | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit`."""
        super().run([self._listening])

    def fail(self, error: Exception) -> None:
        """End: nothing can be judged."""
        self.failed, self.should_exit = error, True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self.server.service.stop()
        await super().shutdown(sockets)


@contextlib.contextmanager
def prepared_server(
    settings: Settings, executor: Callable[[], Executor], fetcher: Fetcher | None = None
) -> Iterator[tuple[UvicornServer, str]]:
    """A server that has its spool and its address, and answers once its `run` is called.

    Args:
        settings: of the server.
        executor: makes what works on jobs.
        fetcher: see `create`.

    Raises:
        SetupError: the address or the spool cannot be used.
    """
    with contextlib.ExitStack() as stack:
        spool = stack.enter_context(contextlib.closing(JobSpool(settings.spool, settings.quota)))
        store = stack.enter_context(contextlib.closing(Store(settings.spool / "jobs.sqlite")))
        listening = stack.enter_context(listen(settings.host, settings.port))
        host, port = listening.getsockname()[:2]
        server = create(settings, spool, store, executor, lambda error: uvicorn_server.fail(error), fetcher)
        config = uvicorn.Config(
            server.asgi,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_keep_alive=15,
            timeout_graceful_shutdown=max(1, int(settings.grace_s)),
            limit_concurrency=1000,
        )
        uvicorn_server = UvicornServer(config, server, listening)
        yield uvicorn_server, f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def serve(settings: Settings, executor: Callable[[], Executor], ready: Callable[[str], object] = print) -> int:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings, executor: see `prepared_server`.
        ready: told the address once connections are taken.

    Returns:
        The exit code, 0.

    Raises:
        SetupError: the address or the spool cannot be used, or the detector cannot be loaded.
    """
    with prepared_server(settings, executor) as (server, address):
        ready(address)
        server.run()
        if server.failed is not None:
            raise SetupError(str(server.failed))
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        SetupError: the address cannot be had.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind, number)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        raise SetupError(f"{host}:{port}: cannot listen there: {error.strerror or error}") from error
    return listening


def log_to_stderr() -> None:
    """A line per event of ours on the standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in ("fpg.serve", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if name == "fpg.serve" else logging.WARNING)
        logger.propagate = False
