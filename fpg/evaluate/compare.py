"""Comparing detectors on the same videos: AUC, AP, EER, differences to a baseline with paired bootstrap intervals, verdicts in words.

The intervals say how much of a difference another draw of videos could make. They do not say how much another seed of the
training would: that takes runs with several seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from fpg.common.errors import InputError, UsageError
from fpg.common.rng import stream
from fpg.data.manifest import FAKE, REAL
from fpg.evaluate.bootstrap import CONFIDENCE, bootstrap_aucs, interval
from fpg.evaluate.metrics import compute
from fpg.evaluate.runs import EvaluatedRun, Key, Video

FEW = 10
"""With fewer videos of a class no difference is called one: a percentile interval over so few is too narrow."""
BASELINE, BETTER, WORSE, NONE, UNDEFINED = "baseline", "better", "worse", "no difference shown", "undefined"
Interval = tuple[float, float]
By = Literal["dataset", "manipulation"]


@dataclass(frozen=True)
class Row:
    """One detector on one group of videos."""

    run: str
    auc: float | None
    auc_interval: Interval | None
    ap: float | None
    eer: float | None
    difference: float | None
    """AUC minus the baseline's; None for the baseline, and where one of them is undefined."""
    difference_interval: Interval | None
    verdict: str
    """`baseline`, `better`, `worse`, `no difference shown` or `undefined`."""
    words: str
    """The verdict for people."""
    failed: int = 0
    """Videos of the group that failed for this detector."""
    no_face: int = 0
    """Videos of the group in which it found no face."""


@dataclass(frozen=True)
class LeftOut:
    """A video that not every detector has a score for."""

    video: str
    scored_by: list[str]
    reasons: dict[str, str]
    """Detector -> why it has no score."""


@dataclass(frozen=True)
class Group:
    """The videos of a data set, or of a manipulation with the real videos of its data set."""

    name: str
    real: int
    """Real videos that every detector of the group scored."""
    fake: int
    rows: list[Row]
    missing: list[str]
    """Detectors that were not evaluated on it."""
    left_out: list[LeftOut]
    notes: list[str]
    labels: np.ndarray
    """int64 [videos]."""
    scores: np.ndarray
    """float64 [rows, videos]."""

    @property
    def videos(self) -> int:
        """Videos that every detector of the group scored."""
        return self.real + self.fake

    def to_json(self) -> dict[str, Any]:
        """Without the scores."""
        names = ("name", "videos", "real", "fake", "missing", "notes")
        values = {name: getattr(self, name) for name in names}
        return {**values, "rows": [asdict(row) for row in self.rows], "left_out": [asdict(v) for v in self.left_out]}


@dataclass(frozen=True)
class Comparison:
    """Everything that `fpg-compare` shows."""

    runs: list[EvaluatedRun]
    baseline: str
    groups: list[Group]
    mean: list[Row] | None
    """Means over the groups, when there are several data sets on which every detector was evaluated."""
    resamples: int
    seed: int
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """As `compare.json`."""
        return {
            "baseline": self.baseline,
            "confidence": CONFIDENCE,
            "resamples": self.resamples,
            "seed": self.seed,
            "method": "paired percentile bootstrap over videos, real and fake resampled apart",
            "runs": [
                {
                    "name": run.name,
                    "path": str(run.path),
                    "files": [str(file) for file in run.files],
                    "method": run.method,
                    "cost": asdict(run.cost),
                    "model": run.model,
                }
                for run in self.runs
            ],
            "groups": [group.to_json() for group in self.groups],
            "mean": None if self.mean is None else [asdict(row) for row in self.mean],
            "notes": self.notes,
        }


def compare(
    runs: Sequence[EvaluatedRun], *, baseline: str | None = None, resamples: int = 2000, seed: int = 0, by: By = "dataset"
) -> Comparison:
    """Compare runs with one of them.

    A group's numbers are over the videos that every run evaluated on its data set scored; the others are named in it.

    Args:
        runs: with names of their own.
        baseline: name of the run to compare with; the first if None.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        by: one group per data set, or per manipulation (with the real videos of its data set).

    Raises:
        UsageError: no run of that name.
        InputError: a run that shares no scored video with the baseline, or that labels a video otherwise.
    """
    names = [run.name for run in runs]
    base = names[0] if baseline is None else baseline
    if base not in names:
        raise UsageError(f"--baseline: expected one of {', '.join(names)}, got {base}")
    first = runs[names.index(base)]
    for run in runs:
        _require_common(run, first)
    _require_same_labels(runs)
    groups, draws = [], []
    for dataset in sorted({name for run in runs for name in run.datasets}):
        for name, chosen in _members(runs, dataset, by):
            group, aucs = _group(name, chosen, runs, dataset, base, resamples, seed)
            groups.append(group)
            draws.append(aucs)
    mean = _mean(groups, draws, names, base) if by == "dataset" else None
    return Comparison(list(runs), base, groups, mean, resamples, seed, _notes(runs, groups))


def _require_common(run: EvaluatedRun, first: EvaluatedRun) -> None:
    ours, theirs = ({key for key, video in r.videos.items() if video.score is not None} for r in (run, first))
    if not ours:
        raise InputError(run.path, "not one of its videos has a score")
    if not ours & theirs:
        raise InputError(
            run.path,
            f"shares no scored video with {first.name} ({first.path}): it was evaluated on {', '.join(run.datasets)}, "
            f"{first.name} on {', '.join(first.datasets)}; evaluate both on the same data",
        )


def _require_same_labels(runs: Sequence[EvaluatedRun]) -> None:
    known: dict[Key, tuple[int, EvaluatedRun]] = {}
    for run in runs:
        for key, video in run.videos.items():
            label, other = known.setdefault(key, (video.label, run))
            if label != video.label:
                words = ("real", "fake")
                raise InputError(
                    run.path, f"{video.name} is {words[video.label]} here and {words[label]} in {other.path}: not the same data"
                )


def _members(runs: Sequence[EvaluatedRun], dataset: str, by: By) -> list[tuple[str, set[Key]]]:
    """(name, keys) of the groups of a data set."""
    videos = {key: video.label for run in runs for key, video in run.videos.items() if key[0] == dataset}
    methods = sorted({key[1] for key, label in videos.items() if label == FAKE})
    if by == "dataset" or not methods:
        return [(dataset, set(videos))]
    return [
        ("/".join(filter(None, (dataset, method or "fake"))), {k for k, label in videos.items() if label == REAL or k[1] == method})
        for method in methods
    ]


def _group(
    name: str, keys: set[Key], runs: Sequence[EvaluatedRun], dataset: str, base: str, resamples: int, seed: int
) -> tuple[Group, np.ndarray | None]:
    """A group, and its bootstrapped AUCs [resamples, rows] (None where the AUC is undefined)."""
    there = [run for run in runs if dataset in run.datasets]
    seen = sorted(keys)
    common = [key for key in seen if all(key in run.videos and run.videos[key].score is not None for run in there)]
    labels = np.array([there[0].videos[key].label for key in common], np.int64)
    scores = np.array([[run.videos[key].score for key in common] for run in there], np.float64).reshape(len(there), len(common))
    real, fake = int((labels == REAL).sum()), int((labels == FAKE).sum())
    aucs = bootstrap_aucs(labels, scores, resamples, stream(seed, "compare", name)) if real and fake else None
    index = next((i for i, run in enumerate(there) if run.name == base), None)
    rows = [_row(run, i, index, labels, scores[i], scores, aucs, keys) for i, run in enumerate(there)]
    missing = [run.name for run in runs if run not in there]
    left_out = [_left_out(key, there) for key in seen if key not in set(common)]
    return Group(name, real, fake, rows, missing, left_out, _group_notes(there, common), labels, scores), aucs


def _row(
    run: EvaluatedRun,
    index: int,
    base: int | None,
    labels: np.ndarray,
    own: np.ndarray,
    scores: np.ndarray,
    aucs: np.ndarray | None,
    keys: set[Key],
) -> Row:
    metrics = compute(labels, own)
    status = Counter(video.status for key, video in run.videos.items() if key in keys)
    counts: dict[str, Any] = {"failed": status["failed"], "no_face": status["no_face"]}
    if aucs is None or metrics.auc is None:
        return Row(run.name, None, None, None, None, None, None, UNDEFINED, f"undefined: {metrics.reason}", **counts)
    values = (run.name, metrics.auc, interval(aucs[:, index]), metrics.ap, metrics.eer)
    if index == base:
        return Row(*values, None, None, BASELINE, "the baseline", **counts)
    if base is None:
        return Row(*values, None, None, UNDEFINED, "the baseline was not evaluated here", **counts)
    difference = metrics.auc - (compute(labels, scores[base]).auc or 0.0)
    bounds = interval(aucs[:, index] - aucs[:, base])
    return Row(*values, difference, bounds, *verdict(bounds, metrics.real, metrics.fake), **counts)


def verdict(bounds: Interval, real: int, fake: int) -> tuple[str, str]:
    """What an interval of a difference in AUC means, over so many real and fake videos: (verdict, the same in words)."""
    few = min(real, fake) < FEW
    if few or bounds[0] <= 0 <= bounds[1]:
        return NONE, f"no difference that these {real + fake} videos can show" + (f" (too few: {real} real, {fake} fake)" if few else "")
    return (BETTER, "better") if bounds[0] > 0 else (WORSE, "worse")


def _left_out(key: Key, runs: Sequence[EvaluatedRun]) -> LeftOut:
    found: list[tuple[str, Video | None]] = [(run.name, run.videos.get(key)) for run in runs]
    reasons = {name: "not evaluated" if video is None else video.error or video.status for name, video in found if not _scored(video)}
    return LeftOut("/".join(filter(None, key)), [name for name, video in found if _scored(video)], reasons)


def _scored(video: Video | None) -> bool:
    return video is not None and video.score is not None


def _group_notes(runs: Sequence[EvaluatedRun], common: Sequence[Key]) -> list[str]:
    notes = []
    frames = [key for key in common if len({run.videos[key].frames for run in runs}) > 1]
    if frames:
        numbers = ", ".join(f"{run.videos[frames[0]].frames} by {run.name}" for run in runs)
        notes.append(
            f"{len(frames)} videos were judged on different numbers of frames, e.g. {'/'.join(filter(None, frames[0]))}: {numbers}"
        )
    rules = {run.videos[key].rule for key in common for run in runs}
    if len(rules) > 1:
        notes.append("the runs were evaluated by different rules: " + " | ".join(sorted(rules)))
    return notes


def _mean(groups: Sequence[Group], draws: Sequence[np.ndarray | None], names: list[str], base: str) -> list[Row] | None:
    """Means over the data sets that every run was evaluated on; None when they are fewer than two."""
    whole = [(group, aucs) for group, aucs in zip(groups, draws, strict=True) if aucs is not None and not group.missing]
    if len(whole) < 2:
        return None
    aucs = np.mean([values for _, values in whole], axis=0)
    start = names.index(base)
    rows = []
    for index, name in enumerate(names):
        own = [group.rows[index] for group, _ in whole]
        auc, ap, eer = (float(np.mean([getattr(row, field) for row in own])) for field in ("auc", "ap", "eer"))
        counts: dict[str, Any] = {"failed": sum(row.failed for row in own), "no_face": sum(row.no_face for row in own)}
        values = (name, auc, interval(aucs[:, index]), ap, eer)
        if index == start:
            rows.append(Row(*values, None, None, BASELINE, "the baseline", **counts))
            continue
        bounds = interval(aucs[:, index] - aucs[:, start])
        difference = float(np.mean([row.difference for row in own]))
        rows.append(Row(*values, difference, bounds, *_mean_verdict(bounds, [group for group, _ in whole]), **counts))
    return rows


def _mean_verdict(bounds: Interval, groups: Sequence[Group]) -> tuple[str, str]:
    total = sum(group.videos for group in groups)
    few = [group.name for group in groups if min(group.real, group.fake) < FEW]
    if few:
        return NONE, f"no difference that these {total} videos can show (too few in {', '.join(few)})"
    return verdict(bounds, total, total) if not bounds[0] <= 0 <= bounds[1] else (NONE, f"no difference that these {total} videos can show")


def _notes(runs: Sequence[EvaluatedRun], groups: Sequence[Group]) -> list[str]:
    """What makes a comparison less than fair, or needs to be known to read it."""
    notes = [note for run in runs for note in run.notes]
    notes += [f"{run.name}: {warning}" for run in runs for warning in run.warnings]
    images = {run.name: run.cost.images for run in runs if run.cost.images}
    if images and max(images.values()) > 1.01 * min(images.values()):
        notes.append("the runs did not train on the same number of images: " + _listed(images))
    for title, values in (
        ("training data (fingerprint)", {run.name: _fingerprint(run) for run in runs}),
        ("network", {run.name: _network(run) for run in runs}),
        ("seed", {run.name: run.provenance.get("seed") for run in runs}),
        ("machine (so their times say little)", {run.name: run.cost.device for run in runs}),
    ):
        known = {name: value for name, value in values.items() if value is not None}
        if len(set(known.values())) > 1:
            notes.append(f"the runs differ in {title}: {_listed(known)}")
    few = [f"{g.name} ({g.real} real, {g.fake} fake)" for g in groups if g.real and g.fake and min(g.real, g.fake) < FEW]
    if few:
        notes.append(
            f"fewer than {FEW} videos of a class in {', '.join(few)}: the intervals are too narrow there, and no difference is called one"
        )
    return notes


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _fingerprint(run: EvaluatedRun) -> str | None:
    data = run.provenance.get("data")
    value = data.get("fingerprint") if isinstance(data, dict) else None
    return value[:12] if isinstance(value, str) else None


def _network(run: EvaluatedRun) -> str | None:
    backbone = run.model.get("backbone")
    return f"{backbone} at {run.model.get('image_size')} px" if backbone else None
