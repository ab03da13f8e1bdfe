"""Files from URLs, where that is allowed: over HTTP(S), from public addresses alone, bounded in size, time and redirects.

A name is resolved once, every address that it has must be public, and the connection goes to the address that was looked at: no second
answer of the name server can lead elsewhere. Redirects begin anew. Nothing here is given to FFmpeg: what comes is a file.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from fpg.serve.refusal import RequestRefused
from fpg.serve.spool import input_file, shown_name

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_BLOCK = 1 << 16


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, also where it is an IPv4 address in an IPv6 one's clothes."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if any(part is not None and not is_public(part) for part in inner):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast


@dataclass(frozen=True)
class Fetcher:
    """How URLs are fetched."""

    limit: int
    """Bytes of the file."""
    seconds: float = 300.0
    """For everything."""
    redirects: int = 3
    allowed: Callable[[Address], bool] = is_public
    """Which addresses are connected to."""

    def fetch(self, url: str, folder: Path, reserve: Callable[[int], None]) -> tuple[str, str, int]:
        """Get a file.

        Args:
            url: `http` or `https`.
            folder: where it is written.
            reserve: called with the bytes so far; raises where there is no room.

        Returns:
            Its name as it is shown, its file name in the folder, its bytes.

        Raises:
            RequestRefused: an address that is not allowed, no answer, or a file that is too large.
        """
        until = time.monotonic() + self.seconds
        for _ in range(self.redirects + 1):
            connection, target = self._connected(url, until)
            try:
                connection.request("GET", target, headers={"Accept-Encoding": "identity", "User-Agent": "fpg-serve"})
                answer = connection.getresponse()
                if answer.status in (301, 302, 303, 307, 308) and answer.headers.get("Location"):
                    url = urljoin(url, answer.headers["Location"])
                    continue
                if answer.status != 200:
                    raise RequestRefused("fetch_failed", f"the address answered with status {answer.status}")
                return self._save(answer, connection, url, folder, reserve, until)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise RequestRefused("fetch_failed", f"the address did not answer as expected: {error or type(error).__name__}") from error
            finally:
                connection.close()
        raise RequestRefused("fetch_failed", f"more than {self.redirects} redirects")

    def check(self, url: str) -> tuple[str, str, int]:
        """Scheme, host and port of a URL that may be fetched as far as its text says.

        Raises:
            RequestRefused: another scheme, a user name, or no host.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise RequestRefused("invalid", f"url: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RequestRefused("forbidden", "url: only http and https are fetched")
        if parts.username is not None or parts.password is not None or not url.isascii() or any(c <= " " for c in url):
            raise RequestRefused("invalid", "url: expected one without a user name, spaces or non-ASCII characters")
        return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)

    def _connected(self, url: str, until: float) -> tuple[http.client.HTTPConnection, str]:
        scheme, host, port = self.check(url)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise RequestRefused("fetch_failed", f"{host}: the name cannot be resolved: {error}") from error
        addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
        if not addresses or not all(self.allowed(ipaddress.ip_address(address)) for address in addresses):
            raise RequestRefused("forbidden", f"{host}: is not on the public internet; nothing is fetched from private networks")
        left = max(0.1, until - time.monotonic())
        try:
            raw: socket.socket = socket.create_connection((addresses[0], port), timeout=min(10.0, left))
            if scheme == "https":
                raw = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
        except OSError as error:
            raise RequestRefused("fetch_failed", f"{host}: cannot be reached: {error}") from error
        connection = http.client.HTTPConnection(host, port, timeout=min(10.0, left))
        connection.sock = raw
        if scheme == "https":
            connection.default_port = 443  # for the Host header
        parts = urlsplit(url)
        return connection, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def _save(
        self,
        answer: http.client.HTTPResponse,
        connection: http.client.HTTPConnection,
        url: str,
        folder: Path,
        reserve: Callable[[int], None],
        until: float,
    ) -> tuple[str, str, int]:
        name = unquote(urlsplit(url).path.rpartition("/")[2]) or "unnamed"
        size, file = 0, input_file(name)
        with open(folder / file, "wb") as out:
            while block := answer.read1(_BLOCK):
                size += len(block)
                if size > self.limit:
                    raise RequestRefused("too_large", f"the file has more than {self.limit / 2**20:g} MiB, the limit here")
                if time.monotonic() > until:
                    raise RequestRefused("fetch_failed", f"the file took more than {self.seconds:g} s")
                reserve(size)
                out.write(block)
        if answer.length:
            raise RequestRefused("fetch_failed", "the file ends before it is complete")
        return shown_name(name), file, size
