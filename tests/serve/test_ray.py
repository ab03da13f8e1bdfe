"""Ray Serve on a small cluster of this machine: two replicas, one killed under load, and every job has its one answer."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from obedient import load
from serving import LIMITS, serving

from fpg.serve.ray_replicas import Cluster, RayReplicas

pytest.importorskip("ray.serve", reason="Ray Serve is not installed: pip install '.[ray]'")
pytestmark = pytest.mark.slow
JOBS = 24


def replicas() -> list[int]:
    """Processes of replicas, by the name that Ray gives them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "cmdline").read_bytes().startswith(b"ray::ServeReplica:fpg"):
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_a_replica_that_is_killed_under_load_costs_nothing(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # where the judge is
    monkeypatch.setenv("RAY_worker_niceness", "0")  # on a busy machine its 15 is never
    executor = functools.partial(RayReplicas, load, Cluster("local", 2, 2, cpus=0.1), 2, LIMITS, 600)
    with serving(tmp_path / "spool", executor=executor, queue=100) as server:
        until = time.monotonic() + 120
        while len(replicas()) < 2 and time.monotonic() < until:
            time.sleep(0.5)
        ids = [server.obey(tmp_path, f"write 1000;sleep {rng.uniform(0.5, 2):.2f}", outputs="frames") for _ in range(JOBS)]
        while sum(server.client.job(id)["state"] == "running" for id in ids) < 4:
            time.sleep(0.05)
        before = replicas()
        os.kill(before[int(rng.integers(len(before)))], signal.SIGKILL)
        jobs = [server.client.wait(id, 300, 0.2) for id in ids]
        assert [job["state"] for job in jobs] == ["done"] * JOBS
        histories = [server.service.store.history(id) for id in ids]
        assert all(history.count("done") == 1 for history in histories)
        assert sum(history.count("running") for history in histories) > JOBS, "the replica had no job: this test tested nothing"
        assert len(server.client.output(ids[0], "frames")) == 1000  # what was made on a replica has come back
        guilty = server.obey(tmp_path, "die")
        assert server.client.wait(guilty, 300, 0.2)["error_code"] == "worker"  # a replica's workers are as here
        slow = server.obey(tmp_path, "sleep 60")
        while server.client.job(slow)["state"] != "running":
            time.sleep(0.05)
        server.client.cancel(slow)
        assert server.client.wait(server.obey(tmp_path, "sleep 0"), 120, 0.1)["state"] == "done"
