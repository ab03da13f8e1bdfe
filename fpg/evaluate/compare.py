"""Comparing detectors on the same videos: AUC, AP, EER, differences to a baseline with paired bootstrap intervals, verdicts in words.

The intervals of single runs say how much of a difference another draw of videos could make. They do not say how much another seed of
the training would: that takes runs with several seeds, which are methods here (`fpg.evaluate.seeds`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from fpg.common.errors import InputError, UsageError
from fpg.common.rng import stream
from fpg.data.manifest import FAKE, REAL
from fpg.evaluate.bootstrap import CONFIDENCE, bootstrap_aucs, interval
from fpg.evaluate.compare_notes import FEW, notes
from fpg.evaluate.metrics import compute
from fpg.evaluate.runs import EvaluatedRun, Key, Video
from fpg.evaluate.seeds import MethodRow, MethodRuns, clipped, estimate, families

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
class ExcludedVideo:
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
    left_out: list[ExcludedVideo]
    notes: list[str]
    labels: np.ndarray
    """int64 [videos]."""
    scores: np.ndarray
    """float64 [rows, videos]."""
    protocol: str = ""
    """How the numbers came about, in a line."""
    methods: tuple[MethodRow, ...] = ()
    """The same by method, over its seeds."""

    @property
    def videos(self) -> int:
        """Videos that every detector of the group scored."""
        return self.real + self.fake

    def to_json(self) -> dict[str, Any]:
        """Without the scores."""
        names = ("name", "videos", "real", "fake", "protocol", "missing", "notes")
        values = {name: getattr(self, name) for name in names}
        parts = {name: [asdict(part) for part in getattr(self, name)] for name in ("rows", "methods", "left_out")}
        return {**values, **parts}


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
    families: tuple[MethodRuns, ...] = ()
    """The methods, each with its seeds."""
    methods_mean: tuple[MethodRow, ...] | None = None
    """`mean` by method."""

    @property
    def seeded(self) -> bool:
        """Some method has several seeds."""
        return any(len(family.runs) > 1 for family in self.families)

    def to_json(self) -> dict[str, Any]:
        """As `compare.json`."""
        return {
            "baseline": self.baseline,
            "confidence": CONFIDENCE,
            "resamples": self.resamples,
            "seed": self.seed,
            "method": "paired percentile bootstrap over videos, real and fake resampled separately; methods with several seeds: Student's "
            "t, the variance over videos (bootstrap) and the variance over seeds added, degrees of freedom by Satterthwaite",
            "runs": [
                {
                    "name": run.name,
                    "path": str(run.path),
                    "files": [str(file) for file in run.files],
                    "method": run.method,
                    "family": run.family,
                    "seed": run.seed,
                    "cost": asdict(run.cost),
                    "model": run.model,
                }
                for run in self.runs
            ],
            "groups": [group.to_json() for group in self.groups],
            "mean": None if self.mean is None else [asdict(row) for row in self.mean],
            "methods_mean": None if self.methods_mean is None else [asdict(row) for row in self.methods_mean],
            "notes": self.notes,
        }


def compare_runs(
    runs: Sequence[EvaluatedRun], *, baseline: str | None = None, resamples: int = 2000, seed: int = 0, by: By = "dataset"
) -> Comparison:
    """Compare runs with one of them.

    A group's numbers are over the videos that every run evaluated on its data set scored; the others are named in it.

    Args:
        runs: with names of their own.
        baseline: name of the run or of the method to compare with; the first if None.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        by: one group per data set, or per manipulation (with the real videos of its data set).

    Raises:
        UsageError: no run of that name.
        InputError: a run that shares no scored video with the baseline, or that labels a video otherwise.
    """
    names, methods = [run.name for run in runs], families(runs)
    first_of = {family.name: family.runs[0] for family in methods}
    base = names[0] if baseline is None else baseline if baseline in names else first_of.get(baseline, baseline)
    if base not in names:
        raise UsageError(f"--baseline: expected one of {', '.join(dict.fromkeys([*names, *first_of]))}, got {base}")
    first = runs[names.index(base)]
    for run in runs:
        _require_common(run, first)
    _require_same_labels(runs)
    groups, draws = [], []
    for dataset in sorted({name for run in runs for name in run.datasets}):
        for name, chosen in _members(runs, dataset, by):
            group, aucs = _group(name, chosen, runs, dataset, base, resamples, seed)
            judge = partial(verdict, real=group.real, fake=group.fake)
            groups.append(replace(group, methods=tuple(_method_rows(methods, first.family, group.rows, aucs, judge))))
            draws.append(aucs)
    mean, over = _mean(groups, draws, names, base) if by == "dataset" else (None, None)
    methods_mean = None
    if mean is not None:
        judge = partial(_mean_verdict, groups=[g for g, aucs in zip(groups, draws, strict=True) if aucs is not None and not g.missing])
        methods_mean = tuple(_method_rows(methods, first.family, mean, over, judge))
    told = notes(runs, [(group.name, group.real, group.fake) for group in groups])
    return Comparison(list(runs), base, groups, mean, resamples, seed, told, tuple(methods), methods_mean)


def _method_rows(
    methods: Sequence[MethodRuns], base: str, rows: Sequence[Row], aucs: np.ndarray | None, judge: Callable[[Interval], tuple[str, str]]
) -> list[MethodRow]:
    """Rows of runs, and their bootstrapped AUCs [resamples, rows], by method."""
    at = {row.run: index for index, row in enumerate(rows)}
    by_name = {family.name: family for family in methods}

    def members(family: MethodRuns) -> list[int]:
        order = sorted(range(len(family.runs)), key=lambda i: (family.seeds[i] is not None, family.seeds[i] or 0))
        return [at[family.runs[i]] for i in order if family.runs[i] in at]

    found = []
    for family in methods:
        own, other = members(family), members(by_name[base])
        if not own:
            continue
        known = dict(zip(family.runs, family.seeds, strict=True))
        head = (family.name, [rows[i].run for i in own], [known[rows[i].run] for i in own])
        if aucs is None or any(rows[i].auc is None for i in own):
            found.append(MethodRow(*head, *(None,) * 10, UNDEFINED))
            continue
        values, draws = np.array([rows[i].auc for i in own], np.float64), aucs[:, own].mean(axis=1)
        mean, std = estimate(draws, values), float(values.std(ddof=1)) if len(own) > 1 else None
        ap, eer = (float(np.mean([getattr(rows[i], name) for i in own])) for name in ("ap", "eer"))
        shown = (*head, mean.value, std, clipped(mean.interval), ap, eer)
        if family.name == base or not other:
            found.append(MethodRow(*shown, *(None,) * 5, BASELINE if family.name == base else UNDEFINED))
            continue
        theirs = dict(zip(by_name[base].runs, by_name[base].seeds, strict=True))
        same = head[2] == [theirs[rows[i].run] for i in other] and None not in head[2]
        against = np.array([rows[i].auc for i in other], np.float64)
        between = estimate(draws - aucs[:, other].mean(axis=1), values, against, paired=same)
        tests = (between.p, between.p_videos, between.p_seeds)
        found.append(MethodRow(*shown, between.value, between.interval, *tests, judge(between.interval)[0]))
    return found


def _require_common(run: EvaluatedRun, first: EvaluatedRun) -> None:
    ours, theirs = ({key for key, video in r.videos.items() if video.score is not None} for r in (run, first))
    if not ours:
        raise InputError(run.path, "none of its videos has a score")
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
    protocol = _protocol(there, common, real, fake, len(left_out))
    return Group(name, real, fake, rows, missing, left_out, _group_notes(there, common), labels, scores, protocol), aucs


def _protocol(runs: Sequence[EvaluatedRun], common: Sequence[Key], real: int, fake: int, left_out: int) -> str:
    """How the numbers of a group came about: unit, videos, frames, compression, rule, what is left out."""
    videos = [run.videos[key] for run in runs for key in common]
    frames = sorted({video.frames for video in videos if video.frames is not None})
    span = " to ".join(str(number) for number in dict.fromkeys((frames[0], frames[-1]))) if frames else "unknown number of"
    compression = "/".join(sorted({video.compression or "unknown" for video in videos})) or "unknown"
    rules = sorted({video.rule for video in videos})
    rule = rules[0] if len(rules) == 1 else "the runs' rules differ" if rules else "no rule"
    counts = f"{real} real, {fake} fake, {left_out} without a score from every run"
    return f"video level; {counts}; {span} frames each; compression {compression}; {rule}"


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


def _left_out(key: Key, runs: Sequence[EvaluatedRun]) -> ExcludedVideo:
    found: list[tuple[str, Video | None]] = [(run.name, run.videos.get(key)) for run in runs]
    reasons = {name: "not evaluated" if video is None else video.error or video.status for name, video in found if not _scored(video)}
    return ExcludedVideo("/".join(filter(None, key)), [name for name, video in found if _scored(video)], reasons)


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


def _mean(
    groups: Sequence[Group], draws: Sequence[np.ndarray | None], names: list[str], base: str
) -> tuple[list[Row] | None, np.ndarray | None]:
    """Means over the data sets that every run was evaluated on, and their draws [resamples, runs]; None when they are fewer than two."""
    whole = [(group, aucs) for group, aucs in zip(groups, draws, strict=True) if aucs is not None and not group.missing]
    if len(whole) < 2:
        return None, None
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
    return rows, aucs


def _mean_verdict(bounds: Interval, groups: Sequence[Group]) -> tuple[str, str]:
    total = sum(group.videos for group in groups)
    few = [group.name for group in groups if min(group.real, group.fake) < FEW]
    if few:
        return NONE, f"no difference that these {total} videos can show (too few in {', '.join(few)})"
    return verdict(bounds, total, total) if not bounds[0] <= 0 <= bounds[1] else (NONE, f"no difference that these {total} videos can show")
