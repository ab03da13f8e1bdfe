"""Requests that are not granted: an HTTP status, a code for programs and a line for people."""

from __future__ import annotations

from fpg.common.errors import FpgError

CODES = {
    "invalid": (422, "A field or option is not valid; `error` names it."),
    "unauthorised": (401, "The server requires a token (`Authorization: Bearer ...`), which is missing or wrong."),
    "foreign": (403, "The request comes from another site's page, or was sent to a host name that is not this server's."),
    "forbidden": (403, "URLs are not fetched (`--allow-urls`), or this one leads to an address that is not public."),
    "not_found": (404, "No such job, or it has expired; or it has no such output."),
    "slow": (408, "The upload stalled for too long."),
    "conflict": (409, "The job has not ended yet, or ended without a result."),
    "too_large": (413, "The file, or a field, is larger than the server accepts."),
    "queue_full": (429, "The queue is full. `Retry-After` says when to try again."),
    "fetch_failed": (502, "The URL's server did not answer, or not with a file."),
    "stopping": (503, "The server is shutting down, or not ready yet."),
    "late": (504, "/v1/judge: the answer took too long. Submit a job instead."),
    "spool_full": (507, "The server has no room for the file until older jobs expire."),
}
"""Code -> its HTTP status, and what it means."""


class RequestRefused(FpgError):
    """Answered with `{"error", "code"}`.

    Args:
        code: one of `CODES`, with its HTTP status.
        reason: a line for people.
        retry_s: for `Retry-After`.
    """

    def __init__(self, code: str, reason: str, retry_s: int | None = None) -> None:
        self.status = CODES[code][0]
        self.code, self.reason, self.retry_s = code, " ".join(reason.split()), retry_s
        super().__init__(self.reason)
