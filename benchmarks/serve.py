"""fpg-serve under load: jobs a second beside those of `fpg-detect --jobs`, latencies, what was lost, and memory over time.

    python benchmarks/serve.py                                       a short run
    python benchmarks/serve.py --clients 32 --minutes 5 --plot docs/images/serving.png --json build/serve.json

One run: first `fpg-detect --jobs N` judges as many clips as fit into the time of its share, then a server with N slots on the same clips,
whose clients submit one after the other, as fast as it takes them. Both begin to count when their detector is loaded.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fpg.client import Client, ServerError
from fpg.data.encode import write_video
from fpg.data.video import read_image

KINDS = 8
"""Clips that differ in their bytes."""


def clips(folder: Path, seed: int) -> list[Path]:
    """Three seconds of a portrait that moves, 640 x 480."""
    portrait = read_image(str(importlib.metadata.distribution("scikit-image").locate_file("skimage/data/astronaut.png")))
    rng = np.random.default_rng(seed)
    paths = []
    for kind in range(KINDS):
        ground = rng.integers(0, 255, (480, 640, 3), np.uint8)
        x, y = rng.integers(0, 150, 2)
        frames = (_placed(ground, portrait[:400, :400], int(x) + 1 * t, int(y) // 3) for t in range(75))
        write_video(folder / f"clip-{kind}.mp4", frames, fps=25)
        paths.append(folder / f"clip-{kind}.mp4")
    return paths


def _placed(ground: np.ndarray, portrait: np.ndarray, x: int, y: int) -> np.ndarray:
    image = ground.copy()
    image[y : y + 400, x : x + 400] = portrait[: 480 - y, : 640 - x]
    return image


def detect_rate(paths: list[Path], jobs: int, seconds: float, folder: Path) -> float:
    """Clips a second of `fpg-detect --jobs`, as it says itself (`--stats`), over about so many seconds."""
    inputs = folder / "inputs"
    inputs.mkdir()

    def run(count: int) -> float:
        for number in range(count):
            link = inputs / f"{number:05d}.mp4"
            if not link.exists():
                link.symlink_to(paths[number % len(paths)])
        command = [
            sys.executable,
            "-m",
            "fpg.cli.detect",
            str(inputs),
            "--jobs",
            str(jobs),
            "--json",
            str(folder / "detect.json"),
            "--stats",
        ]
        done = subprocess.run([*command, "--stats"], capture_output=True, text=True, check=True)
        found = re.search(r"([\d.]+) inputs/s", done.stderr)
        assert found is not None, done.stderr
        return float(found.group(1))

    rate = run(2 * jobs)
    return run(max(4 * jobs, round(rate * seconds)))


class Server:
    """fpg-serve in a process of its own."""

    def __init__(self, spool: Path, slots: int, clients: int) -> None:
        command = [sys.executable, "-m", "fpg.cli.serve", "--port", "0", "--spool", str(spool), "--workers", "1", "--slots", str(slots)]
        command += ["--queue", str(clients), "--keep", "60"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().split()[-1]
        Client(self.address, patience_s=300).ready()

    def memory(self) -> int:
        """Resident bytes of the server and its workers."""
        tree, total = [self._process.pid], 0
        for pid in tree:
            try:
                for children in Path(f"/proc/{pid}/task").glob("*/children"):  # by the thread that started them
                    tree += map(int, children.read_text().split())
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            except OSError:
                continue
        return total

    def end(self) -> int:
        """Stop it in order; its exit code."""
        self._process.terminate()
        return self._process.wait(120)


def load(server: Server, paths: list[Path], clients: int, seconds: float) -> dict[str, Any]:
    """Clients that submit and wait, one job after the other, until the time is over; then the rest is waited for."""
    lock, start = threading.Lock(), time.monotonic()
    ended: list[tuple[float, float]] = []  # when, and how long it took
    troubles: list[str] = []
    memory: list[tuple[float, int]] = []
    refused = 0

    def one(number: int) -> None:
        nonlocal refused
        client = Client(server.address, patience_s=0)
        turn = number
        while time.monotonic() - start < seconds:
            turn += 1
            began = time.monotonic()
            try:
                job = client.wait(client.submit(paths[turn % len(paths)])["id"], 3600, 0.1)
            except ServerError as error:
                with lock:
                    if error.code == "queue_full":
                        refused += 1
                    else:
                        troubles.append(f"{error.code}: {error}")
                time.sleep(error.retry_s or 0.1)
                continue
            except Exception as error:
                with lock:
                    troubles.append(f"{type(error).__name__}: {error}")
                continue
            with lock:
                ended.append((time.monotonic() - start, time.monotonic() - began))
                if job["state"] != "done":
                    troubles.append(f"{job['state']}: {job['error']}")

    with ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(one, number) for number in range(clients)]
        while not all(future.done() for future in futures):
            memory.append((time.monotonic() - start, server.memory()))
            time.sleep(0.5)
        for future in futures:
            future.result()
    inside = [took for when, took in ended if when <= seconds]
    cuts = statistics.quantiles([took for _, took in ended], n=100) if len(ended) > 1 else [0.0] * 99
    tenth = max(1, len(memory) // 10)
    return {
        "jobs": len(ended),
        "rate": len(inside) / seconds,
        "p50_s": cuts[49],
        "p95_s": cuts[94],
        "p99_s": cuts[98],
        "lost": len(troubles),
        "troubles": sorted(set(troubles))[:10],
        "answered_429": refused,
        "memory_first_mb": statistics.median(m for _, m in memory[tenth : 2 * tenth] or memory) / 2**20,
        "memory_last_mb": statistics.median(m for _, m in memory[-2 * tenth : -tenth] or memory) / 2**20,
        "ended": ended,
        "memory": memory,
    }


def plot(path: str, result: dict[str, Any]) -> None:
    """Latency of every job and memory, over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    upper.plot(*zip(*result["ended"], strict=True), ".", markersize=3)
    upper.set(ylabel="seconds per job", ylim=(0, None))
    lower.plot([t for t, _ in result["memory"]], [m / 2**20 for _, m in result["memory"]])
    lower.set(xlabel="seconds", ylabel="MB resident", ylim=(0, None))
    figure.savefig(path, dpi=120)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--clients", type=int, default=8)
    p.add_argument("--minutes", type=float, default=0.5)
    p.add_argument("--slots", type=int, default=len(os.sched_getaffinity(0)), help="jobs at a time, of both")
    p.add_argument("--plot", metavar="FILE")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--seed", type=int, default=0)
    arguments = p.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = clips(folder, arguments.seed)
        alone = detect_rate(paths, arguments.slots, 60 * arguments.minutes / 3, folder)
        server = Server(folder / "spool", arguments.slots, arguments.clients)
        try:
            load(server, paths, arguments.slots, 5)  # warm
            result = load(server, paths, arguments.clients, 60 * arguments.minutes)
        finally:
            code = server.end()
    cores = len(os.sched_getaffinity(0))
    print(f"machine: {platform.processor() or platform.machine()}, {cores} cores; clips of 75 frames, 640 x 480, 32 looked at")
    print(f"fpg-detect --jobs {arguments.slots}: {alone:.2f} clips/s")
    served, ratio = result["rate"], result["rate"] / alone
    print(f"fpg-serve, {arguments.clients} clients, {arguments.minutes:g} min: {served:.2f} clips/s, ratio {ratio:.2f}")
    print(f"latency: p50 {result['p50_s']:.2f} s, p95 {result['p95_s']:.2f} s, p99 {result['p99_s']:.2f} s over {result['jobs']} jobs")
    print(f"lost: {result['lost']} {'; '.join(result['troubles'])}   answered 429 and tried again: {result['answered_429']}")
    print(f"memory: {result['memory_first_mb']:.0f} MB in the second tenth, {result['memory_last_mb']:.0f} MB in the last but one")
    if arguments.plot:
        plot(arguments.plot, result)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"detect_rate": alone, **result}))
    if result["lost"] or code not in (0, 143):
        sys.exit(f"jobs were lost, or the server ended with {code}")


if __name__ == "__main__":
    main()
