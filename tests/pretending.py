"""A judge for tests of the page: it finds one face in every frame, takes its time, and writes what a real one writes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import makers
import numpy as np
from obedient import RECORD

from fpg.common.errors import InputError
from fpg.runtime.judgement import FaceScore, FrameScore, Judgement, conclude
from fpg.serve.document import document
from fpg.serve.job import JudgeTask
from fpg.serve.judging import Follower
from fpg.serve.outputs import REPORT
from fpg.serve.worker import JobOutcome, Tell

FRAMES = 12
WARNING = "pretended: of no consequence"
FINDING = {
    "level": "moderate",
    "words": "moderate evidence of manipulation",
    "limits": [{"code": "small_faces", "value": 41.2, "bound": 54.0, "text": "small faces: 41.2 px, calibrated from 54 px up"}],
    "text": "Moderate evidence of manipulation. <b>Not markup.</b>",
}


class Pretending:
    """See the module. A file that begins with `none` has no face, one with `slow` takes half a second a frame, one with `uncalibrated`
    has a finding of no stated strength."""

    @property
    def description(self) -> dict[str, Any]:
        model = {"file": "pretender", "backbone": "none at all", "sha256": "0" * 64, "threshold": 0.5, "warnings": [WARNING]}
        return {
            "record": RECORD,
            "model": model,
            "protocol": {"unit": "video", "frames": 32, "sampling": "evenly spaced"},
            "threshold": 0.5,
        }

    def __call__(self, task: JudgeTask, tell: Tell, cancelled: threading.Event) -> JobOutcome:
        with open(task.path, "rb") as file:
            start = file.read(16)
        follower = Follower(task, tell, cancelled, mapped=True)
        try:
            if start.startswith(b"none"):
                raise InputError(task.path, "no face found in 12 frames", "no_face")
            frames = self._frames(task, follower, cancelled, 0.5 if start.startswith(b"slow") else 0.1)
            judged = conclude(task.name, frames, 0.5)
        except InputError as error:
            judged = Judgement(task.name, None, None, 0.5, error=error.reason, error_code=error.code)
        follower.finish()
        (Path(task.folder) / REPORT).write_text("<!doctype html><title>report</title><p>pretended")
        level = {"level": "not_calibrated"} if start.startswith(b"uncalibrated") else {}
        words = {"words": "not calibrated"} if level else {}
        result = judged.to_json() | ({"finding": FINDING | level | words} if judged.score is not None else {})
        for track in result["tracks"]:
            track |= level
            track["segments"] = [{"start_s": 0.4, "end_s": 0.8, "first_frame": 4, "last_frame": 8, "frames": 5, "score": 0.9}]
        answer = document(RECORD, self.description["model"], self.description["protocol"], [result])
        return JobOutcome(answer, judged.error, judged.error_code, {})

    def _frames(self, task: JudgeTask, follower: Follower, cancelled: threading.Event, pause: float) -> list[FrameScore]:
        follower.begin(task.path, FRAMES)
        found = []
        for number in range(FRAMES):
            cancelled.wait(pause)
            kept = follower.keep(makers.picture(320, 240, face=(100, 60, 200, 180), seed=number))
            evidence = np.outer(np.linspace(-1, 1, 5), np.linspace(0, 1, 5)).astype(np.float32)
            face = FaceScore((100.0, 60.0, 200.0, 180.0), 0.9 if 4 <= number <= 8 else 0.4, None, 0, evidence)
            frame = FrameScore(number, number / 10, (face,))
            follower.add(task.path, frame, (), kept)
            found.append(frame.without_maps())
        return found


def load() -> Pretending:
    """A `fpg.serve.worker.Setup`."""
    return Pretending()
