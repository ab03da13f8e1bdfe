"""fpg-serve under load: jobs a second next to those of `fpg-detect --jobs`, latencies, what was lost, and memory over time.

    python benchmarks/serve.py                                       a short run
    python benchmarks/serve.py --clients 32 --minutes 5 --plot docs/images/serving.png --json build/serve.json

One run: `fpg-detect --jobs N` judges as many clips as fit into a third of the time, then a server with N slots answers `POST /v1/judge` for
the same clips, then fpg-detect again. The clients are those of hey (Debian's package `hey`). Both begin to count when their detector is
loaded; the ratio is to the faster of fpg-detect's two runs.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from fpg.client import Client
from fpg.data.encode import write_video
from fpg.data.video import read_image

KINDS = 8
"""Clips that differ in their bytes."""
BOUNDARY = "clip-of-the-benchmark"


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
    inputs = Path(tempfile.mkdtemp(dir=folder))

    def run(count: int) -> float:
        for number in range(count):
            link = inputs / f"{number:05d}.mp4"
            if not link.exists():
                link.symlink_to(paths[number % len(paths)])
        command = [sys.executable, "-m", "fpg.cli.detect", str(inputs), "--jobs", str(jobs), "--json", str(folder / "detect.json")]
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
        self.address = self._process.stdout.readline().split()[-1].rstrip("/")
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

    def ended(self) -> tuple[int, int]:
        """Jobs that ended so far, and those of them that did not end well, as the server counts them (`/metrics`): one that fails has its
        answer, too, with status 200."""
        with urllib.request.urlopen(f"{self.address}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        counts = [(line, float(line.split()[-1])) for line in lines if line.startswith("fpg_jobs_ended_total")]
        return round(sum(count for _, count in counts)), round(sum(count for line, count in counts if 'state="done"' not in line))

    def end(self) -> int:
        """Stop it in order; its exit code."""
        self._process.terminate()
        return self._process.wait(120)


def bodies(paths: list[Path]) -> list[Path]:
    """The form of each clip as a client sends it."""
    forms = []
    for path in paths:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\nContent-Type: video/mp4\r\n\r\n'
        form = path.with_suffix(".form")
        form.write_bytes(head.encode() + path.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode())
        forms.append(form)
    return forms


def load(server: Server, forms: list[Path], clients: int, seconds: float) -> dict[str, Any]:
    """hey's clients, divided over the clips, each posting one after the other until the time is over; what still runs is waited for."""
    counts = [clients // len(forms) + (number < clients % len(forms)) for number in range(len(forms))]
    hey = ["hey", *f"-z {seconds:g}s -t 0 -cpus 1 -o csv -m POST".split(), "-T", f"multipart/form-data; boundary={BOUNDARY}"]
    (ended, failed), start = server.ended(), time.monotonic()
    running, answers = [], []
    for form, count in zip(forms, counts, strict=True):
        if count:
            answers.append(form.with_suffix(".csv"))  # a pipe that nobody reads would fill, and hey wait for ever
            with open(answers[-1], "wb") as out:
                running.append(subprocess.Popen([*hey, "-c", str(count), "-D", str(form), f"{server.address}/v1/judge"], stdout=out))
    memory: list[tuple[float, int]] = []
    while any(client.poll() is None for client in running):
        memory.append((time.monotonic() - start, server.memory()))
        time.sleep(0.5)
    rows = [row for path in answers for row in csv.DictReader(path.read_text().splitlines())]
    ended_now, failed_now = server.ended()
    good = [
        (float(row["offset"]) + float(row["response-time"]), float(row["response-time"])) for row in rows if row["status-code"] == "200"
    ]
    cuts = statistics.quantiles([took for _, took in good], n=100) if len(good) > 1 else [0.0] * 99
    tenth = max(1, len(memory) // 10)
    return {
        "answers": len(good),
        "rate": sum(when <= seconds for when, _ in good) / seconds,
        "p50_s": cuts[49],
        "p95_s": cuts[94],
        "p99_s": cuts[98],
        "refused": dict(Counter(row["status-code"] for row in rows if row["status-code"] != "200")),  # how many of each
        "unanswered": ended_now - ended - len(good),
        "failed": failed_now - failed,
        "memory_first_mb": statistics.median(m for _, m in memory[tenth : 2 * tenth] or memory) / 2**20,
        "memory_last_mb": statistics.median(m for _, m in memory[-2 * tenth : -tenth] or memory) / 2**20,
        "ended": good,
        "memory": memory,
    }


def plot(path: str, result: dict[str, Any]) -> None:
    """Latency of every job and memory, over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    upper.plot(*zip(*result["ended"], strict=True), ".", markersize=3)
    upper.set(ylabel="seconds per answer", ylim=(0, None))
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
    if shutil.which("hey") is None:
        p.error("the clients are those of hey, which is not installed: apt install hey")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = clips(folder, arguments.seed)
        forms = bodies(paths)
        alone = detect_rate(paths, arguments.slots, 60 * arguments.minutes / 3, folder)
        server = Server(folder / "spool", arguments.slots, arguments.clients)
        try:
            load(server, forms, arguments.slots, 5)  # warm
            result = load(server, forms, arguments.clients, 60 * arguments.minutes)
        finally:
            code = server.end()
        again = detect_rate(paths, arguments.slots, 60 * arguments.minutes / 3, folder)
    cores = len(os.sched_getaffinity(0))
    print(f"machine: {platform.processor() or platform.machine()}, {cores} cores; clips of 75 frames, 640 x 480, 32 looked at")
    print(f"fpg-detect --jobs {arguments.slots}: {alone:.2f} clips/s before, {again:.2f} after")
    served, ratio = result["rate"], result["rate"] / max(alone, again)
    print(f"fpg-serve, {arguments.clients} clients, {arguments.minutes:g} min: {served:.2f} clips/s, ratio {ratio:.2f}")
    print(
        f"latency: p50 {result['p50_s']:.2f} s, p95 {result['p95_s']:.2f} s, p99 {result['p99_s']:.2f} s over {result['answers']} answers"
    )
    print(f"jobs without their answer: {result['unanswered']}; failed: {result['failed']}; answers other than 200: {result['refused']}")
    print(f"memory: {result['memory_first_mb']:.0f} MB in the second tenth, {result['memory_last_mb']:.0f} MB in the last but one")
    if arguments.plot:
        plot(arguments.plot, result)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"detect_rates": [alone, again], **result}))
    if result["unanswered"] or result["failed"] or result["refused"] or code not in (0, 143):
        sys.exit(f"answers are missing, jobs failed, or the server ended with {code}")


if __name__ == "__main__":
    main()
