"""Who is let in, and what every answer says to browsers. Pure ASGI, in front of everything else."""

from __future__ import annotations

import hmac
import ipaddress
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fpg.serve.refusal import CODES

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of the page: nothing from elsewhere, nothing inline."""
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": (
        "accelerometer=(), autoplay=(), camera=(self), display-capture=(), fullscreen=(self), geolocation=(), gyroscope=(), microphone=(), "
        "midi=(), payment=(), publickey-credentials-get=(), usb=()"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "x-permitted-cross-domain-policies": "none",
    "x-dns-prefetch-control": "off",
    "strict-transport-security": "max-age=31536000",
    "cache-control": "no-store",
}
"""What OWASP's Secure Headers Project asks for. Browsers heed `strict-transport-security` only behind a proxy that speaks TLS."""
OPEN = ("/healthz", "/readyz")
"""Answered without a token, as are the page and its parts: they say nothing of anybody."""


@dataclass(frozen=True)
class Guard:
    """Refuses requests that nobody meant for this server, and those without its token.

    Args:
        app: what is guarded.
        token: bytes that `Authorization: Bearer` has to bring; None lets everybody in.
        hosts: names by which the server is called; None takes any.
    """

    app: ASGIApp
    token: bytes | None
    hosts: frozenset[str] | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        code = self.objection(scope["method"], scope["path"], headers)
        if code is None:
            await self.app(scope, receive, with_headers)
            return
        body = json.dumps({"error": CODES[code][1], "code": code}).encode()
        extra = [(b"www-authenticate", b"Bearer")] if code == "unauthorised" else []
        start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close"), *extra]
        await with_headers({"type": "http.response.start", "status": CODES[code][0], "headers": start})
        await send({"type": "http.response.body", "body": body})

    def objection(self, method: str, path: str, headers: Headers) -> str | None:
        """The code of `fpg.serve.refusal` with which a request is refused."""
        if not self.called_by_name(headers) or self.from_elsewhere(method, headers):
            return "foreign"
        needs = path.startswith("/v1/") or path == "/metrics"
        return "unauthorised" if needs and not self.has_token(headers) else None

    def called_by_name(self, headers: Headers) -> bool:
        """Whether the Host header is one of ours: a foreign name that was bent to this address (DNS rebinding) is not."""
        if self.hosts is None:
            return True
        try:
            host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        except ValueError:
            return False
        return host in self.hosts

    def from_elsewhere(self, method: str, headers: Headers) -> bool:
        """Whether another site's page makes the browser send this: it could not read the answer, but would have its job."""
        if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site") and (
            method != "GET" or headers.get("sec-fetch-mode") != "navigate"
        ):
            return True
        origin = headers.get("origin")
        return origin is not None and urlsplit(origin).netloc != headers.get("host")

    def has_token(self, headers: Headers) -> bool:
        """Whether the token is the server's, compared in constant time."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("utf-8", "replace"), self.token)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_names(host: str) -> frozenset[str] | None:
    """Names by which a server that listens on `host` is called: on a loopback address those of the loopback, else any."""
    return frozenset({"localhost", "127.0.0.1", "::1", host}) if is_loopback(host) else None
