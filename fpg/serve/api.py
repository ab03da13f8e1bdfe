"""The routes of /v1, and what watches over the server."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from fpg import __version__
from fpg.serve import schema
from fpg.serve.job import ENDED, JobRequest
from fpg.serve.outputs import FRAMES, REPORT, overlay_name, picture_name
from fpg.serve.refusal import RequestRefused
from fpg.serve.service import Service
from fpg.serve.uploads import Upload, patient, receive, too_large

MAX_JSON = 16_384
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'"
"""Of reports: they hold their pictures and style, and run nothing."""

router = APIRouter()
Id = Annotated[str, InPath(pattern="^[0-9a-f]{32}$", description="Of the job.")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", description="16 to 200 random characters: the same key is the same job.")]


def service_of(request: Request) -> Service:
    """The server's parts."""
    service: Service = request.app.state.service
    return service


Parts = Annotated[Service, Depends(service_of)]


@router.post("/v1/jobs", status_code=202, **schema.SUBMIT)
async def submit(request: Request, response: Response, service: Parts, key: Key = None) -> dict[str, Any]:
    """Submit a file (a form with the field `file`), or a URL (JSON) where the server fetches them. The job is judged in its turn."""
    if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        values = await _json(request)
        url = values.pop("url", None)
        if not isinstance(url, str):
            raise RequestRefused("invalid", "url: expected a URL; a file is uploaded as a form")
        job = await service.take_url(url, JobRequest.of(values), key)
    else:
        job = await service.take(_receiver(request, service, service.settings.upload_bytes), key)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return await run_in_threadpool(service.describe, job)


@router.get("/v1/jobs/{id}", **schema.JOB)
def job(id: Id, service: Parts) -> dict[str, Any]:
    """State, progress and, when it has ended, the result of a job."""
    return service.describe(service.get(id))


@router.delete("/v1/jobs/{id}", status_code=204, responses=schema.refusals("not_found"))
def delete(id: Id, service: Parts) -> Response:
    """Cancel a job that has not ended; forget one that has, with everything made of it."""
    service.cancel(service.get(id))
    return Response(status_code=204)


@router.get("/v1/jobs/{id}/events", **schema.EVENTS)
async def events(id: Id, service: Parts) -> StreamingResponse:
    """Server-sent events until the job ends: `state`, `progress`, `end`."""
    service.get(id)
    return StreamingResponse(service.events(id), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get("/v1/jobs/{id}/report", **schema.file("text/html", "The report: one page, self-contained."))
def report(id: Id, service: Parts) -> FileResponse:
    """The report, where `outputs` asked for it."""
    path = _made(service, id, "report", REPORT)
    return FileResponse(path, media_type="text/html", filename="report.html", headers={"Content-Security-Policy": SANDBOX})


@router.get("/v1/jobs/{id}/overlay", **schema.file("video/mp4", "The drawn copy: MP4, or PNG of a picture."))
def overlay(id: Id, service: Parts) -> FileResponse:
    """The input with boxes, scores and heat maps drawn on it, where `outputs` asked for it."""
    name = overlay_name(service.get(id).file or "")
    path = _made(service, id, "overlay", name)
    return FileResponse(path, media_type="image/png" if name.endswith(".png") else "video/mp4", filename=name)


@router.get("/v1/jobs/{id}/record", **schema.RECORD)
def record(id: Id, service: Parts) -> JSONResponse:
    """The result as a file to keep: what `fpg-detect --json` writes."""
    answer = service.store.answer(service.get(id).id)
    if answer is None:
        raise RequestRefused("conflict", "the job has no result (yet)")
    return JSONResponse(answer, headers={"Content-Disposition": f'attachment; filename="fpg-{id[:8]}.json"'})


@router.get("/v1/jobs/{id}/frames", **schema.file("application/json", "The frames that are kept, with boxes and maps."))
def frames(id: Id, service: Parts) -> FileResponse:
    """The frames that were judged, where `outputs` asked for them."""
    return FileResponse(_made(service, id, "frames", FRAMES), media_type="application/json")


@router.get("/v1/jobs/{id}/frames/{index}", **schema.file("image/jpeg", "A small copy of the frame."))
def frame(id: Id, index: Annotated[int, InPath(ge=0, le=10**9)], service: Parts) -> FileResponse:
    """A frame that was judged."""
    return FileResponse(_made(service, id, "frames", picture_name(index)), media_type="image/jpeg")


@router.post("/v1/judge", **schema.JUDGE)
async def judge(request: Request, service: Parts) -> dict[str, Any]:
    """Judge a small file and answer at once."""
    job = await service.take(_receiver(request, service, service.settings.judge_bytes), None, passing=True)
    try:
        ended = await service.ended(job.id, service.settings.judge_s, request.is_disconnected)
        answer = await run_in_threadpool(service.store.answer, ended.id)
        if answer is None:
            raise RequestRefused("stopping", ended.error or "the job was cancelled", retry_s=5)
        return answer
    finally:
        await run_in_threadpool(service.dismiss, job.id)


@router.get("/v1/models", **schema.MODELS)
def models(service: Parts) -> dict[str, Any]:
    """What judges, and which files are taken."""
    known = service.dispatcher.description
    if known is None:
        raise RequestRefused("stopping", "the detector is being loaded", retry_s=2)
    accepts = {"bytes": service.settings.upload_bytes, "judge_bytes": service.settings.judge_bytes, "urls": service.settings.urls}
    return {"models": [known["model"]], "protocol": known["protocol"], "accepts": accepts, "version": __version__}


@router.get("/healthz", include_in_schema=False)
def healthz() -> dict[str, str]:
    """The server answers."""
    return {"status": "ok"}


@router.get("/readyz", include_in_schema=False)
def readyz(service: Parts) -> dict[str, str]:
    """The server would judge a job."""
    if not service.ready:
        raise RequestRefused("stopping", "not ready: the detector is being loaded, or the server is shutting down", retry_s=2)
    return {"status": "ready"}


@router.get("/metrics", include_in_schema=False)
def metrics(service: Parts) -> Response:
    """For Prometheus."""
    counts = service.store.counts()
    text = service.metrics.text(counts, counts.get("waiting", 0) + counts.get("fetching", 0), service.spool.used)
    return Response(text, media_type=service.metrics.CONTENT_TYPE)


def _receiver(request: Request, service: Service, limit: int) -> Callable[[Path, Callable[[int], None]], Awaitable[Upload]]:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit + MAX_JSON:
        raise too_large(limit)
    kind = request.headers.get("content-type", "")
    return lambda folder, reserve: receive(request.stream(), kind, folder, limit, reserve, service.settings.upload_patience_s)


async def _json(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for chunk in patient(request.stream(), 10.0):
        body += chunk
        if len(body) > MAX_JSON:
            raise RequestRefused("too_large", f"the request has more than {MAX_JSON} bytes")
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestRefused("invalid", f"the request is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise RequestRefused("invalid", "expected a JSON object")
    return values


def _made(service: Service, id: str, output: str, name: str) -> Path:
    job = service.get(id)
    if output not in job.request.outputs:
        raise RequestRefused("not_found", f"was not requested: submit with outputs={output}")
    if job.state not in ENDED:
        raise RequestRefused("conflict", "the job has not ended yet")
    path = service.spool.path(job.id) / name
    if not path.is_file():
        raise RequestRefused("not_found", "this job has no such output")
    return path


def install(app: FastAPI) -> None:
    """Routes, and errors in one form."""
    app.include_router(router)

    @app.exception_handler(RequestRefused)
    async def refused(request: Request, error: RequestRefused) -> JSONResponse:
        service_of(request).metrics.refused(error.code)
        headers = {"Retry-After": str(error.retry_s)} if error.retry_s is not None else {}
        if error.code in ("too_large", "queue_full", "slow", "spool_full", "stopping"):
            headers["Connection"] = "close"  # the rest of an upload is not waited for
        return JSONResponse({"error": error.reason, "code": error.code}, error.status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = str(first["loc"][-1])
        if where == "id":
            return await refused(request, RequestRefused("not_found", "no such job, or it has expired"))
        return await refused(request, RequestRefused("invalid", f"{where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "invalid"}.get(error.status_code, "invalid")
        return JSONResponse({"error": str(error.detail), "code": code}, error.status_code, error.headers)
