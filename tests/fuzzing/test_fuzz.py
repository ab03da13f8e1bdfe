"""A short run of every fuzzer (`make fuzz` runs them for long), and that they find what is there to be found."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing.mutate import mutate
from fuzzing.readers import READERS

RUN = Path(__file__).with_name("run.py")
SECONDS = float(os.environ.get("FPG_FUZZ_SECONDS", "4"))


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_no_reader_breaks(name: str, tmp_path: Path) -> None:
    seed = os.environ.get("FPG_TEST_SEED", "0")
    command = [sys.executable, str(RUN), name, "--seconds", str(SECONDS), "--seed", str(int(seed) + 1), "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 500, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "no finding" in done.stdout


def test_every_seed_is_read() -> None:
    for name, reader in READERS.items():
        if name != "tflite":
            assert reader.seeds(), name


@pytest.mark.slow
def test_a_finding_is_kept(tmp_path: Path) -> None:
    code = f"""
import sys, runpy
sys.path[:0] = {sys.path!r}
import fuzzing.readers as r
from pathlib import Path
def breaks(path):
    raise ZeroDivisionError("here")
r.READERS["npy"] = r.Reader(r.READERS["npy"].seeds, breaks)
sys.argv = ["run.py", "npy", "--seconds", "1", "--child", {str(tmp_path)!r}]
runpy.run_path({str(RUN)!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError: here" in done.stderr
    assert list(tmp_path.glob("input*"))


def test_mutations_follow_their_seed() -> None:
    data = b'{"a": [1, 2, {"b": "c"}]}' * 1
    one, two = ([mutate(data, [b"xyz" * 50], random.Random(s)) for s in range(50)] for _ in range(2))
    assert one == two
    assert len(set(one)) > 25
