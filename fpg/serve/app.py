"""The server as a whole: its parts from settings, their beginning and end, and the page."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.datastructures import State
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from fpg import __version__
from fpg.serve import api
from fpg.serve.dispatcher import Dispatcher
from fpg.serve.fetch import Fetcher
from fpg.serve.guard import Guard, own_names
from fpg.serve.hub import ProgressHub
from fpg.serve.metrics import ServerMetrics, Timed
from fpg.serve.service import Service
from fpg.serve.settings import Settings
from fpg.serve.spool import JobSpool
from fpg.serve.store import Store
from fpg.serve.workers import Executor

PAGE = Path(__file__).with_name("page")
ABOUT = """Judges whether faces in videos and pictures were forged. A score is no proof: it is the probability that one detector gives,
under the protocol that stands next to it."""


@dataclass(frozen=True)
class Server:
    """An application and its parts."""

    asgi: ASGIApp
    """Guarded, and timed."""
    state: State
    """Its `service` is there once it has started."""

    @property
    def service(self) -> Service:
        """What it does."""
        service: Service = self.state.service
        return service


def create(
    settings: Settings,
    spool: JobSpool,
    store: Store,
    executor: Callable[[], Executor],
    fatal: Callable[[Exception], None],
    fetcher: Fetcher | None = None,
) -> Server:
    """The guarded application.

    Args:
        settings: of the server.
        spool, store: opened; closed by whoever opened them.
        executor: makes what works on jobs, when the server starts.
        fatal: called when the detector cannot be loaded.
        fetcher: gets the files of URLs; None is one that leads to public addresses alone.
    """
    metrics = ServerMetrics()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        hub = ProgressHub()
        dispatcher = Dispatcher(store, spool, hub, metrics, executor(), settings.keep_s, fatal)
        fetch = fetcher or Fetcher(settings.upload_bytes)
        service = app.state.service = Service(settings, store, spool, hub, metrics, dispatcher, fetch)
        service.recover()
        dispatcher.start()
        try:
            yield
        finally:
            service.stop()
            await asyncio.to_thread(dispatcher.stop, settings.grace_s)

    app = FastAPI(
        title="fpg", version=__version__, description=ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/openapi.json"
    )
    api.install(app)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", media_type="text/html")

    app.mount("/page", StaticFiles(directory=PAGE))
    guard = Guard(app, settings.token.encode() if settings.token else None, own_names(settings.host))
    return Server(Timed(guard, metrics), app.state)


def openapi() -> dict[str, Any]:
    """The description of the API."""
    app = FastAPI(title="fpg", version=__version__, description=ABOUT)
    api.install(app)
    return app.openapi()
