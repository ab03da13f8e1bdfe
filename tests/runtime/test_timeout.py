"""An input that takes too long costs itself, and nothing else."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import makers
import numpy as np
import pytest
from judging import Box, BrightnessEngine, GreenAnalyzer, face_image
from PIL import Image

from fpg.data.pool import TimedOut, run_tasks
from fpg.runtime.pipeline import VideoDetector
from fpg.runtime.stages import abandonable

STUCK = threading.Event()


class Sticky(GreenAnalyzer):
    """Never comes back from a picture whose first pixel is black."""

    def __call__(self, image: np.ndarray) -> list[Box]:
        if not image[0, 0].any():
            STUCK.wait()
        return super().__call__(image)


def test_a_stuck_input_is_given_up_and_the_others_are_judged(tmp_path: Path) -> None:
    names = []
    for number in range(3):
        image = face_image(204)
        image[0, 0] = 0 if number == 1 else 90
        names.append(tmp_path / f"{number}.png")
        Image.fromarray(image).save(names[-1])
    with VideoDetector(BrightnessEngine(), Sticky, timeout=3.0) as detector:
        results = list(detector.judge_many(names))
    STUCK.set()
    assert [r.error_code for r in results] == [None, "timeout", None]
    assert results[1].error == "was given up after 3 s (--timeout)"
    assert results[0].score == results[2].score is not None


def test_what_was_given_up_stops_at_its_next_frame(tmp_path: Path) -> None:
    seen: list[int] = []

    class Slow(GreenAnalyzer):
        def __call__(self, image: np.ndarray) -> list[Box]:
            seen.append(1)
            time.sleep(0.3)
            return super().__call__(image)

    makers.write_video(tmp_path / "long.mp4", 200)
    with VideoDetector(BrightnessEngine(), Slow, frames=None, timeout=1.0) as detector:
        assert detector.judge(tmp_path / "long.mp4").error_code == "timeout"
    looked = len(seen)
    time.sleep(5)
    assert len(seen) <= looked + 12  # those that were decoded ahead
    assert len(seen) < 200


def test_errors_come_through() -> None:
    with pytest.raises(ZeroDivisionError):
        abandonable(lambda: 1 // 0, 60, threading.Event())
    assert abandonable(lambda: 5, 60, threading.Event()) == 5


def sleep_long(task: float) -> float:
    time.sleep(task)
    return task


def sleeper() -> object:
    return sleep_long


def test_a_worker_that_is_stuck_is_ended() -> None:
    outcomes = dict(run_tasks([0.0, 600.0, 0.1], sleeper, 1, timeout=2.0))  # type: ignore[arg-type, type-var]
    assert (outcomes[0], outcomes[2]) == (0.0, 0.1)
    assert outcomes[1] == TimedOut("was given up after 2 s (--timeout)")
