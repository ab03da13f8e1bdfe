"""Which addresses are of the open internet, which of this machine, and that a name is looked up once."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest

from fpg.serve.fetch import Fetcher, is_public
from fpg.serve.guard import is_loopback
from fpg.serve.refusal import RequestRefused


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False),
        ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("255.255.255.255", False), ("198.18.0.1", False),
        ("::1", False), ("::", False), ("fe80::1", False), ("fc00::1", False), ("fd12::1", False), ("ff02::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:10.0.0.1", False), ("64:ff9b::7f00:1", False), ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False), ("2002:0a00:0001::", False), ("2001:db8::1", False),
        ("93.184.216.34", True), ("2606:4700::1111", True), ("::ffff:93.184.216.34", True), ("64:ff9b::5db8:d822", True),
    ],
)  # fmt: skip
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def test_a_name_is_resolved_once_and_all_its_addresses_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [["93.184.216.34", "127.0.0.1"]]
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers[0]]

    reached: list[Any] = []

    def connect(address: Any, timeout: float) -> socket.socket:
        reached.append(address)
        raise OSError("as far as this test goes")

    monkeypatch.setattr("fpg.serve.fetch.socket.getaddrinfo", resolve)
    monkeypatch.setattr("fpg.serve.fetch.socket.create_connection", connect)
    with pytest.raises(RequestRefused) as error:
        Fetcher(1000).fetch("http://two.example/a.mp4", tmp_path, lambda size: None)
    assert (error.value.code, reached) == ("forbidden", [])
    answers[0] = ["93.184.216.34"]
    with pytest.raises(RequestRefused):
        Fetcher(1000).fetch("http://one.example/a.mp4", tmp_path, lambda size: None)
    assert reached == [("93.184.216.34", 80)]  # the address that was looked at, not the name again
    assert asked == ["two.example", "one.example"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
