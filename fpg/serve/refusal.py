"""Requests that are not granted: an HTTP status, a code for programs and a line for people."""

from __future__ import annotations

from fpg.common.errors import FpgError

CODES = {
    "invalid": (422, "A field or option that does not fit; the line names it."),
    "unauthorised": (401, "The server wants a token (`Authorization: Bearer ...`), and this is not it."),
    "foreign": (403, "The request comes from another site's page, or was sent to a name that is not this server's."),
    "forbidden": (403, "URLs are not fetched (`--allow-urls`), or this one leads to an address that is not public."),
    "not_found": (404, "No such job, or it has expired; or nothing of that kind was made of it."),
    "slow": (408, "The upload stood still for too long."),
    "conflict": (409, "The job has not ended yet, or ended without a result."),
    "too_large": (413, "The file, or a field, is larger than the server takes."),
    "queue_full": (429, "As many jobs wait as may. `Retry-After` says when to come back."),
    "fetch_failed": (502, "The address of a URL did not answer, or not with a file."),
    "stopping": (503, "The server is about to end, or not ready yet."),
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
