"""A client of `fpg-serve`: `Client("http://127.0.0.1:8000").judge("clip.mp4")`. Standard library alone.

A job is submitted with a random Idempotency-Key, so that a retry after a broken connection never creates a second job.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from typing_extensions import Unpack


class JobOptions(TypedDict, total=False):
    """What a job may ask for; see the server's `/openapi.json`."""

    frames: int | str | None
    """A number, or `all`."""
    every: int | None
    threshold: float | None
    outputs: str | None
    """Names separated by commas."""


class ServerError(Exception):
    """The server refused the request: HTTP `status`, and the server's `code` and `retry_s`."""

    def __init__(self, status: int, code: str, reason: str, retry_s: float | None = None) -> None:
        super().__init__(reason)
        self.status, self.code, self.retry_s = status, code, retry_s


class Client:
    """Talks to one server.

    Args:
        address: such as `http://127.0.0.1:8000`.
        token: needed if the server requires one.
        patience_s: how long to keep trying if the server is busy or cannot be reached.
    """

    def __init__(self, address: str, token: str | None = None, patience_s: float = 300.0) -> None:
        self._parts, self._patience_s = urlsplit(address), patience_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ready(self) -> None:
        """Wait until the server is ready to judge a job."""
        self._try("GET", "/readyz")

    def submit(self, path: str | os.PathLike[str], **options: Unpack[JobOptions]) -> dict[str, Any]:
        """Submit a file and return the job; `options`: frames, every, threshold, outputs (names separated by commas)."""
        return self._upload("/v1/jobs", path, dict(options), {"Idempotency-Key": secrets.token_hex(16)})

    def job(self, id: str) -> dict[str, Any]:
        """State, progress and result of a job."""
        return self._try("GET", f"/v1/jobs/{id}")

    def wait(self, id: str, seconds: float = 3600.0, every_s: float = 0.5) -> dict[str, Any]:
        """Wait for a job to end and return it.

        Raises:
            TimeoutError: it has not ended after this many seconds.
        """
        until = time.monotonic() + seconds
        while (job := self.job(id))["ended"] is None:
            if time.monotonic() > until:
                raise TimeoutError(f"job {id} has not ended after {seconds:g} s")
            time.sleep(every_s)
        return job

    def judge(self, path: str | os.PathLike[str], **options: Unpack[JobOptions]) -> dict[str, Any]:
        """Submit a file, wait, and return the document that `fpg-detect --json` writes.

        Raises:
            ServerError: the job ended without a result.
        """
        job = self.wait(self.submit(path, **options)["id"])
        if job["result"] is None:
            raise ServerError(200, job["error_code"] or "cancelled", job["error"] or job["state"])
        result: dict[str, Any] = job["result"]
        return result

    def events(self, id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(kind, value) of a job's events until it ends."""
        connection, answer = self._open("GET", f"/v1/jobs/{id}/events", None, {})
        try:
            kind = ""
            while line := answer.readline().decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)
        finally:
            connection.close()

    def output(self, id: str, what: str) -> bytes:
        """`report`, `overlay`, `record`, `frames` or `frames/INDEX` of a job."""
        connection, answer = self._open("GET", f"/v1/jobs/{id}/{what}", None, {})
        with contextlib.closing(connection):
            return answer.read()

    def cancel(self, id: str) -> None:
        """End a job, or forget one that has ended."""
        self._try("DELETE", f"/v1/jobs/{id}")

    def _upload(self, target: str, path: str | os.PathLike[str], options: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        boundary = secrets.token_hex(16)
        field = '--{}\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
        name = (
            os.path.basename(os.fspath(path)).encode("utf-8", "replace").decode().replace('"', "%22").replace("\n", " ").replace("\r", " ")
        )
        head = "".join(field.format(boundary, key, value) for key, value in options.items() if value is not None)
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        tail = f"\r\n--{boundary}--\r\n".encode()
        size = len(head.encode()) + os.path.getsize(path) + len(tail)
        headers |= {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(size)}
        return self._try("POST", target, (head.encode(), path, tail), headers)

    def _try(self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
        until, pause = time.monotonic() + self._patience_s, 0.25
        while True:
            try:
                connection, answer = self._open(method, target, body, headers or {})
                with contextlib.closing(connection):
                    text = answer.read()
                return json.loads(text) if text else {}
            except ServerError as error:
                if error.status not in (429, 503) or time.monotonic() > until:
                    raise
                pause = error.retry_s if error.retry_s is not None else pause
            except (OSError, http.client.HTTPException):
                if time.monotonic() > until:
                    raise
            time.sleep(min(pause, max(0.0, until - time.monotonic())))
            pause = min(5.0, 1.5 * pause)

    def _open(
        self, method: str, target: str, body: Any, headers: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=60)
        try:
            stream = None if body is None else _stream(*body)
            connection.request(method, self._parts.path.rstrip("/") + target, stream, self._headers | headers)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before the whole file was sent: the answer may be there
        answer = connection.getresponse()
        if answer.status >= 400:
            with contextlib.closing(connection):
                try:
                    value = json.loads(answer.read())
                except ValueError:
                    value = {}
            retry = answer.headers.get("Retry-After")
            raise ServerError(answer.status, value.get("code", ""), value.get("error", answer.reason), float(retry) if retry else None)
        return connection, answer


def _stream(head: bytes, path: str | os.PathLike[str], tail: bytes) -> Iterator[bytes]:
    yield head
    with open(path, "rb") as file:
        while block := file.read(1 << 16):
            yield block
    yield tail
