"""Opening the videos of a data set to see whether they can be read; `fpg.data.doctor` reports what is found."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fpg.common.console import progress
from fpg.common.errors import InputError
from fpg.data.face_files import face_files
from fpg.data.layouts.base import VideoSource, frame_files
from fpg.data.pool import WorkerDied, run_tasks
from fpg.data.video import probe, read_frames, read_image, sample_indices
from fpg.faces.precomputed import read_boxes, read_landmarks

SAMPLE = 50
"""Videos that are opened when not all of them are."""


@dataclass(frozen=True)
class ProbeResult:
    """What opening one video showed."""

    frames: int = 0
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    error: str = ""
    faces: str = ""
    """What is wrong with the face files next to it."""


@dataclass(frozen=True)
class _Opener:
    deep: bool

    def __call__(self) -> Callable[[VideoSource], ProbeResult]:
        return self.read

    def read(self, source: VideoSource) -> ProbeResult:
        try:
            reading = _read_frames(source, self.deep) if source.kind == "frames" else _read_file(source, self.deep)
        except InputError as error:
            where = "" if Path(error.path) == source.path else f"{Path(error.path).name} "
            return ProbeResult(error=where + error.reason)
        except Exception as error:  # whatever a decoder throws at one input must not end the others
            return ProbeResult(error=f"unexpected {type(error).__name__}: {' '.join(str(error).split())}")
        return replace(reading, faces=_face_problems(source))


def _read_file(source: VideoSource, deep: bool) -> ProbeResult:
    if source.kind == "image":
        height, width = read_image(source.path).shape[:2]
        return ProbeResult(1, width, height)
    info = probe(source.path)
    if deep:
        for _ in read_frames(source.path, [info.frames // 2], threads=1):
            pass
    return ProbeResult(info.frames, info.width, info.height, info.duration_s)


def _read_frames(source: VideoSource, deep: bool) -> ProbeResult:
    files = frame_files(source.path)
    if not files:
        raise InputError(source.path, "holds no image", "empty")
    height, width = read_image(files[0]).shape[:2]
    if deep:
        read_image(files[len(files) // 2])
    return ProbeResult(len(files), width, height)


def _face_problems(source: VideoSource) -> str:
    files = face_files(source)
    if files is None:
        return ""
    problems = []
    try:
        pairs = [files.of(frame) for frame in frame_files(files.frames)]
    except InputError as error:
        return str(error)
    without = sum(not landmarks.is_file() for landmarks, _ in pairs)
    if without:
        problems.append(f"{without} of {len(pairs)} frames have no landmark file")
    for landmarks, retina in pairs:
        try:
            if landmarks.is_file():
                read_landmarks(landmarks, single=True)
            if retina is not None and retina.is_file():
                read_boxes(retina)
        except InputError as error:
            problems.append(f"{'/'.join(Path(error.path).parts[-3:])} {error.reason}")
    return "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")


def open_videos(present: list[VideoSource], deep: bool, sample: int, workers: int, quiet: bool) -> dict[tuple[str, str, str], ProbeResult]:
    """Open videos, by their keys; files of 0 bytes are noticed in all.

    Args:
        present: those on disk.
        deep: open all of them, and decode a frame from the middle; else a sample.
        sample: its size, evenly over all.
        workers: processes, where all are opened; 0 works in this one.
        quiet: no progress bar.
    """
    chosen = present if deep else [present[i] for i in sample_indices(len(present), max(1, sample))]
    readings: dict[tuple[str, str, str], ProbeResult] = {}
    with progress("Opening", disable=quiet) as bar:
        line = bar.add_task("videos", total=len(chosen))
        for index, outcome in run_tasks(chosen, _Opener(deep), workers if deep and len(chosen) > SAMPLE else 0):
            readings[chosen[index].key] = ProbeResult(error=outcome.reason) if isinstance(outcome, WorkerDied) else outcome
            bar.advance(line)
    for source in present:  # what costs nothing is looked at in all of them
        if source.key not in readings and source.kind != "frames" and os.path.getsize(source.path) == 0:
            readings[source.key] = ProbeResult(error="is empty (0 bytes)")
    return readings
