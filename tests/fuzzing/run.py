"""Fuzz readers: `python tests/fuzzing/run.py [READER ...] --seconds 60 [--seed N] [--keep DIR]`.

Each reader gets mutated files of its corpus for so long, in a process of its own. A finding is an exception that is no `FpgError`, a crash,
more than 30 s, or more than 2 GB on one file; the file is kept and named. Exit code: 0 none, 1 some, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

HANG_S = 30
MEMORY = 2 << 30
"""Bytes that reading one file may take beyond what the process had."""


def work(name: str, seconds: float, seed: int, folder: Path) -> int:
    """In the child: read mutated files until the time is over; a line of JSON on the standard output says how many, or what was found."""
    import warnings

    from fuzzing.mutate import mutate
    from fuzzing.readers import READERS

    from fpg.common.errors import FpgError

    warnings.simplefilter("ignore")
    reader, rng = READERS[name], random.Random(seed)
    seeds = [(path.suffix, path.read_bytes()) for path in reader.seeds()]
    for suffix, data in seeds:  # the corpus itself is read first: imports, and the memory that they take
        _read(reader.read, folder, suffix, data, FpgError)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    count, refused, slowest, ends = 0, 0, 0.0, time.monotonic() + seconds
    while time.monotonic() < ends:
        suffix, data = rng.choice(seeds)
        changed = mutate(data, [other for _, other in seeds], rng)
        began = time.monotonic()
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        refused += _read(reader.read, folder, suffix, changed, FpgError)
        faulthandler.cancel_dump_traceback_later()
        slowest = max(slowest, time.monotonic() - began)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - base
        if peak > MEMORY:
            raise MemoryError(f"{peak / 1e9:.1f} GB")
        count += 1
    print(
        json.dumps(
            {"reader": name, "files": count, "refused": refused, "slowest_s": round(slowest, 2), "peak_mb": peak >> 20 if count else 0}
        )
    )
    return 0


def _read(read: object, folder: Path, suffix: str, data: bytes, expected: type[Exception]) -> bool:
    path = folder / f"input{suffix}"
    path.write_bytes(data)
    try:
        read(path)  # type: ignore[operator]
    except expected as error:
        if len(str(error).splitlines()) != 1:
            raise RuntimeError(f"an error that is not one line: {error!r}") from error
        return True
    return False


def fuzz(name: str, seconds: float, seed: int, keep: Path) -> list[str]:
    """Fuzz one reader in processes of its own, begun again after a finding; the findings, one line each."""
    findings: list[str] = []
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0 and len(findings) < 20:
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, __file__, name, "--seconds", str(left), "--seed", str(seed), "--child", scratch]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=left + 20 * HANG_S, check=False)
            if done.returncode == 0:
                print(done.stdout.strip(), flush=True)
                break
            inputs = sorted(Path(scratch).glob("input*"))
            keep.mkdir(parents=True, exist_ok=True)
            target = keep / f"{name}-{seed}{inputs[0].suffix if inputs else ''}"
            if inputs:
                newest = max(inputs, key=lambda path: path.stat().st_mtime_ns)
                target = target.with_suffix(newest.suffix)
                target.write_bytes(newest.read_bytes())
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            findings.append(f"{target}: {last} (exit code {done.returncode})")
            print(f"FOUND {findings[-1]}\n{done.stderr[-2000:]}", flush=True)
        seed += 1000
    return findings


def main() -> int:
    """See the module."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("readers", metavar="READER", nargs="*")
    p.add_argument("--seconds", type=float, default=60, help="for each reader (default: 60)")
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"), help="of the mutations (default: a new one)")
    p.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for files that are findings (default: build/fuzz)")
    p.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.child:
        try:
            return work(a.readers[0], a.seconds, a.seed, a.child)
        except BaseException:
            traceback.print_exc()
            return 1
    from fuzzing.readers import READERS

    if unknown := set(a.readers) - set(READERS):
        p.error(f"expected some of {', '.join(READERS)}, got {', '.join(unknown)}")
    print(f"seed {a.seed}", flush=True)
    found = [line for name in a.readers or READERS for line in fuzz(name, a.seconds, a.seed, a.keep)]
    print(f"{len(found)} findings" if found else "no finding", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
