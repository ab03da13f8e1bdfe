"""How fpg uses huggingface_hub: without its log of every attempt, and without attempts that cannot succeed."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from huggingface_hub import constants

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@contextlib.contextmanager
def hub_client() -> Iterator[str]:
    """While open, the client keeps quiet, and where the Hub's name has no address here it looks into its cache alone.

    Without a network it would try for a minute.

    Yields:
        Why only the cache is looked into; empty where the Hub is asked.
    """
    client = logging.getLogger("huggingface_hub")
    level, offline = client.level, constants.HF_HUB_OFFLINE
    reason = "" if offline else _unknown_host()
    client.setLevel(logging.ERROR)
    constants.HF_HUB_OFFLINE = offline or bool(reason)
    try:
        yield reason
    finally:
        client.setLevel(level)
        constants.HF_HUB_OFFLINE = offline


def _unknown_host() -> str:
    if any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
        return ""  # the proxy resolves names
    host = urlsplit(constants.ENDPOINT).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        return f"{host}: {error.strerror or error}"
    return ""
