"""A finding: level, interval and limits of an input, and the paragraph that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fpg.common.constants import filled
from fpg.findings.fusion import models_disagree
from fpg.findings.intervals import Interval, mean_interval
from fpg.findings.limits import HIGH, Conditions, Limit, condition_limits, near_threshold, tracks_disagree
from fpg.findings.segments import STANDS_OUT, Segment, find_segments
from fpg.findings.strength import (
    INCONCLUSIVE,
    NOT_CALIBRATED,
    WORDS,
    Reliability,
    contradicts,
    level_of,
    level_of_score,
    stated,
    together,
    weakened,
)
from fpg.findings.tables import TABLES, number

_TEXT: dict[str, str] = TABLES["text"]


@dataclass(frozen=True)
class Track:
    """One face through the frames that were looked at."""

    track: int
    score: float
    """Mean over its frames."""
    frames: int
    start_s: float
    end_s: float
    interval: Interval | None = None
    """95 % interval of the score; None of a single frame."""
    level: str = NOT_CALIBRATED
    segments: tuple[Segment, ...] = ()
    """Suspicious parts, in order of time."""


@dataclass(frozen=True)
class Model:
    """A detector, and what it says of an input."""

    name: str
    score: float
    threshold: float
    reliability: Reliability | None = None

    @property
    def fake(self) -> bool:
        """Whether its score reaches its threshold."""
        return self.score >= self.threshold

    @property
    def verdict(self) -> str:
        """`fake` or `real`."""
        return "fake" if self.fake else "real"

    @property
    def level(self) -> str:
        """By its own card."""
        return level_of(self.score, self.threshold, self.reliability)

    @property
    def weight(self) -> float:
        """In the fusion."""
        return weight_of(self.reliability)

    def to_json(self) -> dict[str, Any]:
        """`name, score, verdict, threshold, level, weight`."""
        facts = {"name": self.name, "score": self.score, "verdict": self.verdict, "threshold": self.threshold}
        return {**facts, "level": self.level, "weight": self.weight}


@dataclass(frozen=True)
class Finding:
    """How strong the evidence is, and what limits it."""

    level: str
    interval: Interval | None
    limits: tuple[Limit, ...]
    text: str
    """A paragraph."""

    @property
    def words(self) -> str:
        """The level as it is printed."""
        return WORDS[self.level]

    def to_json(self) -> dict[str, Any]:
        """`level, words, interval, limits[{code, value, bound, text}], text`."""
        interval = None if self.interval is None else list(self.interval)
        limits = [limit.to_json() for limit in self.limits]
        return {"level": self.level, "words": self.words, "interval": interval, "limits": limits, "text": self.text}


def weight_of(reliability: Reliability | None) -> float:
    """In a fusion: 1 for a model whose card states none."""
    return 1.0 if reliability is None else reliability.weight


def judged_track(
    number: int, seen: Sequence[tuple[int, float, float]], threshold: float, reliabilities: Sequence[Reliability | None]
) -> Track:
    """A track from its frames.

    Args:
        number: of the track.
        seen: (frame, time in seconds, score) of every frame with this face, in order of time.
        threshold: from which a face is called fake.
        reliabilities: of the models that judged; the level of a fused score is inconclusive where theirs would differ.
    """
    indices, times, scores = zip(*seen, strict=True)
    score = float(sum(scores) / len(scores))
    levels = [level_of(score, threshold, reliability) for reliability in reliabilities]
    return Track(
        number,
        score,
        len(seen),
        times[0],
        times[-1],
        mean_interval(scores),
        together(levels) if levels else NOT_CALIBRATED,
        find_segments(scores, times, indices, threshold),
    )


def conclude_finding(
    score: float, threshold: float, frame_scores: Sequence[float], tracks: Sequence[Track], conditions: Conditions, models: Sequence[Model]
) -> Finding:
    """The finding of an input that has a score.

    Args:
        score: of the input.
        threshold: from which its verdict is fake.
        frame_scores: of its frames with a face, in order of time.
        tracks: of all its faces.
        conditions: under which it was seen.
        models: that judged it, at least one.
    """
    interval = mean_interval(frame_scores)
    limits = condition_limits(conditions, _usual(models)) + near_threshold(score, interval, threshold)
    limits += part_stands_out(score, threshold, tracks)
    limits += tracks_disagree([(track.score, track.interval) for track in tracks], threshold)
    apart = models_disagree([model.score for model in models], [model.threshold for model in models])
    limits += apart
    level, remark = _level(score, threshold, models)
    if apart and level != NOT_CALIBRATED:
        level = INCONCLUSIVE
    level = weakened(level, sum(limit.weakens for limit in limits))
    text = _paragraph(level, score, threshold, interval, limits, tracks, models, remark)
    return Finding(level, interval, tuple(limits), text)


def part_stands_out(score: float, threshold: float, tracks: Sequence[Track]) -> list[Limit]:
    """Whether an input below the threshold has a part of a track that stands out: nobody should call it unsuspicious."""
    apart = [part.stands_out_by for track in tracks for part in track.segments if part.stands_out_by is not None]
    most = max(apart, default=0.0)
    return [Limit("part_stands_out", most, STANDS_OUT)] if score < threshold and most >= STANDS_OUT else []


def _level(score: float, threshold: float, models: Sequence[Model]) -> tuple[str, str]:
    """The level before limits, and what to remark on it."""
    if len(models) > 1:
        levels = [model.level for model in models]
        level = together(levels)
        return (INCONCLUSIVE if contradicts(level, score >= threshold) else level), ""
    reliability = models[0].reliability
    if reliability is None:
        return NOT_CALIBRATED, ""
    own = level_of_score(score, reliability.bounds)
    return level_of(score, threshold, reliability), _TEXT["contradicts"] if contradicts(own, score >= threshold) else ""


def _usual(models: Sequence[Model]) -> dict[str, float]:
    """The narrowest of the models' calibrated conditions."""
    usual: dict[str, float] = {}
    for model in models:
        for name, end in (model.reliability.conditions if model.reliability else {}).items():
            narrower = min if HIGH.get(name) else max
            usual[name] = narrower(usual[name], end) if name in usual else end
    return usual


def _paragraph(
    level: str,
    score: float,
    threshold: float,
    interval: Interval | None,
    limits: Sequence[Limit],
    tracks: Sequence[Track],
    models: Sequence[Model],
    remark: str,
) -> str:
    between = _TEXT["no_interval"] if interval is None else interval_text(interval)
    sentences = [stated(level)]
    sentences.append(filled(_TEXT["score"], score=number(score), interval=between, threshold=number(threshold)))
    if remark:
        sentences.append(remark)
    for model in models:
        if model.reliability is not None and len(models) == 1:
            sentences.append(_measured(model.reliability, level_of_score(score, model.reliability.bounds)))
    if where := suspicious(tracks):
        sentences.append(filled(_TEXT["segments"], segments=where))
    if limits:
        sentences.append(filled(_TEXT["limits"], limits="; ".join(limit.text for limit in limits)))
    return " ".join(sentences)


def interval_text(interval: Interval) -> str:
    """A score's interval in words."""
    return filled(_TEXT["interval"], low=number(interval[0]), high=number(interval[1]))


def suspicious(tracks: Sequence[Track]) -> str:
    """All suspicious segments in words, but those of a single frame; a face is named by its track where there are several. Empty without
    one."""
    which = _TEXT["segment"] if len(tracks) > 1 else _TEXT["segment_of_one"]
    parts = [(track.track, part) for track in tracks for part in track.segments if part.end_s > part.start_s]
    return "; ".join(filled(which, track=str(track), start=number(p.start_s), end=number(p.end_s)) for track, p in parts)


def _measured(reliability: Reliability, level: str) -> str:
    """How many videos of the calibration had a score of this level."""
    counts = reliability.levels.get(level, {})
    numbers = {"real": counts.get("real", 0), "fake": counts.get("fake", 0), "reals": reliability.real, "fakes": reliability.fake}
    return filled(_TEXT["measured"], **{name: str(value) for name, value in numbers.items()})
