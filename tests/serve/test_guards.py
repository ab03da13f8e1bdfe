"""Who and what is kept out. Every attack is run twice: it fails, and with its guard taken out it succeeds."""

from __future__ import annotations

import contextlib
import functools
import http.server
import itertools
import json
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import makers
import pytest
from obedient import load
from serving import LIMITS, Running, form, serving

import fpg.data.containers
import fpg.serve.confine
from fpg.common.errors import InputError
from fpg.serve.confine import Limits
from fpg.serve.fetch import Fetcher, is_public
from fpg.serve.guard import HEADERS
from fpg.serve.job import JobRequest
from fpg.serve.uploads import receive
from fpg.serve.worker import work

UPLOAD = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n"
TOKEN = "correct-horse-battery-staple"


@dataclass(frozen=True)
class Attack:
    """Something that must not succeed."""

    succeeds: Callable[[Running, Path], bool]
    """Run it; whether the attacker has what he wants."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the server: `Settings`, `setup`, `fetcher`."""
    without: dict[str, Any] = field(default_factory=dict)
    """What takes the guard out: attribute -> what stands in its place."""
    unset: dict[str, Any] = field(default_factory=dict)
    """The same, where the guard is a bound of the settings."""


def status(method: str, path: str, headers: Any = None, body: Any = None, good: int = 200) -> Callable[[Running, Path], bool]:
    """A request that must not be granted."""
    return lambda server, _: server.request(method, path, body, headers)[0].status == good


def post(headers: dict[str, str], content: bytes = b"sleep 0", **fields: str) -> Callable[[Running, Path], bool]:
    """An upload that must not be taken."""
    body, kind = form(content, **fields)
    return status("POST", "/v1/jobs", kind | headers, body, 202)


def chunked(server: Running, _: Path) -> bool:
    """A large file that does not say so."""
    body, headers = form(bytes(3_000_000))
    return server.request("POST", "/v1/jobs", iter([body]), headers)[0].status == 202


def announced(server: Running, _: Path) -> bool:
    """Whether a large file that says so is read at all."""
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.settimeout(3)
        link.sendall(UPLOAD % 999_999_999)
        try:
            return b" 413 " not in link.recv(100)
        except TimeoutError:
            return True


def stalled(server: Running, _: Path) -> bool:
    """Whether an upload that stands still is waited for."""
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.settimeout(5)
        link.sendall(UPLOAD % 9999 + b"--b")
        try:
            return b" 408 " not in link.recv(100)
        except TimeoutError:
            return True


def two_uploads(server: Running, _: Path) -> bool:
    """More than the spool's quota."""
    body, headers = form(bytes(600_000))
    return [server.request("POST", "/v1/jobs", body, headers)[0].status for _ in range(2)] == [202, 202]


def many_jobs(server: Running, _: Path) -> bool:
    body, headers = form(b"sleep 0")
    return [server.request("POST", "/v1/jobs", body, headers)[0].status for _ in range(9)] == [202] * 9


def escape(server: Running, folder: Path) -> bool:
    """A file name that is a path."""
    target = folder / "owned.mp4"
    name = "../" * 12 + str(target).lstrip("/")
    body, headers = form(b"sleep 0", name=name)
    server.request("POST", "/v1/jobs", body, headers)
    return target.exists()


def shown_path(server: Running, _: Path) -> bool:
    """A file name that is shown as a path, or with control characters."""
    body, headers = form(b"sleep 0", name="..\\..\\a\x1b[2Jb.mp4")
    name = json.loads(server.request("POST", "/v1/jobs", body, headers)[1])["name"]
    return "\\" in name or "/" in name or "\x1b" in name


def kept_key(server: Running, _: Path) -> bool:
    """Whether the list of jobs gives away keys, and with them jobs."""
    body, headers = form(b"sleep 0")
    key = "0123456789abcdef-my-key"
    server.request("POST", "/v1/jobs", body, headers | {"Idempotency-Key": key})
    return any(key.encode() in path.read_bytes() for path in server.settings.spool.glob("jobs.sqlite*"))


def said(orders: str) -> Callable[[Running, Path], bool]:
    """Orders to the judge that must not be done."""

    def run(server: Running, folder: Path) -> bool:
        job = server.client.wait(server.obey(folder, orders), 90, 0.05)
        result = job["result"]["results"][0]
        return job["state"] == "done" and all(not word.startswith(("OSError", "PermissionError", "MemoryError")) for word in result["said"])

    return run


def connects(server: Running, folder: Path) -> bool:
    """A judge that opens a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return said(f"connect 127.0.0.1 {listening.getsockname()[1]}")(server, folder)


def fetches(url: str) -> Callable[[Running, Path], bool]:
    """A URL that must not be fetched."""

    def run(server: Running, _: Path) -> bool:
        with web() as port:
            body = json.dumps({"url": url.format(port=port)}).encode()
            answer, text = server.request("POST", "/v1/jobs", body, {"Content-Type": "application/json"})
            if answer.status != 202:
                return False
            until = time.monotonic() + 20
            while (job := server.client.job(json.loads(text)["id"]))["state"] == "fetching":
                assert time.monotonic() < until
                time.sleep(0.02)
            return bool(job["state"] != "failed")

    return run


@contextlib.contextmanager
def web() -> Iterator[int]:
    """A web server of small and large files and redirects on the loopback; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/to/").replace("PORT", str(self.server.server_address[1])))
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            for _ in range(40 if self.path == "/slow.mp4" else 1):
                self.wfile.write(b"sleep 0\n" + bytes(3_000_000 if self.path == "/large.mp4" else 10))
                self.wfile.flush()
                time.sleep(0.1 * (self.path == "/slow.mp4"))

        def log_message(self, *_: Any) -> None: ...

    with contextlib.ExitStack() as stack:
        port = 0
        for address in ("127.0.0.1", "127.0.0.2"):  # the one that may be reached, and its neighbour
            server = stack.enter_context(http.server.ThreadingHTTPServer((address, port), Handler))
            port = server.server_address[1]
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        yield port


def anywhere(*_: Any) -> bool:
    return True


def loopback_alone(address: Any) -> bool:
    """For attacks through a server that may be reached: the test's own."""
    return str(address) == "127.0.0.1"


def keeping(what: str, link: Connection, setup: bytes, limits: Limits, slots: int) -> None:
    """A worker that does not give up what it should."""
    if what == "programs":
        fpg.serve.confine._filter = lambda *, network: None
    else:
        limits = replace(limits, **{what: True if what == "network" else None})
    work(link, setup, limits, slots)


def keeps(what: str) -> dict[str, Any]:
    return {"fpg.serve.workers.work": functools.partial(keeping, what)}


def unlimited(*_: Any) -> None: ...


def as_it_is(name: str) -> str:
    return name


def unread(request: Any, service: Any, limit: int) -> Any:
    """`fpg.serve.api._receiver` that does not look at the length that is announced."""
    return lambda folder, reserve: receive(request.stream(), request.headers["content-type"], folder, limit, reserve)


def any_scheme(self: Fetcher, url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return "http", parts.hostname or "", parts.port or 80


def fetching(seconds: float = 30, redirects: int = 3, limit: int = 2_000_000, allowed: Any = loopback_alone) -> dict[str, Any]:
    return {"urls": True, "fetcher": Fetcher(limit, seconds, redirects, allowed)}


HERE = "http://127.0.0.1:{port}"
LOOP = HERE + "/to/http://127.0.0.1:PORT" * 5 + "/a.mp4"
NOBODY = {"fpg.serve.guard.Guard.from_elsewhere": lambda *_: False}
ATTACKS = {
    "no token": Attack(status("GET", "/v1/models"), {"token": TOKEN}, {"fpg.serve.guard.Guard.has_token": anywhere}),
    "no token for metrics": Attack(status("GET", "/metrics"), {"token": TOKEN}, {"fpg.serve.guard.Guard.has_token": anywhere}),
    "half a token": Attack(
        status("GET", "/v1/models", {"Authorization": f"Bearer {TOKEN[:9]}"}),
        {"token": TOKEN},
        {"hmac.compare_digest": lambda given, token: token.startswith(given)},
    ),
    "a name bent to this address": Attack(
        status("GET", "/v1/models", {"Host": "evil.example:80"}), without={"fpg.serve.guard.Guard.called_by_name": anywhere}
    ),
    "a form on another site": Attack(post({"Origin": "https://evil.example"}), without=NOBODY),
    "a form of an opaque origin": Attack(post({"Origin": "null"}), without=NOBODY),
    "a form on a neighbouring port": Attack(post({"Origin": "http://127.0.0.1:1"}), without=NOBODY),
    "a script on another site": Attack(
        status("GET", "/v1/models", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}), without=NOBODY
    ),
    "a file above the limit": Attack(chunked, {"upload_bytes": 1_000_000}, unset={"upload_bytes": 10**9}),
    "a file that says it is above the limit": Attack(announced, {"upload_bytes": 1_000_000}, {"fpg.serve.api._receiver": unread}),
    "an upload that stands still": Attack(stalled, {"upload_patience_s": 0.5}, unset={"upload_patience_s": 60}),
    "a field without end": Attack(
        post({}, frames="1" * 100_000),
        without={"fpg.serve.uploads._Receiver._bounded": unlimited, "fpg.serve.job._whole": lambda *_: 1},
    ),
    "a form of many fields": Attack(
        post({}, **{f"f{i}": "" for i in range(500)}),
        without={"fpg.serve.uploads.MAX_PARTS": 10**6, "fpg.serve.job.JobRequest.of": staticmethod(lambda _: JobRequest())},
    ),
    "more than the spool holds": Attack(two_uploads, {"quota": 1_000_000}, {"fpg.serve.spool.JobSpool.reserve": unlimited}),
    "more jobs than may wait": Attack(many_jobs, {"queue": 5}, unset={"queue": 100}),
    "a file name that is a path": Attack(escape, without={"fpg.serve.uploads.input_file": as_it_is}),
    "a file name shown as a path": Attack(shown_path, without={"fpg.serve.uploads.shown_name": as_it_is}),
    "keys in the list of jobs": Attack(kept_key, without={"fpg.serve.service._hashed": as_it_is}),
    "a key that can be guessed": Attack(post({"Idempotency-Key": "1"}), without={"fpg.serve.service._hashed": as_it_is}),
    "a URL where none are fetched": Attack(fetches(HERE + "/a.mp4"), fetching() | {"urls": False}, unset={"urls": True}),
    "a URL of another scheme": Attack(fetches("ftp://127.0.0.1:{port}/a.mp4"), fetching(), {"fpg.serve.fetch.Fetcher.check": any_scheme}),
    "a URL with a user": Attack(fetches("http://me@127.0.0.1:{port}/a.mp4"), fetching(), {"fpg.serve.fetch.Fetcher.check": any_scheme}),
    "a private address": Attack(fetches(HERE + "/a.mp4"), fetching(allowed=is_public), unset=fetching(allowed=anywhere)),
    "a name of a private address": Attack(
        fetches("http://localhost:{port}/a.mp4"), fetching(allowed=is_public), unset=fetching(allowed=anywhere)
    ),
    "a redirect to a private address": Attack(
        fetches(HERE + "/to/http://127.0.0.2:PORT/a.mp4"), fetching(), unset=fetching(allowed=anywhere)
    ),
    "redirects without end": Attack(fetches(LOOP), fetching(), unset=fetching(redirects=9)),
    "a large file behind a URL": Attack(fetches(HERE + "/large.mp4"), fetching(), unset=fetching(limit=10**9)),
    "a slow file behind a URL": Attack(fetches(HERE + "/slow.mp4"), fetching(seconds=0.5), unset=fetching()),
    "a judge that takes memory": Attack(said("allocate 6000000000"), {"setup": load}, keeps("memory")),
    "a judge that takes processor time": Attack(said("spin 4"), {"setup": load, "limits": replace(LIMITS, cpu_s=1)}, keeps("cpu_s")),
    "a judge that fills the disk": Attack(said("write 2000000"), {"setup": load}, keeps("file_bytes")),
    "a judge that opens connections": Attack(connects, {"setup": load}, keeps("network")),
    "a judge that starts programs": Attack(said("execute"), {"setup": load}, keeps("programs")),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_the_attack_fails(attack: Attack, tmp_path: Path) -> None:
    with serving(tmp_path / "spool", **({"setup": None} | attack.settings)) as server:
        assert not attack.succeeds(server, tmp_path)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_the_attack_succeeds_without_its_guard(attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert attack.without or attack.unset
    for name, value in attack.without.items():
        monkeypatch.setattr(name, value)
    with serving(tmp_path / "spool", **({"setup": None} | attack.settings | attack.unset)) as server:
        assert attack.succeeds(server, tmp_path)


def test_the_token_lets_in(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", None, token=TOKEN) as server:
        assert server.request("GET", "/v1/models", headers={"Authorization": f"Bearer {TOKEN}"})[0].status == 200
        answer, _ = server.request("GET", "/v1/models")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert [server.request("GET", path)[0].status for path in ("/", "/healthz", "/readyz")] == [200] * 3


def test_every_answer_has_the_headers(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", None) as server:
        for method, path, headers in (
            ("GET", "/", {}),
            ("GET", "/page/nothing.js", {}),
            ("GET", "/v1/models", {}),
            ("GET", "/v1/jobs/1", {}),
            ("POST", "/v1/jobs", {}),
            ("GET", "/v1/models", {"Host": "evil.example"}),
        ):
            answer, _ = server.request(method, path, None, headers)
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
            assert answer.headers["Server"] is None


def test_other_sites_are_not_told_that_they_may(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", None) as server:
        for origin in ("https://evil.example", server.address.rstrip("/")):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            answer, _ = server.request("OPTIONS", "/v1/jobs", None, asked)
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_jobs_are_reached_by_their_id_alone(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", None) as server:
        body, headers = form(b"sleep 0", outputs="report,overlay,frames")
        ids = [json.loads(server.request("POST", "/v1/jobs", body, headers)[1])["id"] for _ in range(20)]
        assert len(set(ids)) == 20
        assert all(len(id) == 32 for id in ids)
        bits = [bin(int(a, 16) ^ int(b, 16)).count("1") for a, b in itertools.pairwise(ids)]
        assert 40 < sum(bits) / len(bits) < 88  # nothing in common
        wrong = f"{int(ids[0], 16) ^ 1:032x}"
        for path in ("", "/events", "/report", "/overlay", "/record", "/frames", "/frames/0"):
            assert server.request("GET", f"/v1/jobs/{wrong}{path}")[0].status == 404
        for odd in ("..", "%2e%2e", f"{ids[0]}%2f..", "x" * 32, f"{ids[0]}/frames/..%2f..%2fjobs.sqlite", f"{ids[0]}/frames/-1"):
            assert server.request("GET", f"/v1/jobs/{odd}")[0].status in (404, 422)
        assert server.request("GET", "/v1/jobs")[0].status == 405  # there is no list
        assert server.request("DELETE", f"/v1/jobs/{wrong}")[0].status == 404


def test_the_page_and_nothing_beside_it(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", None) as server:
        for path in ("/page/../api.py", "/page/%2e%2e/api.py", "/page/..%2fapi.py", "/page//etc/passwd", "/page/%2fetc%2fpasswd"):
            assert server.request("GET", path)[0].status == 404


def test_the_spool_is_its_owners_alone(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", None) as server:
        assert stat.S_IMODE(server.settings.spool.stat().st_mode) == 0o700


@pytest.mark.parametrize("guarded", [True, False])
def test_a_script_for_ffmpeg_reads_no_other_file(guarded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    makers.write_video(tmp_path / "secret.mp4", makers.pictures(5))
    (tmp_path / "input.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    if not guarded:
        monkeypatch.setattr("fpg.data.containers._CONTAINERS", fpg.data.containers._CONTAINERS + ",concat")
    try:
        with fpg.data.containers.opened(tmp_path / "input.mp4") as (container, stream):
            read = bool(list(container.decode(stream)))
    except InputError:
        read = False
    assert read is not guarded
