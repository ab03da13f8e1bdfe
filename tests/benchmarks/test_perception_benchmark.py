"""The benchmark's JSON: one object whose cases name the alternative. Nothing about speed is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "perception.py"


def test_json_has_every_alternative() -> None:
    command = [sys.executable, str(SCRIPT), "--json", "--batch", "6", "--size", "24", "--threads", "1", "--rounds", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=SCRIPT.parents[1])
    result = json.loads(done.stdout)
    alternatives = ("torch-reference", "numpy-tight", "numpy-loop", "numpy-loop without image copies")
    assert len(result["cases"]) == len(alternatives)
    for case, alternative in zip(result["cases"], alternatives, strict=True):
        assert alternative in case["name"]
        assert case["ratio"] > 0
    assert result["backend"] in {"native", "reference"}
