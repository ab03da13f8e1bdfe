"""What OpenAPI says of the routes: shapes with examples. Answers are passed through as they are; nothing here filters them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from fpg.serve.job import OUTPUTS
from fpg.serve.refusal import CODES

_ID = "0f9d4c1b7e6a4d0c8a5b3f2e1d0c9b8a"
_RESULT: dict[str, Any] = {
    "input": "interview.mp4",
    "score": 0.8412,
    "verdict": "fake",
    "threshold": 0.78,
    "frames": [{"index": 0, "time_s": 0.0, "faces": [{"box": [412.5, 96.0, 588.1, 301.7], "score": 0.8533, "track": 0}]}],
    "tracks": [{"track": 0, "score": 0.8412, "frames": 32, "start_s": 0.0, "end_s": 12.4}],
    "error": None,
    "error_code": None,
    "stream": {"index": 0, "codec": "h264", "width": 1280, "height": 720},
    "warnings": [],
}
_DOCUMENT: dict[str, Any] = {
    "model": {"file": "starter", "threshold": 0.78},
    "protocol": {"unit": "video", "frames": 32},
    "warnings": [],
    "results": [_RESULT],
}
_JOB: dict[str, Any] = {
    "id": _ID,
    "state": "running",
    "name": "interview.mp4",
    "bytes": 4183023,
    "created": 1796000000.0,
    "started": 1796000001.5,
    "ended": None,
    "ahead": None,
    "progress": {"stage": "judging", "frames": 12, "total": 32, "time_s": 4.6, "score": 0.79},
    "outputs": ["report", "frames"],
    "error": None,
    "error_code": None,
    "result": None,
}


class ExtensibleModel(BaseModel):
    """Fields may join."""

    model_config = ConfigDict(extra="allow")


class Document(ExtensibleModel):
    """What `fpg-detect --json` writes, of one input."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_DOCUMENT]})

    model: dict[str, Any] = Field(description="The model that judged.")
    protocol: dict[str, Any] = Field(description="How the score was computed.")
    warnings: list[str] = Field(description="Warnings of the model.")
    results: list[dict[str, Any]] = Field(description="One result, with `score` or `error`.")


class Job(ExtensibleModel):
    """A job."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_JOB]})

    id: str
    state: str = Field(description="`fetching`, `waiting`, `running`; `done`, `failed` (no score: `error` says why), `cancelled`.")
    name: str = Field(description="File name, as uploaded.")
    bytes: int
    created: float = Field(description="Seconds since 1970, like the other times.")
    started: float | None = None
    ended: float | None = None
    ahead: int | None = Field(None, description="Jobs that come before it, while it waits.")
    progress: dict[str, Any] | None = Field(None, description="`stage`, `frames` judged so far, `total`, `score` so far, while it runs.")
    outputs: list[str]
    error: str | None = None
    error_code: str | None = None
    result: Document | None = Field(None, description="The result, once the job has ended.")


class Models(ExtensibleModel):
    """The models in use."""

    models: list[dict[str, Any]]
    protocol: dict[str, Any] = Field(description="Protocol of a job without options.")
    accepts: dict[str, Any] = Field(description="Largest file in `bytes`, and in `judge_bytes` for /v1/judge; whether `urls` are accepted.")
    version: str = Field(description="Version of fpg.")


class Refusal(BaseModel):
    """A request that was not granted."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": "64 jobs are waiting, the most that are allowed", "code": "queue_full"}]}
    )

    error: str
    code: str = Field(description="One of: " + ", ".join(CODES) + ".")


def refusals(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Responses for these codes and the ones that every route may give."""
    return {
        CODES[code][0]: {"model": Refusal, "description": f"`{code}`: {CODES[code][1]}"} for code in (*codes, "unauthorised", "foreign")
    }


def file(kind: str, what: str) -> dict[str, Any]:
    """A route that answers with a file."""
    content = {200: {"content": {kind: {}}, "description": what}}
    return {"response_class": Response, "response_model": None, "responses": content | refusals("not_found", "conflict")}


def _form(limit: str) -> dict[str, Any]:
    properties = {
        "file": {"type": "string", "format": "binary", "description": f"A video or picture, {limit}."},
        "frames": {"type": "string", "description": "How many frames to examine, evenly spaced, or `all` (default: 32)."},
        "every": {"type": "integer", "minimum": 1, "description": "Examine every N-th frame instead."},
        "threshold": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "Score from which the verdict is fake (default: the model's).",
        },
        "outputs": {
            "type": "string",
            "description": f"Additional outputs to make: some of {', '.join(OUTPUTS)}, separated by commas.",
            "example": "report,frames",
        },
    }
    return {"schema": {"type": "object", "required": ["file"], "properties": properties}}


def _url() -> dict[str, Any]:
    properties = {
        "url": {"type": "string", "format": "uri"},
        "frames": {"type": ["integer", "string"]},
        "every": {"type": "integer"},
        "threshold": {"type": "number"},
        "outputs": {"type": "array", "items": {"enum": list(OUTPUTS)}},
    }
    return {"schema": {"type": "object", "required": ["url"], "properties": properties}, "example": {"url": "https://example.org/clip.mp4"}}


_UPLOADS = ("invalid", "slow", "too_large", "queue_full", "stopping", "spool_full")
SUBMIT: dict[str, Any] = {
    "response_model": None,
    "responses": {202: {"model": Job}} | refusals(*_UPLOADS, "forbidden"),
    "openapi_extra": {"requestBody": {"content": {"multipart/form-data": _form("of --max-upload at most"), "application/json": _url()}}},
}
JUDGE: dict[str, Any] = {
    "response_model": None,
    "responses": {200: {"model": Document}} | refusals(*_UPLOADS, "late"),
    "openapi_extra": {"requestBody": {"content": {"multipart/form-data": _form("of --max-judge at most")}}},
}
JOB: dict[str, Any] = {"response_model": None, "responses": {200: {"model": Job}} | refusals("not_found")}
RECORD: dict[str, Any] = {"response_model": None, "responses": {200: {"model": Document}} | refusals("not_found", "conflict")}
MODELS: dict[str, Any] = {"response_model": None, "responses": {200: {"model": Models}} | refusals("stopping")}
EVENTS: dict[str, Any] = {
    "response_model": None,
    "responses": {
        200: {"content": {"text/event-stream": {"example": 'event: progress\ndata: {"stage": "judging", "frames": 12, "total": 32}\n\n'}}}
    }
    | refusals("not_found"),
}
