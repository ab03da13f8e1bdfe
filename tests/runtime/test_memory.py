"""Two hundred videos, and one long one: memory stays where it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import makers
import numpy as np
import pytest

MANY = """
import json, resource, sys
from pathlib import Path
from judging import BrightnessEngine
from fpg.faces import default_analyzer
from fpg.runtime.pipeline import VideoDetector

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

video, seen = sys.argv[1], []
with VideoDetector(BrightnessEngine(), default_analyzer, jobs=2, frames=4, highlights=2) as detector:
    for number, judgement in enumerate(detector.judge_many([video] * 200)):
        assert judgement.frames and judgement.error in (None, "no face found in 4 frames"), judgement
        seen.append(resident())
print(json.dumps(seen))
"""
LONG = (
    MANY[: MANY.index("with VideoDetector")]
    + """
class Nobody:
    def __call__(self, image):
        return []

with VideoDetector(BrightnessEngine(), Nobody) as detector:
    for frame in detector.stream(video, images=True):
        if frame.frame.index % 50 == 0:
            seen.append(resident())
print(json.dumps(seen))
"""
)


def memory(code: str, video: Path) -> list[float]:
    tests = Path(__file__).parents[1]
    one = {**os.environ, "MALLOC_ARENA_MAX": "1"}  # with an arena for each thread glibc takes a thousand videos to settle
    command = [sys.executable, "-c", code, str(video)]
    done = subprocess.run(command, cwd=tests, env=one, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert isinstance(seen, list)
    return seen


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_two_hundred_videos(tmp_path: Path) -> None:
    seen = memory(MANY, makers.write_video(tmp_path / "v.mp4", 12))
    assert max(seen[150:]) - max(seen[30:80]) < 12, seen[::10]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_long_video(tmp_path: Path) -> None:
    """1200 frames of 640 x 480 are 1.1 GB as pictures."""
    flat = np.full((480, 640, 3), 90, np.uint8)
    seen = memory(LONG, makers.write_video(tmp_path / "v.mp4", [flat] * 1200))
    assert len(seen) == 24
    assert max(seen) - seen[2] < 120, seen
