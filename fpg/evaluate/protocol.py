"""Scoring labelled videos by one protocol: prepared folders and raw ones, failures kept by name (METHOD of FPG and SBI, evaluation)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from fpg.common.errors import InputError, UsageError
from fpg.common.spec import EngineSpec
from fpg.data.checks import compare_files, compare_manifest
from fpg.data.crop_files import read_crop
from fpg.data.layouts.base import Diagnostics
from fpg.data.manifest import FAKE, NAME, REAL, FaceRow, Manifest, VideoRecord, read_manifest
from fpg.data.sources import HASH, SAID, VideoSource, split_of, survey
from fpg.engines.base import Engine
from fpg.evaluate.groups import sharpness
from fpg.faces.sizes import MIN_FACE
from fpg.runtime.judgement import Highlight, Judgement, failure, printable
from fpg.runtime.judging import Analyzer, FrameFaces, choose_faces
from fpg.runtime.options import OptionFields
from fpg.runtime.pipeline import judge, judge_frames
from fpg.runtime.scores import faces_that_count

SPLITS = ("train", "val", "test", "all")


@dataclass(frozen=True)
class EvaluationItem:
    """One labelled video to score. `run` judges it; it does not raise for bad input."""

    dataset: str
    method: str
    video: str
    label: int
    source: str
    run: Callable[[], Judgement]
    looked: int | None = None
    """Frames that preparation looked at; None for raw videos, whose judgement holds every frame."""
    compression: str = ""
    """`raw`, `c23` or `c40` where the data set has several, `""` unknown."""
    attributes: dict[str, str] = field(default_factory=dict)
    """What a list says about the video in columns of its own."""


@dataclass(frozen=True)
class Result:
    """A labelled video and what became of it."""

    dataset: str
    method: str
    video: str
    label: int
    judgement: Judgement
    looked: int | None = None
    """As in `EvaluationItem`."""
    compression: str = ""
    """As in `EvaluationItem`."""
    attributes: dict[str, str] = field(default_factory=dict)
    """As in `EvaluationItem`, and what `--attributes` adds."""

    @property
    def score(self) -> float | None:
        """Probability of fake, None where it failed or has no face."""
        return self.judgement.score

    @property
    def face_size(self) -> float | None:
        """Square root of the area of the largest face of a frame in pixels, median over the frames; None where boxes are unknown."""
        areas = [max((_area(face.box) for face in frame.faces), default=0.0) for frame in self.judgement.frames]
        known = [area for area in areas if area > 0]
        return float(np.sqrt(np.median(known))) if known else None

    @property
    def sharpness(self) -> float | None:
        """`fpg.evaluate.groups.sharpness` of the judged faces, median; None where it was not measured."""
        known = [face.measure for frame in self.judgement.frames for face in frame.faces if face.measure is not None]
        return float(np.median(known)) if known else None

    @property
    def frames(self) -> int:
        """Frames looked at."""
        return len(self.judgement.frames) if self.looked is None else self.looked

    def without_pictures(self) -> Result:
        """The same without its highlights, which take memory."""
        return replace(self, judgement=replace(self.judgement, highlights=()))

    @property
    def name(self) -> str:
        """`dataset/method/video`, without empty parts."""
        return "/".join(part for part in (self.dataset, self.method, self.video) if part)

    @property
    def status(self) -> str:
        """`scored`, `no_face` or `failed`."""
        return "scored" if self.judgement.score is not None else "no_face" if self.judgement.no_face else "failed"

    @property
    def margin(self) -> float:
        """How wrong the score is: distance from the label, in [0, 1]; 0 without a score."""
        return 0.0 if self.judgement.score is None else abs(self.judgement.score - self.label)

    def to_json(self) -> dict[str, Any]:
        """One entry of `per_video`."""
        j = self.judgement
        return {
            "dataset": self.dataset,
            "method": self.method,
            "video": self.video,
            "source": j.input,
            "label": self.label,
            "status": self.status,
            "score": j.score,
            "verdict": j.verdict,
            "error": j.error,
            "frames": self.frames,
            "frames_with_face": j.frames_with_face,
            "compression": self.compression,
            "face_size": _rounded(self.face_size),
            "sharpness": _rounded(self.sharpness),
            **({"attributes": self.attributes} if self.attributes else {}),
            "frame_scores": [[f.index, f.score] for f in j.frames if f.score is not None],
        }


def _area(box: tuple[float, float, float, float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


@dataclass(frozen=True)
class Plan:
    """What is to be scored, and how it was chosen."""

    items: list[EvaluationItem]
    notes: list[str]
    """Sentences about the choice that belong to the protocol."""
    warnings: list[str]
    """What about the data makes numbers worth less (`fpg.data.checks`), and what was not read."""


def plan(
    folders: Sequence[str | os.PathLike[str]],
    engine: Engine,
    analyzer: Callable[[], Analyzer],
    *,
    split: str | None = None,
    layout: str | None = None,
    images: str = "auto",
    frames: int | None = 32,
    batch: int = 16,
    threshold: float | None = None,
    highlights: int = 2,
    timeout: float | None = None,
    min_face: float | None = None,
) -> Plan:
    """Find the labelled videos of prepared folders (they hold a manifest) and raw ones (videos, frames, images).

    Args:
        folders: where to look.
        engine: the detector.
        analyzer: builds the face finder; called once, and only for raw folders.
        split: `train`, `val`, `test` or `all`; None is `test`, but raw data that knows no splits is then taken whole. Asked for a
            split, such data is divided as `fpg-prepare` does.
        layout: how raw folders lie on disk, see `fpg.data.layouts`; None recognises it.
        images: how folders of pictures in raw folders are read, see `fpg.data.sources.survey`.
        frames: per raw video; a prepared folder has its own number.
        batch, threshold, highlights, timeout: as in `fpg.runtime.options.Options`.
        min_face: smallest face that is judged, in pixels; None is `MIN_FACE` in raw folders, and all that was prepared in others. The
            analyzer has its own, down to which it looks for faces.

    Raises:
        InputError: a folder without labelled videos, of a split without any, or whose crops have vanished.
        UsageError: an unknown split, or the same video twice.
    """
    if split not in (None, *SPLITS):
        raise UsageError(f"split: expected one of {', '.join(SPLITS)}, got {split}")
    options: OptionFields = {
        "frames": frames,
        "batch": batch,
        "threshold": threshold,
        "highlights": highlights,
        "measure": sharpness,
        "timeout": timeout,
        "min_face": MIN_FACE if min_face is None else min_face,
    }
    items: list[EvaluationItem] = []
    notes: list[str] = []
    findings = Diagnostics()
    built: list[Analyzer] = []

    def judged(source: Path) -> Judgement:
        if not built:
            built.append(analyzer())
        result = judge(source, engine, built[0], **options)
        if result.error_code == "timeout":
            built.clear()  # what was given up may still be using it
        return result

    for folder in folders:
        path = Path(folder)
        if not os.path.exists(path):
            raise InputError(path, "no such folder")
        if path.name == NAME or (path / NAME).is_file():
            found, note = _prepared(path, engine, split or "test", options, findings, min_face or 0)
        else:
            found, note = _raw(path, judged, split, frames, {"layout": layout, "images": images}, findings)
        items += found
        smallest = f", faces of at least {min_face:g} px" if min_face is not None else ""
        notes.append(note + smallest)
    seen = Counter((item.source, item.dataset, item.method, item.video) for item in items)
    twice = [key[0] for key, count in seen.items() if count > 1]
    if twice:
        raise UsageError(f"{printable(twice[0])} comes twice (as do {len(twice) - 1} others); give each folder and file once")
    return Plan(items, notes, [f"{finding.path}: {finding.text}" for finding in findings.items])


def _prepared(
    path: Path, engine: Engine, split: str, options: OptionFields, findings: Diagnostics, min_face: float
) -> tuple[list[EvaluationItem], str]:
    whole = read_manifest(path)
    compare_manifest(whole, findings)
    manifest = whole if split == "all" else whole.select(split=split)
    if not manifest.videos:
        have = ", ".join(f"{count} {name}" for name, count in sorted(Counter(v.split for v in whole.videos).items()))
        raise InputError(path, f"has no {split} videos" + (f" (it has {have})" if have else ": the manifest is empty"))
    if manifest.faces and not any((manifest.root / face.path).is_file() for face in manifest.faces):
        raise InputError(manifest.root / NAME, f"lists {len(manifest.faces)} crops and none of them is there any more; prepare again")
    faces: dict[tuple[str, str, str], list[FaceRow]] = {}
    for face in manifest.faces:
        faces.setdefault(face.key, []).append(face)

    def item(record: VideoRecord) -> EvaluationItem:
        rows = faces.get(record.key, [])

        def run() -> Judgement:
            return _judge_record(manifest, record, rows, engine, options, min_face)

        return EvaluationItem(*record.key, record.label, record.source, run, record.frames, record.compression, record.attributes)

    looked = sorted({v.frames for v in manifest.videos if v.status == "prepared"})
    span = f"{looked[0]} to {looked[-1]}" if len(looked) > 1 else str(looked[0]) if looked else "no"
    return [item(v) for v in manifest.videos], f"{printable(path)}: prepared, {split} split, {span} frames per video as prepared"


def _judge_record(
    manifest: Manifest, record: VideoRecord, rows: list[FaceRow], engine: Engine, options: OptionFields, min_face: float
) -> Judgement:
    threshold = options["threshold"]
    if record.status == "failed":
        error = InputError(record.source, f"failed in preparation: {record.reason}", record.error_code or None)
        return failure(record.source, error, engine, threshold)
    if not rows:
        limit = engine.spec.threshold if threshold is None else threshold
        reason = f"no face found in {record.frames} frames (in preparation)"
        return Judgement(record.source, None, None, limit, error=reason, error_code="no_face")
    try:
        frames = [list(group) for _, group in groupby(sorted(rows, key=lambda r: (r.frame, r.face)), key=lambda r: r.frame)]
        return judge_frames(record.source, len(frames), _crops(manifest.root, frames, engine.spec, min_face), engine, **options)
    except InputError as error:
        return failure(record.source, error, engine, threshold)


def _crops(root: Path, frames: Iterable[list[FaceRow]], spec: EngineSpec, min_face: float) -> Iterator[FrameFaces]:
    """Prepared frames as the pipeline wants them; boxes are given in pixels of the whole frame."""
    for rows in frames:
        try:
            chosen = [(row.origin, choose_faces(read_crop(root, row), [row], spec, min_face)) for row in counting(rows)]
        except ValueError as error:
            raise InputError(root / NAME, f"frame {rows[0].frame} does not fit its crops: {error}") from error
        boxes = tuple(_shift(box, origin) for origin, faces in chosen for box in faces.boxes)
        inputs = tuple(image for _, faces in chosen for image in faces.inputs)
        rejected = tuple(replace(face, box=_shift(face.box, origin)) for origin, faces in chosen for face in faces.rejected)
        poses = tuple(pose for _, faces in chosen for pose in faces.poses)
        yield FrameFaces(rows[0].frame, rows[0].time_s, boxes, inputs, rejected=rejected, poses=poses)


def _shift(box: tuple[float, float, float, float], origin: tuple[int, int]) -> tuple[float, float, float, float]:
    (x0, y0, x1, y1), (x, y) = box, origin
    return x0 + x, y0 + y, x1 + x, y1 + y


def counting(rows: list[FaceRow]) -> list[FaceRow]:
    """The faces of one frame that are judged (`fpg.runtime.scores`)."""
    return [row for row, counts in zip(rows, faces_that_count([row.box.tolist() for row in rows]), strict=True) if counts]


def _raw(
    path: Path, judged: Callable[[Path], Judgement], split: str | None, frames: int | None, how: dict[str, Any], findings: Diagnostics
) -> tuple[list[EvaluationItem], str]:
    found = survey(path, split=HASH if split == "all" else None, **how)  # all of it: split files do not matter
    sources = found.require()
    findings.items += [f for f in found.findings if f.level == "warning" or f.code in SAID]
    compare_files(sources, findings)
    if not sources:
        raise InputError(path, "holds no videos, frames or images")
    unlabelled = [s for s in sources if s.label not in (REAL, FAKE)]
    if unlabelled:
        raise InputError(path, f"{len(unlabelled)} of {len(sources)} inputs have no label: put them in real/ and fake/, or give a CSV")
    if split is None:
        chosen = [s for s in sources if s.split in (None, "test")]
        what = (
            "all of it, as it knows no splits (a model trained on part of it has seen that part)"
            if chosen and chosen[0].split is None
            else "test split"
        )
    else:
        chosen = [s for s in sources if split in ("all", split_of(s))]
        what = "all splits" if split == "all" else f"{split} split"
    if not chosen:
        raise InputError(path, f"has no {split or 'test'} videos among its {len(sources)}")
    note = f"{printable(path)}: raw, {what}, {frames or 'all'} frames per video"

    def item(source: VideoSource) -> EvaluationItem:
        def run() -> Judgement:
            return judged(source.path)

        label, where = int(source.label or 0), str(source.path)
        return EvaluationItem(*source.key, label, where, run, compression=source.compression, attributes=source.attributes)

    return [item(s) for s in chosen], note


def score(items: Iterable[EvaluationItem]) -> Iterator[Result]:
    """Judge one item after the other."""
    for item in items:
        known = (item.looked, item.compression, item.attributes)
        yield Result(item.dataset, item.method, printable(item.video), item.label, item.run(), *known)


class WorstFaces:
    """Keeps the faces of the results that are furthest from their label, and lets go of all others."""

    def __init__(self, number: int = 12) -> None:
        self._number = number
        self.kept: list[tuple[Result, tuple[Highlight, ...]]] = []

    def offer(self, result: Result) -> None:
        """Consider a result; scores only."""
        if result.judgement.score is None:
            return
        self.kept.append((result.without_pictures(), result.judgement.highlights))
        self.kept.sort(key=lambda pair: -pair[0].margin)
        del self.kept[self._number :]
