"""The detector as a worker has it: jobs share batches, options are a job's own, progress is told, pictures fit their frames."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, face_image, lossless_video, save

from fpg.engines.base import EngineOutput
from fpg.record.run import ModelRecord, RunRecord, source
from fpg.runtime.judgement import describe_model
from fpg.runtime.pipeline import VideoDetector
from fpg.serve.job import JobRequest, JudgeTask
from fpg.serve.judging import PICTURES, Follower, JobJudge
from fpg.serve.worker import JobOutcome


class SlowEngine(BrightnessEngine):
    """Takes its time, so that others may join."""

    def __call__(self, images: np.ndarray) -> EngineOutput:
        time.sleep(0.2)
        return super().__call__(images)


def judging(engine: BrightnessEngine, slots: int) -> JobJudge:
    detector = VideoDetector(engine, GreenAnalyzer, jobs=slots, highlights=0, min_face=0)
    run = RunRecord((ModelRecord("brightness", None, {}, None),), {}, ("fpg-serve",), folder="", fpg=source("fpg-serve"))
    return JobJudge(detector, describe_model(engine.spec, "brightness"), run)


def done(judge: JobJudge, path: Path, cancelled: threading.Event | None = None, **options: Any) -> tuple[JobOutcome, list[dict[str, Any]]]:
    """What became of a job, and what was told."""
    told: list[dict[str, Any]] = []
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    task = JudgeTask("0" * 32, str(path), "shown.mkv", str(folder), JobRequest(**options))
    return judge(task, told.append, cancelled or threading.Event()), told


def test_a_batch_holds_faces_of_several_jobs(tmp_path: Path, rng: np.random.Generator) -> None:
    engine = SlowEngine()
    judge = judging(engine, 4)
    reds = rng.integers(10, 250, 12)
    paths = [save(tmp_path / f"{number}.png", face_image(int(red))) for number, red in enumerate(reds)]  # one face each
    with ThreadPoolExecutor(4) as pool:
        outcomes = [outcome for outcome, _ in pool.map(lambda path: done(judge, path), paths)]
    assert sum(engine.batches) == len(paths)
    assert max(engine.batches) > 1
    for red, outcome in zip(reds, outcomes, strict=True):
        assert outcome.answer["results"][0]["score"] == pytest.approx(red / 255, abs=1e-3)  # nobody got another's


def test_options_are_a_job_s_own(tmp_path: Path) -> None:
    judge = judging(BrightnessEngine(), 2)
    path = lossless_video(tmp_path / "clip.mkv", [face_image(100 + 5 * i) for i in range(10)])
    seen = []
    for options in ({"frames": 3}, {"frames": None, "every": 4}, {"frames": None}, {}):
        (outcome, _) = done(judge, path, **options)
        result, run = outcome.answer["results"][0], outcome.answer["record"]
        seen.append([frame["index"] for frame in result["frames"]])
        assert run["settings"]["frames"] == (options.get("frames", 32) or "all")
        assert result["input"] == "shown.mkv"
    assert seen == [[0, 4, 9], [0, 4, 8], list(range(10)), list(range(10))]
    (strict, _), (loose, _) = done(judge, path, threshold=0.99), done(judge, path, threshold=0.01)
    assert [outcome.answer["results"][0]["verdict"] for outcome in (strict, loose)] == ["real", "fake"]


def test_progress_and_cancel(tmp_path: Path) -> None:
    judge = judging(BrightnessEngine(), 1)
    path = lossless_video(tmp_path / "clip.mkv", [face_image(100) for _ in range(10)])
    outcome, told = done(judge, path)
    last = told[-1]
    assert (last["stage"], last["frames"], last["total"]) == ("judging", 10, 10)
    assert last["score"] == pytest.approx(outcome.answer["results"][0]["score"])
    cancelled = threading.Event()
    cancelled.set()
    outcome, _ = done(judge, path, cancelled)
    assert (outcome.error_code, outcome.answer["results"][0]["score"]) == ("cancelled", None)


def test_an_input_that_fails_names_the_upload_and_no_path(tmp_path: Path) -> None:
    path = tmp_path / "input.mp4"
    path.write_bytes(b"no video")
    outcome, _ = done(judging(BrightnessEngine(), 1), path)
    assert outcome.error_code is not None
    assert str(tmp_path) not in json.dumps(outcome.answer)


def test_pictures_are_few_and_fit_their_frames(tmp_path: Path) -> None:
    path = lossless_video(tmp_path / "clip.mkv", [face_image(100, 200, 700, 900) for _ in range(5)])
    done(judging(BrightnessEngine(), 1), path, outputs=("frames",))
    frames = json.loads((tmp_path / "clip/frames.json").read_text())
    assert [frame["index"] for frame in frames] == list(range(5))
    for frame in frames:
        assert (frame["width"], frame["height"]) == (900, 700)
        assert (tmp_path / "clip" / frame["picture"]).read_bytes()[:2] == b"\xff\xd8"
        assert np.array(frame["faces"][0]["map"]).shape == (4, 4)
    follower = Follower(
        JudgeTask("", "", "", str(tmp_path), JobRequest(outputs=("frames",))), lambda _: None, threading.Event(), mapped=True
    )
    follower.begin("clip", 10 * PICTURES)
    assert follower._step == 10
