"""`prepare`: videos, frames or images to lossless context crops and one manifest, in several processes, resumable.

OUT/ holds `crops/`, `manifest.parquet` (with every video's fate in its metadata), `prepare.json` (the settings) and, when
something failed, `failures.csv`. While it runs, each finished video leaves a small manifest of its own in `OUT/.progress/`,
written atomically; a run that was stopped in any way goes on from there and ends with the same manifest. What failed is
tried again when the same command is given again.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import fcntl
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fpg.common.console import console, one_line, progress
from fpg.common.errors import InputError, UsageError
from fpg.common.files import atomic_write, cell, write_json
from fpg.data.as_video import VideoConfig
from fpg.data.checks import compare_files
from fpg.data.cropping import Analyzer, CropTask, discard, prepare_one
from fpg.data.layouts.base import Diagnostics
from fpg.data.manifest import FAKE, NAME, REAL, FaceRow, Manifest, VideoRecord, parquet, read_manifest, write_manifest
from fpg.data.pool import TimedOut, WorkerDied, run_tasks
from fpg.data.ray_pool import run_on_ray
from fpg.data.sources import VideoSource, survey
from fpg.faces.analyzer import LOOKS
from fpg.faces.sizes import MIN_FACE

FRAMES = 32
"""Frames per video (METHOD, evaluation)."""
FAILURES = "failures.csv"
_SETTINGS = "prepare.json"
_PROGRESS = ".progress"
_SCHEMA = "fpg.prepare/1"


def default_faces(min_face: float = MIN_FACE, looks: str = LOOKS[0]) -> Analyzer:
    """The default face analyzer, on one thread: processes share the CPU."""
    from fpg.faces import default_analyzer

    return default_analyzer(threads=1, min_face=min_face, looks=looks)


def no_faces() -> Analyzer:
    """Stands in for an analyzer where faces are read from files."""
    return lambda image: []


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    frames: int = FRAMES,
    workers: int | None = None,
    dataset: str | None = None,
    label: int | None = None,
    split: str | None = None,
    layout: str | None = None,
    images: str = "auto",
    precomputed: bool = False,
    as_video: VideoConfig | None = None,
    min_face: float = MIN_FACE,
    looks: str = LOOKS[0],
    analyzer: Callable[[], Analyzer] | None = None,
    ray: str | None = None,
    timeout: float | None = None,
    quiet: bool = False,
) -> Manifest:
    """Prepare everything under `source` into `out`.

    Args:
        source: see `fpg.data.sources.survey`.
        out: folder of the prepared data set; created if needed, continued if it was begun with the same settings.
        frames: examined per video, evenly spaced.
        workers: processes; None is one per CPU, 0 works in this process.
        dataset: name of the data set; None is the layout's, or the name of `source`.
        label: 0 real or 1 fake, for sources without labels; refused for sources that have them.
        split: overrides every source's split; `hash` splits everything by hash.
        layout: layout of `source` on disk, see `fpg.data.layouts`; None recognises it.
        images: how folders of pictures are read, see `fpg.data.sources.survey`.
        precomputed: take frames and faces from the files of SBI, FPG or DeepfakeBench next to the videos, without face detection.
        as_video: make moving, compressed clips of every picture, and take their frames instead of it; see `fpg.data.as_video`.
        min_face: smallest face that is cropped, in pixels (`fpg.faces.sizes`).
        looks: how often face detection looks at a frame, see `fpg.faces.FaceAnalyzer`.
        analyzer: picklable, builds the face analyzer once per process; None is the default one.
        ray: address of a Ray cluster whose workers take the videos, see `fpg.data.ray_pool`; `workers` is then their number.
        timeout: seconds after which a worker's video is given up; None: never. It has no effect without worker processes and on Ray.
        quiet: no progress bar, no lines about failures.

    Returns:
        The manifest as written; its videos say what was prepared, had no face, or failed and why.

    Raises:
        InputError: nothing to prepare, or `out` cannot be written.
        UsageError: `out` was begun with other settings, lies inside `source`, or labels are missing.
        MissingDependencyError: the face analyzer cannot be built, or pyarrow or Ray is not installed.
    """
    parquet()  # complain before hours of work, not when the manifest is written
    if frames < 1 or (workers is not None and workers < 0):
        raise UsageError(f"frames and workers: expected at least 1 and 0, got {frames} and {workers}")
    source, root = Path(source), Path(out)
    if ray is not None:  # workers elsewhere have another working directory
        source, root = Path(os.path.abspath(source)), Path(os.path.abspath(out))
    _check_places(source, root)
    found = survey(source, layout=layout, dataset=dataset, split=split, images=images)
    tasks = [replace(_task(s, label, source), precomputed=precomputed, as_video=as_video, min_face=min_face) for s in found.require()]
    if as_video is not None and not any(task.source.kind == "image" for task in tasks):
        raise UsageError(f"as-video: expected pictures, {source} holds only videos and folders of frames")
    if not quiet:
        checks = Diagnostics()
        compare_files(found.sources, checks)
        for line in [*found.warnings(), *replace(found, findings=checks.items).warnings()]:
            console.print(one_line(line), markup=False, emoji=False)
    if precomputed:
        analyzer = no_faces
    elif analyzer is None:
        analyzer = functools.partial(default_faces, min_face, looks)
    job = _Job(root, frames, analyzer, workers, ray, timeout)
    with _locked(root):
        settings = {"source": os.path.abspath(source), "frames": frames, "dataset": dataset, "label": label, "faces": _name_of(analyzer)}
        settings |= {"min_face": min_face, "looks": looks} | ({"layout": layout} if layout else {})
        settings |= {"images": images} if images != "auto" else {}
        settings |= {"as_video": json.loads(json.dumps(dataclasses.asdict(as_video))) if as_video else None}
        _agree(root, settings)
        records, rows = _finished(root, tasks)
        _run(job, [t for t in tasks if t.source.key not in records], len(tasks), records, rows, quiet)
        faces = [face for task in tasks for face in rows[task.source.key]]
        videos = [records[task.source.key] for task in tasks]
        write_manifest(root, faces, videos)
        _write_failures(root, videos)
        shutil.rmtree(root / _PROGRESS, ignore_errors=True)
    return read_manifest(root)


_Outcome = tuple[VideoRecord, list[FaceRow]]


@dataclass(frozen=True)
class _Job:
    """How the work is done. Workers get it: calling it builds the analyzer and gives the function that works on one task."""

    root: Path
    frames: int
    analyzer: Callable[[], Analyzer]
    workers: int | None
    ray: str | None
    timeout: float | None = None

    def run(self, tasks: list[CropTask]) -> Generator[tuple[int, _Outcome | WorkerDied], None, None]:
        """(index, outcome) of every task, in order of completion."""
        if self.ray is not None:
            return run_on_ray(tasks, self, self.ray, self.workers)
        return run_tasks(tasks, self, usable_cpus() if self.workers is None else self.workers, self.timeout)

    def __call__(self) -> Callable[[CropTask], _Outcome]:
        import cv2

        cv2.setNumThreads(1)
        analyzer = self.analyzer()
        threads = 1 if self.ray is not None or self.workers is None else max(1, usable_cpus() // max(1, self.workers))

        def work(task: CropTask) -> _Outcome:
            folder = _progress_folder(self.root, task)
            if (folder / NAME).exists():  # another worker finished it, and its answer was lost
                part = read_manifest(folder)
                return part.videos[0], part.faces
            record, faces = prepare_one(task, self.root, analyzer, frames=self.frames, threads=threads)
            if record.status != "failed":
                write_manifest(folder, faces, [record])
            return record, faces

        return work


_Records = dict[tuple[str, str, str], VideoRecord]
_Rows = dict[tuple[str, str, str], list[FaceRow]]


def _run(job: _Job, tasks: list[CropTask], total: int, records: _Records, rows: _Rows, quiet: bool) -> None:
    for task in tasks:
        shutil.rmtree(_progress_folder(job.root, task), ignore_errors=True)  # of an earlier run, and out of date
    with progress("Preparing", disable=quiet) as bar:
        line = bar.add_task("videos", total=total, completed=total - len(tasks))
        with _only_recorded(job.root, tasks), contextlib.closing(job.run(tasks)) as outcomes:
            for index, outcome in outcomes:
                task = tasks[index]
                if isinstance(outcome, WorkerDied):
                    discard(task, job.root)
                    code = "timeout" if isinstance(outcome, TimedOut) else "worker"
                    outcome = (task.record("failed", outcome.reason, code=code), [])
                record, faces = outcome
                records[task.source.key], rows[task.source.key] = record, faces
                if record.status == "failed" and not quiet:
                    bar.console.print(one_line(f"failed: {record.source}: {record.reason}"), markup=False, emoji=False)
                bar.advance(line)


@contextlib.contextmanager
def _only_recorded(root: Path, tasks: list[CropTask]) -> Iterator[None]:
    """Should the work be stopped, delete the crops that a worker wrote and did not come to record."""
    try:
        yield
    except BaseException:
        for task in tasks:
            if not (_progress_folder(root, task) / NAME).exists():
                discard(task, root)
        raise


def _check_places(source: Path, root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise InputError(root, "is not a folder")
    inside = os.path.realpath(root)
    if source.is_dir() and os.path.commonpath([inside, os.path.realpath(source)]) == os.path.realpath(source):
        raise UsageError(f"OUT {root} lies inside SOURCE {source}: its crops would be taken for videos; choose another folder")


def _task(source: VideoSource, label: int | None, root: Path) -> CropTask:
    if source.label is None and label is None:
        raise UsageError(f"{root}: no labels: expected folders real/ and fake/ or a CSV path,label; or give --label real or fake for all")
    if source.label is not None and label is not None:
        raise UsageError(f"{root} states labels itself: --label {'fake' if label else 'real'} would contradict them")
    value = source.label if source.label is not None else label
    assert value in (REAL, FAKE)
    method = "fake" if source.label is None and value == FAKE else source.method
    return CropTask(replace(source, label=value, method=method), value)


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    try:
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root, os.O_RDONLY)
    except OSError as error:
        raise InputError(root, f"cannot be written: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(root, "another fpg-prepare is writing here") from None
    try:
        yield
    finally:
        os.close(descriptor)


def _agree(root: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new folder; compare those of one that was begun before."""
    path = root / _SETTINGS
    if not path.exists():
        if (root / NAME).exists():
            raise InputError(root / NAME, "was not made by fpg-prepare in this folder: choose another folder")
        write_json(path, {"schema": _SCHEMA, **settings})
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        assert before.pop("schema", None) == _SCHEMA
        for key, value in (("min_face", MIN_FACE), ("looks", LOOKS[0])):
            before.setdefault(key, value)  # of folders from before there was such a setting
    except (OSError, ValueError, AttributeError, AssertionError) as error:
        raise InputError(path, "is not fpg-prepare's record of its settings") from error
    different = [f"{key} {before.get(key)!r}, now {value!r}" for key, value in settings.items() if before.get(key) != value]
    if different:
        raise UsageError(f"{root} was begun with {'; '.join(different)}: give the same settings, or another folder")


def _finished(root: Path, tasks: list[CropTask]) -> tuple[_Records, _Rows]:
    """Videos that need no work, from the last manifest and from what an interrupted run left; labels and splits as they are now."""
    done: dict[tuple[str, str, str], tuple[VideoRecord, list[FaceRow]]] = {}
    if (root / NAME).exists():
        manifest = read_manifest(root)
        grouped: dict[tuple[str, str, str], list[FaceRow]] = {video.key: [] for video in manifest.videos}
        for face in manifest.faces:
            grouped[face.key].append(face)
        done = {video.key: (video, grouped[video.key]) for video in manifest.videos}
    for task in tasks:
        folder = _progress_folder(root, task)
        if (folder / NAME).exists():
            part = read_manifest(folder)
            done[task.source.key] = (part.videos[0], part.faces)
    records: _Records = {}
    rows: _Rows = {}
    for task in tasks:
        record, faces = done.get(task.source.key, (None, []))
        now = task.record("prepared")
        if record is None or record.status == "failed" or (record.source, record.label) != (now.source, now.label):
            continue
        if all((root / face.path).is_file() for face in faces):
            fate = {name: getattr(record, name) for name in ("status", "reason", "frames", "frames_with_face", "error_code")}
            records[task.source.key] = replace(now, **fate)
            rows[task.source.key] = [replace(face, split=now.split) for face in faces]
    return records, rows


def _progress_folder(root: Path, task: CropTask) -> Path:
    return root / _PROGRESS / hashlib.sha256("\0".join(task.source.key).encode()).hexdigest()[:24]


def _write_failures(root: Path, videos: list[VideoRecord]) -> None:
    failed = [video for video in videos if video.status == "failed"]
    if not failed:
        (root / FAILURES).unlink(missing_ok=True)
        return
    with atomic_write(root / FAILURES, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "reason", "error_code"])
        writer.writerows([cell(video.source), cell(video.reason), video.error_code] for video in failed)


def _name_of(analyzer: Callable[[], Analyzer]) -> str:
    inner = getattr(analyzer, "func", analyzer)
    return f"{inner.__module__}.{inner.__qualname__}"
