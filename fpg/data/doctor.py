"""What state a data set is in: counts against the published ones, what is missing or unreadable, copies, earlier preparation, and
what preparing it would cost. `fpg-doctor data` shows it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fpg.common.errors import InputError, MissingDependencyError
from fpg.data.checks import FileTraits, compare_files, compare_manifest, compare_traits
from fpg.data.cropping import Analyzer, CropTask, prepare_one
from fpg.data.face_files import face_files
from fpg.data.layouts import DATA_SETS
from fpg.data.layouts.base import Diagnostic, Diagnostics, Expected, VideoSource, split_of
from fpg.data.manifest import FAKE, NAME, REAL, Manifest, check_crops, read_manifest
from fpg.data.prepare import FRAMES, default_faces, usable_cpus
from fpg.data.probing import SAMPLE, ProbeResult, open_videos
from fpg.data.sources import survey
from fpg.data.video import sample_indices

_OFFICIAL = {layout.dataset: layout.official for layout in DATA_SETS}


@dataclass(frozen=True)
class VideoCount:
    """Videos of one method, label and split."""

    dataset: str
    compression: str
    method: str
    label: int | None
    split: str
    reason: str
    """Why they are in this split; of most of them."""
    videos: int
    missing: int
    """Of these, how many a list names and the disk lacks."""


@dataclass(frozen=True)
class PublishedCount:
    """A published number, and what is here (on disk)."""

    dataset: str
    compression: str
    method: str | None
    """None: all methods together; so with label and split."""
    label: int | None
    split: str | None
    official: int
    here: int


@dataclass(frozen=True)
class Preparation:
    """Work that was done before."""

    kind: Literal["manifest", "face files"]
    path: str
    text: str


@dataclass(frozen=True)
class PreparationEstimate:
    """What `fpg-prepare` would need, from preparing a few of the videos."""

    measured: int
    """Videos that were prepared for it."""
    videos: int
    frames: int
    """Looked at per video."""
    bytes: int
    seconds: float
    """In one process."""
    cpus: int
    free: int
    """Bytes that the disk has left."""


@dataclass
class DataReport:
    """Everything `fpg-doctor data` finds."""

    root: str
    layouts: list[str] = field(default_factory=list)
    deep: bool = False
    opened: int = 0
    """Videos that were opened."""
    videos: int = 0
    counts: list[VideoCount] = field(default_factory=list)
    official: list[PublishedCount] = field(default_factory=list)
    findings: list[Diagnostic] = field(default_factory=list)
    preparation: list[Preparation] = field(default_factory=list)
    estimate: PreparationEstimate | None = None
    listing: list[dict[str, Any]] = field(default_factory=list)
    """One entry per video."""

    @property
    def ok(self) -> bool:
        """Nothing is missing, unreadable or doubtful."""
        return all(finding.level == "note" for finding in self.findings)


def examine_data(
    root: str | os.PathLike[str],
    *,
    layout: str | None = None,
    dataset: str | None = None,
    images: str = "auto",
    deep: bool = False,
    sample: int = SAMPLE,
    workers: int | None = None,
    estimate: int = 3,
    frames: int = FRAMES,
    analyzer: Callable[[], Analyzer] = default_faces,
    quiet: bool = False,
) -> DataReport:
    """Look at a data set.

    Args:
        root: its folder or list, or a folder that fpg-prepare wrote.
        layout, dataset, images: as in `fpg.data.sources.survey`.
        deep: open every video and decode a frame from its middle, and compare prepared crops with their checksums; else count the
            packets and decode the first frame of a sample.
        sample: number of videos in that sample, evenly over all.
        workers: processes that open videos when all are; None is one per CPU, 0 works in this process.
        estimate: videos to prepare for the estimate; 0 makes none.
        frames: per video, for the estimate.
        analyzer: builds the face analyzer for the estimate.
        quiet: no progress bar.

    Raises:
        InputError: nothing there.
        UsageError: an unknown layout.
    """
    path = Path(root)
    if path.name == NAME or (path / NAME).is_file():
        return _prepared_folder(path if path.is_dir() else path.parent, deep)
    found = survey(path, layout=layout, dataset=dataset, images=images)
    findings = Diagnostics(list(found.findings))
    sources = sorted([*found.sources, *found.left_out], key=lambda s: s.key)
    if not sources and not any(f.level == "error" for f in findings.items):
        findings.error("empty", path, "holds no video and no image")
    present = [s for s in sources if os.path.exists(s.path)]
    report = DataReport(os.fspath(path), [kind.name for kind, _ in found.layouts], deep, videos=len(sources))
    report.counts = _counts(sources)
    report.official = _compare(present, findings)
    _classes(found.sources, findings)
    _identities(found.sources, findings)
    readings = open_videos(present, deep, sample, usable_cpus() if workers is None else workers, quiet)
    _unreadable(present, readings, findings)
    compare_files(present, findings)
    compare_traits([_trait(s, readings[s.key]) for s in present if s.key in readings and not readings[s.key].error], findings)
    report.opened = len(readings)
    report.preparation = _earlier(path, present, deep, findings)
    readable = [s for s in found.sources if s.key in readings and not readings[s.key].error]
    try:
        report.estimate = _estimate(path, readable, len(found.sources), estimate, frames, analyzer)
    except MissingDependencyError as error:
        findings.note("no_estimate", path, f"the cost of preparing it is not estimated: {error}")
    report.findings = sorted(findings.items, key=lambda f: ("error", "warning", "note").index(f.level))
    report.listing = [_entry(s, readings.get(s.key)) for s in sources]
    return report


def as_json(report: DataReport, *, listing: bool = True, ascii_only: bool = False) -> str:
    """The report as JSON text, with or without the list of videos, and characters beyond ASCII as they are or escaped."""
    content = {"schema": "fpg.data/1", "ok": report.ok, **dataclasses.asdict(report)}
    if not listing:
        del content["listing"]
    return json.dumps(content, indent=2, ensure_ascii=ascii_only)


def _counts(sources: list[VideoSource]) -> list[VideoCount]:
    groups: dict[tuple[str, str, str, int | None, str], list[VideoSource]] = {}
    for s in sources:
        homeless = s.split is None and bool(s.why)
        groups.setdefault((s.dataset, s.compression, s.method, s.label, "none" if homeless else split_of(s)), []).append(s)
    rows = []
    for key in sorted(groups, key=lambda k: (k[0], k[1], k[3] or 0, k[2], ("train", "val", "test", "none").index(k[4]))):
        reasons = Counter(s.split_reason for s in groups[key])
        reason = reasons.most_common(1)[0][0] + (f" (and {len(reasons) - 1} other reasons)" if len(reasons) > 1 else "")
        missing = sum(not os.path.exists(s.path) for s in groups[key])
        rows.append(VideoCount(*key, reason, len(groups[key]), missing))
    return rows


def _compare(present: list[VideoSource], findings: Diagnostics) -> list[PublishedCount]:
    groups: dict[tuple[str, str], list[VideoSource]] = {}
    for source in present:
        groups.setdefault((source.dataset, source.compression), []).append(source)
    rows = []
    for (dataset, compression), sources in sorted(groups.items()):
        for expected in _OFFICIAL.get(dataset, ()):
            if not any(_meets(s, replace(expected, split=None)) for s in sources):
                continue  # this part of the data set is not here at all
            here = sum(_meets(s, expected) for s in sources)
            part = (expected.method, expected.label, expected.split)
            rows.append(PublishedCount(dataset, compression, *part, expected.count, here))
            if here != expected.count:
                what = f"{_words(expected)} videos: {here} on disk, {expected.count} published"
                findings.warning("count", f"{dataset} {compression}".strip(), what)
    return rows


def _meets(source: VideoSource, expected: Expected) -> bool:
    return (
        expected.method in (None, source.method)
        and expected.label in (None, source.label)
        and (expected.split is None or expected.split == split_of(source))
    )


def _words(expected: Expected) -> str:
    label = {REAL: "real", FAKE: "fake", None: ""}[expected.label]
    return " ".join(filter(None, [expected.split, label, expected.method]))


def _classes(sources: list[VideoSource], findings: Diagnostics) -> None:
    groups: dict[tuple[str, str], set[int | None]] = {}
    for source in sources:
        groups.setdefault((source.dataset, split_of(source)), set()).add(source.label)
    for (dataset, split), labels in sorted(groups.items()):
        if labels in ({REAL}, {FAKE}) and split == "test":
            word = "real" if labels == {REAL} else "fake"
            findings.note("one_class", dataset, f"its test split is all {word}: an AUC over it alone is undefined")
        if None in labels:
            findings.note("no_labels", dataset, f"nothing says which {split} videos are real: fpg-prepare needs --label")


def _identities(sources: list[VideoSource], findings: Diagnostics) -> None:
    """People (or original videos) that are in training and in testing."""
    homes: dict[tuple[str, str], set[str]] = {}
    for source in sources:
        for who in {source.target, source.donor} - {""}:
            homes.setdefault((source.dataset, who), set()).add(split_of(source))
    for dataset in sorted({dataset for dataset, _ in homes}):
        shared = sorted(who for (name, who), splits in homes.items() if name == dataset and len(splits) > 1)
        if shared:
            findings.note("identities", dataset, f"{len(shared)} identities are in more than one split, first {shared[0]}")


def _trait(source: VideoSource, reading: ProbeResult) -> FileTraits:
    pixels = reading.width * reading.height * reading.frames
    whole = source.kind != "frames" and pixels > 0
    return FileTraits(source.label, "", reading.width, reading.height, os.path.getsize(source.path) / pixels if whole else 0.0)


def _unreadable(present: list[VideoSource], readings: dict[tuple[str, str, str], ProbeResult], findings: Diagnostics) -> None:
    for source in present:
        reading = readings.get(source.key, ProbeResult())
        if reading.error:
            findings.warning("unreadable", source.path, reading.error)
        if reading.faces:
            findings.warning("face_files", source.path, reading.faces)


def _earlier(root: Path, present: list[VideoSource], deep: bool, findings: Diagnostics) -> list[Preparation]:
    done = []
    files = [f for f in (face_files(s) for s in present) if f is not None]
    if files:
        boxes = sum(f.retina is not None for f in files)
        text = (
            f"{len(files)} of {len(present)} videos have frames and landmarks, {boxes} of them RetinaFace boxes (--landmarks precomputed)"
        )
        done.append(Preparation("face files", os.fspath(root), text))
    return done + [_manifest(folder, deep, findings) for folder in _prepared_from(root)]


def _prepared_from(root: Path) -> Iterable[Path]:
    """Folders next to `root` that fpg-prepare made from it."""
    parent = root.resolve().parent
    try:
        neighbours = sorted(p for p in parent.iterdir() if p.is_dir())
    except OSError:
        return
    for folder in neighbours:
        try:
            settings = json.loads((folder / "prepare.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(settings, dict) and settings.get("source") == os.path.abspath(root):
            yield folder


def _manifest(folder: Path, deep: bool, findings: Diagnostics) -> Preparation:
    try:
        manifest = read_manifest(folder)
    except InputError as error:
        findings.warning("manifest", error.path, error.reason)
        return Preparation("manifest", os.fspath(folder), "begun and not finished: give the same fpg-prepare command again")
    for problem in check_crops(manifest, checksums=deep):
        findings.warning("crop", problem.path, problem.reason)
    for video in manifest.videos:
        if video.status == "failed":
            findings.warning("failed", video.source, f"failed in preparation: {video.reason}")
    return Preparation("manifest", os.fspath(folder), _fates(manifest))


def _fates(manifest: Manifest) -> str:
    fate = Counter(video.status for video in manifest.videos)
    return f"{fate['prepared']} videos prepared, {fate['no_face']} without a face, {fate['failed']} failed; {len(manifest.faces)} crops"


def _prepared_folder(root: Path, deep: bool) -> DataReport:
    """The report of a folder that fpg-prepare wrote."""
    findings = Diagnostics()
    report = DataReport(os.fspath(root), ["fpg-prepare"], deep)
    manifest = read_manifest(root)
    report.preparation = [_manifest(root, deep, findings)]
    compare_manifest(manifest, findings)
    groups = Counter((v.dataset, v.compression, v.method, v.label, v.split, v.split_reason) for v in manifest.videos)
    failed = Counter(
        (v.dataset, v.compression, v.method, v.label, v.split, v.split_reason) for v in manifest.videos if v.status == "failed"
    )
    report.counts = [VideoCount(*key, count, failed[key]) for key, count in sorted(groups.items())]
    report.videos, report.findings = len(manifest.videos), findings.items
    report.listing = [dataclasses.asdict(video) for video in manifest.videos]
    return report


def _estimate(
    root: Path, readable: list[VideoSource], total: int, wanted: int, frames: int, analyzer: Callable[[], Analyzer]
) -> PreparationEstimate | None:
    chosen = [readable[i] for i in sample_indices(len(readable), wanted)] if wanted > 0 else []
    if not chosen:
        return None
    find = analyzer()
    find(np.zeros((64, 64, 3), np.uint8))  # the first call of a network takes longer than the others
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        for source in chosen:
            prepare_one(CropTask(source, source.label or REAL), Path(scratch), find, frames=frames, threads=1)
        seconds = time.perf_counter() - began
        size = sum(file.stat().st_size for file in Path(scratch).rglob("*.png"))
    factor = total / len(chosen)
    free = shutil.disk_usage(root if root.is_dir() else root.resolve().parent).free
    return PreparationEstimate(len(chosen), total, frames, round(size * factor), seconds * factor, usable_cpus(), free)


def _entry(source: VideoSource, reading: ProbeResult | None) -> dict[str, Any]:
    return {
        "dataset": source.dataset,
        "method": source.method,
        "video": source.video,
        "label": source.label,
        "split": None if source.split is None and source.why else split_of(source),
        "split_reason": source.split_reason,
        "compression": source.compression,
        "target": source.target,
        "donor": source.donor,
        "path": os.fsencode(source.path).decode("utf-8", "backslashreplace"),
        "on_disk": os.path.exists(source.path),
        "opened": None if reading is None else dataclasses.asdict(reading),
    }
