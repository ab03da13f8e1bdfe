"""SIGKILL at random moments: every promised job has one answer, none is lost, none ends twice, and no process is left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fpg.client import Client
from fpg.serve.store import Store

JOBS, KILLS = 30, 20
TESTS = Path(__file__).parents[1]


@contextlib.contextmanager
def started(spool: Path, port: int, mark: str) -> Iterator[subprocess.Popen[str]]:
    """A server process that takes connections; killed at the end."""
    code = f"import serving; serving.main({str(spool)!r}, '{port}')"
    environment = os.environ | {"PYTHONPATH": str(TESTS), "FPG_TEST_MARK": mark}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("http://")
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def marked(mark: str) -> list[int]:
    """Living processes of our servers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"FPG_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def wait_for_running(path: Path) -> None:
    """Until a job is being judged, or for 20 s."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        until = time.monotonic() + 20
        while time.monotonic() < until and not db.execute("SELECT 1 FROM jobs WHERE state = 'running'").fetchone():
            time.sleep(0.01)


def submitted(client: Client, folder: Path, rng: np.random.Generator, turn: threading.Semaphore) -> list[str]:
    """Jobs of random length, each in its turn, tried again for as long as the server is away; their ids."""
    ids = []
    for number in range(JOBS):
        path = folder / f"job-{number}.mp4"
        path.write_bytes(f"sleep {rng.uniform(0.1, 1.5):.3f}\n".encode() + rng.bytes(int(rng.integers(10, 200_000))))
        turn.acquire()
        ids.append(client.submit(path)["id"])
    return ids


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_thirty_jobs_and_twenty_kills(tmp_path: Path, rng: np.random.Generator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    spool, mark = tmp_path / "spool", str(tmp_path)
    client = Client(f"http://127.0.0.1:{port}", patience_s=500)
    turn = threading.Semaphore(0)
    with ThreadPoolExecutor(1) as pool:
        ids: Future[list[str]] = pool.submit(submitted, client, tmp_path, np.random.default_rng(rng.integers(2**32)), turn)
        for kill in range(KILLS):
            turn.release(2 if kill < JOBS - KILLS else 1)
            with started(spool, port, mark):
                if kill % 3:  # else while it starts
                    client.ready()
                if kill % 3 == 2:
                    wait_for_running(spool / "jobs.sqlite")
                else:
                    time.sleep(rng.uniform(0, 1.5))
        with started(spool, port, mark):
            jobs = {id: client.wait(id, 300, 0.1) for id in ids.result()}
    assert len(jobs) == JOBS
    assert {job["state"] for job in jobs.values()} == {"done"}
    assert [job["result"]["results"][0]["input"] for job in jobs.values()] == [f"job-{number}.mp4" for number in range(JOBS)]
    store = Store(spool / "jobs.sqlite")
    assert store.ids() == set(jobs)
    histories = [store.history(id) for id in jobs]
    store.close()
    assert all(history.count("done") == 1 and history[-1] == "done" for history in histories)
    print(f"{sum(history.count('running') for history in histories) - JOBS} jobs ran when their server was killed")
    assert sum(history.count("running") for history in histories) > JOBS, "no kill met a running job: this test tested nothing"
    until = time.monotonic() + 10
    while marked(mark) and time.monotonic() < until:
        time.sleep(0.1)
    assert not marked(mark), "workers outlive their server"
