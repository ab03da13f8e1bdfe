"""The detector as a worker has it: `VideoDetector`, so that an answer is the one that fpg-detect gives, with progress and pictures."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fpg import __version__
from fpg.common.constants import message
from fpg.common.crops import detection_crop
from fpg.common.errors import InputError
from fpg.common.files import atomic_write
from fpg.common.models import Card
from fpg.common.spec import read_spec
from fpg.engines import CheckedEngine, load_engine
from fpg.engines.resolve import resolve_model
from fpg.faces import default_analyzer
from fpg.faces.sizes import MIN_FACE
from fpg.record.run import RunRecord, card_of, now, record_model
from fpg.runtime.judgement import FrameScore, Judgement, describe_judging, describe_model
from fpg.runtime.pipeline import VideoDetector
from fpg.runtime.report import write_detect_report
from fpg.runtime.video_overlay import write_overlay
from fpg.serve.document import document
from fpg.serve.job import JobRequest, JudgeTask
from fpg.serve.outputs import FRAMES, REPORT, overlay_name, picture_name
from fpg.serve.worker import JobOutcome, Tell

PROGRAM = "fpg-serve"
PICTURES = 200
"""Frames of a job that are kept to look at, evenly spaced."""
PICTURE_SIDE = 640
PROGRESS_S = 0.1
"""Progress is told no more often."""


@dataclass(frozen=True)
class Loading:
    """Makes a `JobJudge`; picklable."""

    model: str | None = None
    device: str = "auto"
    threads: int | None = None
    slots: int = 1
    batch: int = 16
    engine: str | None = None
    """`triton://HOST:PORT/NAME`: where the network runs instead of here."""
    commit: str | None = None
    """Of the source (`fpg.common.source`): a worker cannot ask git, as it may start no programs."""

    def __call__(self) -> JobJudge:
        """Load the detector; with the errors of `VideoDetector`."""
        model = resolve_model(self.model, device=self.device)
        engine: CheckedEngine
        if self.engine is not None:
            from fpg.engines.triton import connect  # its client is not needed otherwise

            engine = connect(self.engine, read_spec(model.path))
        else:
            engine = load_engine(model.path, device=self.device, threads=self.threads)
        # More than one job at a time, so that a batch takes the faces of several.
        detector = VideoDetector(engine, default_analyzer, jobs=self.slots, batch=self.batch, highlights=0, names=[model.name])
        asked = {"batch": self.batch, "jobs": self.slots, "threads": self.threads, "device": self.device}
        fpg = {"program": PROGRAM, "version": __version__, "commit": self.commit}
        record = RunRecord((record_model(engine.spec, model.name, model.path),), asked, (PROGRAM,), folder="", fpg=fpg)
        return JobJudge(detector, describe_model(engine.spec, model.name), record, card_of(model.path))


class JobJudge:
    """A `fpg.serve.worker.Judge`.

    Args:
        detector: judges.
        model: `describe_model` of it.
        record: of the process; its settings are those that jobs share.
        card: of the model, for reports; None without one.
    """

    def __init__(self, detector: VideoDetector, model: dict[str, Any], record: RunRecord, card: Card | None = None) -> None:
        self._detector, self._model, self._record, self._card = detector, model, record, card
        self._lock = threading.Lock()
        self._told: dict[str, tuple[int, float]] = {}
        """Stage -> what was told of it so far: calls and seconds."""

    @property
    def description(self) -> dict[str, Any]:
        """See `Judge`."""
        threshold = self._detector.engine.spec.threshold
        return {"record": self._run(JobRequest()), "model": self._model, "protocol": self._protocol(JobRequest()), "threshold": threshold}

    def __call__(self, task: JudgeTask, tell: Tell, cancelled: threading.Event) -> JobOutcome:
        """See `Judge`."""
        request, started = task.request, now()
        follower = Follower(task, tell, cancelled, mapped=self._detector.engine.spec.crop == "evaluation")
        judged = self._detector.judge(
            task.path,
            frames=request.frames,
            every=request.every,
            threshold=request.threshold,
            highlights=6 * ("report" in request.outputs),
            maps="overlay" in request.outputs,
            shown=follower,
        )
        named = replace(judged, input=task.name, error=judged.error and judged.error.replace(task.path, task.name))
        answer = document(self._run(request), self._model, self._protocol(request), [named.to_json()], started)
        warnings = self._write(task, answer, judged, named, follower, tell)
        answer["results"][0]["warnings"] += warnings
        return JobOutcome(answer, named.error, named.error_code, self._spent())

    def _spent(self) -> dict[str, tuple[int, float]]:
        with self._lock:
            now = {row.stage: (row.number, row.total_s) for row in self._detector.times.summary()}
            before, self._told = self._told, now
        none = (0, 0.0)
        return {stage: (n - before.get(stage, none)[0], s - before.get(stage, none)[1]) for stage, (n, s) in now.items()}

    def _run(self, request: JobRequest) -> dict[str, Any]:
        """The record of a job, before it begins."""
        frames = request.frames if request.frames is not None else "all"
        asked = {"frames": frames, "every": request.every, "decode": "whole", "min_face": MIN_FACE, "threshold": request.threshold}
        settings = asked | dict(self._record.settings) | {"timeout": None, "urls": False}
        return replace(self._record, settings=settings).to_json()

    def _protocol(self, request: JobRequest) -> dict[str, Any]:
        crop = self._detector.engine.spec.crop
        return describe_judging(request.frames, request.every, crop=crop, min_face=MIN_FACE)

    def _write(
        self, task: JudgeTask, answer: dict[str, Any], judged: Judgement, named: Judgement, follower: Follower, tell: Tell
    ) -> list[str]:
        """The outputs that were asked for; what cannot be written is a warning in addition to the verdict."""
        folder, request, warnings = Path(task.folder), task.request, []
        if "frames" in request.outputs:
            follower.finish()
        if "report" in request.outputs:
            tell({"stage": "report", "frames": len(judged.frames)})
            results, details = answer["results"], {0: named}
            protocol, record = answer["protocol"], answer["record"]
            write_detect_report(folder / REPORT, results, details, [self._model], protocol, judged.threshold, record, [self._card])
        if "overlay" in request.outputs and judged.frames:
            tell({"stage": "overlay", "frames": len(judged.frames)})
            try:
                write_overlay(folder / overlay_name(task.path), judged)
            except InputError as error:
                warnings.append(f"the annotated copy could not be made: {error.reason}")
        return warnings


class Follower:
    """A `fpg.runtime.options.Watcher` that tells how far a job is, ends it when it is cancelled, and keeps small pictures with their maps.

    `frames.json` is a list of `{index, time_s, picture, width, height, faces[{box, score, track, crop, map}]}`: `width`, `height`, `box`
    and `crop` (x0, y0, x1, y1; what the network saw) in pixels of the frame, `map` rows of numbers, positive where they speak for fake.

    Args:
        task: the job.
        tell: takes progress.
        cancelled: set when nobody wants the job any more.
        mapped: whether activation maps lie in the frame as the crop does.
    """

    def __init__(self, task: JudgeTask, tell: Tell, cancelled: threading.Event, mapped: bool) -> None:
        self._tell, self._cancelled, self._mapped = tell, cancelled, mapped
        self._wanted = "frames" in task.request.outputs
        self._folder = Path(task.folder)
        self._told = float("-inf")
        self._frames: list[dict[str, Any]] = []
        self._seen = self._total = self._step = 0
        self._sum, self._scored = 0.0, 0
        self._sizes: dict[int, tuple[int, int]] = {}
        """Width and height of the frames whose small copies wait, by the copy."""

    def begin(self, path: str | os.PathLike[str], count: int) -> None:
        """See `Watcher`."""
        self._frames, self._seen, self._total = [], 0, count
        self._sum, self._scored = 0.0, 0
        self._step = max(1, -(-count // PICTURES))

    def keep(self, image: np.ndarray) -> np.ndarray | None:
        """See `Watcher`: a small copy."""
        if not self._wanted:
            return None
        scale = min(1.0, PICTURE_SIDE / max(image.shape[:2]))
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        small: np.ndarray = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image.copy()
        self._sizes[id(small)] = image.shape[1], image.shape[0]
        return small

    def add(self, path: str | os.PathLike[str], frame: FrameScore, inputs: tuple[np.ndarray, ...], image: np.ndarray | None) -> None:
        """See `Watcher`.

        Raises:
            InputError: the job was cancelled.
        """
        if self._cancelled.is_set():
            raise InputError(path, message("cancelled"), "cancelled")
        if image is not None:
            size = self._sizes.pop(id(image))
            if self._seen % self._step == 0:
                self._picture(frame, image, *size)
        self._seen += 1
        if frame.score is not None:
            self._sum, self._scored = self._sum + frame.score, self._scored + 1
        now = time.monotonic()
        if now - self._told >= PROGRESS_S or self._seen == self._total:
            self._told = now
            score = self._sum / self._scored if self._scored else None
            self._tell({"stage": "judging", "frames": self._seen, "total": self._total, "time_s": round(frame.time_s, 4), "score": score})

    def finish(self) -> None:
        """Write the list of pictures."""
        with atomic_write(self._folder / FRAMES, "w") as file:
            json.dump(self._frames, file)

    def _picture(self, frame: FrameScore, image: np.ndarray, width: int, height: int) -> None:
        name = picture_name(frame.index)
        encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
        (self._folder / name).write_bytes(encoded.tobytes())  # `frames.json` says which are whole
        faces = []
        for face in frame.faces:
            entry: dict[str, Any] = {"box": [round(v, 2) for v in face.box], "score": face.score, "track": face.track}
            if face.activation_map is not None and self._mapped:
                y0, y1, x0, x1 = detection_crop(face.box, height, width)
                entry |= {"crop": [x0, y0, x1, y1], "map": np.round(face.activation_map.astype(np.float64), 4).tolist()}
            faces.append(entry)
        self._frames.append(
            {"index": frame.index, "time_s": round(frame.time_s, 4), "picture": name, "width": width, "height": height, "faces": faces}
        )
