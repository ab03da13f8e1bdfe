"""What the runtime says of an input: scores of faces, frames, tracks and the whole, a verdict or a reason why there is none."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from fpg.common.constants import CONSTANTS, filled, message
from fpg.common.errors import InputError
from fpg.common.spec import CROPS, EngineSpec
from fpg.engines.base import Engine
from fpg.faces.sizes import face_size
from fpg.findings.finding import Finding, Model, Track, conclude_finding, judged_track
from fpg.findings.limits import Conditions
from fpg.findings.segments import Segment
from fpg.findings.shots import Shot, shots
from fpg.findings.strength import Reliability
from fpg.findings.tables import TABLES
from fpg.record.exhibit import Exhibit
from fpg.runtime.scores import TEXT, frame_score, video_score


@dataclass(frozen=True)
class FaceScore:
    """One judged face: box (x0, y0, x1, y1) in pixels of the frame, probability of fake in [0, 1]."""

    box: tuple[float, float, float, float]
    score: float
    measure: float | None = None
    """What `judge`'s `measure` returned for the network's input; not part of `to_json`."""
    track: int = 0
    """The same face has the same number in every frame (`fpg.faces.tracks`)."""
    activation_map: np.ndarray | None = field(default=None, repr=False, compare=False)
    """float32 [h, w], class activation: positive where it indicates fake; only if it was requested and the model has one."""
    scores: tuple[float, ...] = ()
    """With several models, the score of each; `score` is their fusion."""
    sharpness: float | None = None
    """`fpg.findings.limits.sharpness_of` the network's input."""
    pose: tuple[float, float] | None = None
    """Yaw and pitch in degrees; None where the face finder gives none."""


_PROTOCOL = CONSTANTS["protocol"]
NO_FACE, FACE_TOO_SMALL, FACE_REJECTED = "no_face", "face_too_small", "face_rejected"
"""Codes of inputs that were read and show nothing to judge."""


@dataclass(frozen=True)
class RejectedFace:
    """A face that counts and is too small or cannot be cut by the model's crop rule: box in pixels of the frame, why there is no score."""

    box: tuple[float, float, float, float]
    reason: str
    code: str = FACE_REJECTED
    """`FACE_TOO_SMALL`, or that it cannot be cut."""


@dataclass(frozen=True)
class FrameScore:
    """One frame: 0-based index, time in seconds, the faces that count (empty without a face)."""

    index: int
    time_s: float
    faces: tuple[FaceScore, ...] = ()
    rejected: tuple[RejectedFace, ...] = ()
    cut: bool = False
    """Whether a cut lies between the frame looked at before and this one."""

    @property
    def score(self) -> float | None:
        """Maximum over the faces, None without one."""
        return frame_score([face.score for face in self.faces])

    def without_maps(self) -> FrameScore:
        """The same without activation maps, which take memory."""
        return replace(self, faces=tuple(replace(face, activation_map=None) for face in self.faces))


@dataclass(frozen=True)
class TrackScore:
    """One face through the frames examined so far; the score is the mean over them."""

    track: int
    score: float
    frames: int
    start_s: float
    end_s: float

    def and_then(self, score: float, time_s: float) -> TrackScore:
        """With one frame more."""
        frames = self.frames + 1
        return TrackScore(self.track, self.score + (score - self.score) / frames, frames, self.start_s, time_s)


@dataclass(frozen=True)
class JudgedBy:
    """A model as a judgement knows it."""

    name: str
    threshold: float
    """Its own."""
    reliability: Reliability | None = None

    @staticmethod
    def of(spec: EngineSpec, name: str | None = None) -> JudgedBy:
        """From its sidecar; without a name it is called as its file."""
        return JudgedBy(name or os.path.splitext(spec.model_file)[0], spec.threshold, Reliability.of(spec.reliability))


@dataclass(frozen=True)
class Highlight:
    """A face kept for the report: what the network saw and where it found evidence."""

    index: int
    time_s: float
    score: float
    image: np.ndarray
    """uint8 [S, S, 3] RGB, the network's input."""
    activation_map: np.ndarray | None
    """float32 [h, w], class activation: positive where it indicates fake; None if the model has no such map."""
    track: int = 0


@dataclass(frozen=True)
class Judgement:
    """What became of one input. Exactly one of `score` and `error` is None."""

    input: str
    score: float | None
    verdict: str | None
    """`real` or `fake`: `fake` if the score reaches the threshold; None without a score."""
    threshold: float
    frames: tuple[FrameScore, ...] = ()
    error: str | None = None
    error_code: str | None = None
    """One of `fpg.common.errors.CODES`; None where `error` is."""
    highlights: tuple[Highlight, ...] = field(default=(), repr=False, compare=False)
    portraits: tuple[Highlight, ...] = field(default=(), repr=False, compare=False)
    """The most suspicious picture of each of the first tracks, if highlights were requested."""
    stream: dict[str, Any] | None = None
    """Which stream of a video was read, and how it was shown (`fpg.data.notes`)."""
    warnings: tuple[str, ...] = ()
    """Warnings of the model (`EngineSpec.warnings`), and what a person should know about how the input was read; a line each."""
    judged_by: tuple[JudgedBy, ...] = ()
    """The models; the scores in `FaceScore.scores` are in their order."""
    bits_per_pixel: float | None = None
    """Of the video stream or picture; None if not known."""
    exhibit: Exhibit = field(default=Exhibit(), compare=False)
    """The bytes that were examined (`fpg.record`)."""

    @property
    def no_face(self) -> bool:
        """Whether the input could be read, but no frame had a face that is large enough."""
        return self.error_code in (NO_FACE, FACE_TOO_SMALL)

    @property
    def frames_with_face(self) -> int:
        """Number of frames with at least one face."""
        return sum(bool(frame.faces) for frame in self.frames)

    @cached_property
    def tracks(self) -> tuple[Track, ...]:
        """Every face through time, in order of appearance."""
        seen: dict[int, list[tuple[int, float, float]]] = {}
        for frame in self.frames:
            for face in frame.faces:
                seen.setdefault(face.track, []).append((frame.index, frame.time_s, face.score))
        reliabilities = [by.reliability for by in self.judged_by]
        return tuple(judged_track(number, seen[number], self.threshold, reliabilities) for number in sorted(seen))

    @property
    def shots(self) -> tuple[Shot, ...]:
        """The shots between the cuts that were found."""
        return shots([(frame.index, frame.time_s, frame.cut) for frame in self.frames])

    @property
    def conditions(self) -> Conditions | None:
        """How the judged faces were seen; None without one."""
        faces = [face for frame in self.frames for face in frame.faces]
        if not faces:
            return None
        poses = [face.pose for face in faces if face.pose is not None]
        return Conditions(
            self.frames_with_face,
            float(np.median([face_size(face.box) for face in faces])),
            _median([face.sharpness for face in faces if face.sharpness is not None]),
            _median([abs(yaw) for yaw, _ in poses]),
            _median([abs(pitch) for _, pitch in poses]),
            self.bits_per_pixel,
        )

    @property
    def models(self) -> tuple[Model, ...]:
        """The result of each model by itself; empty without a score."""
        if self.score is None:
            return ()
        if len(self.judged_by) == 1:
            return tuple(Model(by.name, self.score, self.threshold, by.reliability) for by in self.judged_by)
        found = []
        for place, by in enumerate(self.judged_by):
            score = video_score(frame_score([face.scores[place] for face in frame.faces]) for frame in self.frames)
            assert score is not None
            found.append(Model(by.name, score, by.threshold, by.reliability))
        return tuple(found)

    @cached_property
    def finding(self) -> Finding | None:
        """How strong the evidence is, and what limits it; None without a score or if the models are not known."""
        if self.score is None or self.conditions is None or not self.judged_by:
            return None
        scores = [score for frame in self.frames if (score := frame.score) is not None]
        return conclude_finding(self.score, self.threshold, scores, self.tracks, self.conditions, self.models)

    def to_json(self) -> dict[str, Any]:
        """The fields described in `docs/findings.md` and `docs/records.md`: `input, score, verdict, threshold, finding, conditions, models,
        frames[{index, time_s, faces[{box, score, track}]}], tracks, shots, error, error_code, stream, warnings, sha256, bytes, modified,
        media, c2pa`. A frame with faces that are too small or could not be cut has `rejected[{box, reason}]`, too."""
        return {
            "input": self.input,
            "score": self.score,
            "verdict": self.verdict,
            "threshold": self.threshold,
            "finding": self.finding.to_json() if self.finding else None,
            "conditions": self.conditions.to_json() if self.conditions else None,
            "models": [model.to_json() for model in self.models],
            "frames": [
                {
                    "index": frame.index,
                    "time_s": round(frame.time_s, 4),
                    "faces": [_face(face) for face in frame.faces],
                    **_rejected(frame),
                }
                for frame in self.frames
            ],
            "tracks": [_track(track) for track in self.tracks],
            "shots": [_times(shot) for shot in self.shots],
            "error": self.error,
            "error_code": self.error_code,
            "stream": self.stream,
            "warnings": list(self.warnings),
            **self.exhibit.to_json(),
        }


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


def _times(part: Track | Shot | Segment) -> dict[str, Any]:
    """Its fields, times rounded."""
    return {name: round(value, 4) if name.endswith("_s") else value for name, value in vars(part).items()}


def _track(track: Track) -> dict[str, Any]:
    interval = None if track.interval is None else list(track.interval)
    return {**_times(track), "interval": interval, "segments": [_times(segment) for segment in track.segments]}


def _face(face: FaceScore) -> dict[str, Any]:
    value = {"box": [round(v, 2) for v in face.box], "score": face.score, "track": face.track}
    return {**value, "scores": list(face.scores)} if face.scores else value


def _rejected(frame: FrameScore) -> dict[str, Any]:
    faces = [{"box": [round(v, 2) for v in face.box], "reason": face.reason} for face in frame.rejected]
    return {"rejected": faces} if faces else {}


def extend_tracks(tracks: dict[int, TrackScore], frame: FrameScore) -> None:
    """Add a frame's faces to the tracks so far, by number."""
    for face in frame.faces:
        known = tracks.get(face.track)
        tracks[face.track] = (
            known.and_then(face.score, frame.time_s) if known else TrackScore(face.track, face.score, 1, frame.time_s, frame.time_s)
        )


def conclude(
    name: str, frames: Iterable[FrameScore], threshold: float, highlights: tuple[Highlight, ...] = (), error: str | None = None
) -> Judgement:
    """The judgement of an input whose frames are scored: the mean over those with a face (`fpg.runtime.scores`).

    Raises:
        InputError: not one frame.
    """
    frames = tuple(frames)
    if not frames:
        raise InputError(name, message("no_frame"), "no_frame")
    score = video_score(frame.score for frame in frames)
    if score is None:
        code, reason = _nothing_judged(frames)
        return Judgement(name, None, None, threshold, frames, reason, code)
    return Judgement(name, score, "fake" if score >= threshold else "real", threshold, frames, highlights=highlights)


def _nothing_judged(frames: tuple[FrameScore, ...]) -> tuple[str, str]:
    """Why no frame has a score: a code, and the reason; of faces that are too small the largest."""
    where = f"{len(frames)} frame{'s' * (len(frames) != 1)}"
    rejected = [face for frame in frames for face in frame.rejected]
    if not rejected:
        return NO_FACE, message("no_face", frames=where)
    other = next((face for face in rejected if face.code != FACE_TOO_SMALL), None)
    if other is not None:
        return FACE_REJECTED, message("face_rejected", frames=where, reason=other.reason)
    return FACE_TOO_SMALL, max(rejected, key=lambda face: face_size(face.box)).reason


def failure(path: str | os.PathLike[str], error: InputError, engine: Engine, threshold: float | None = None) -> Judgement:
    """The judgement of an input that cannot be judged: its reason, no score, no verdict."""
    name = printable(path)
    reason = error.reason if printable(error.path) == name else printable(str(error))
    return Judgement(
        name, None, None, effective_threshold(engine, threshold), error=reason, error_code=error.code, warnings=engine.spec.warnings
    )


def effective_threshold(engine: Engine, threshold: float | None) -> float:
    """The probability from which a verdict is `fake`: what was asked for, else the engine's own."""
    return engine.spec.threshold if threshold is None else float(threshold)


def printable(path: str | os.PathLike[str]) -> str:
    """A path as text that can be printed and written as UTF-8, whatever bytes its name has."""
    return os.fsencode(os.fspath(path)).decode("utf-8", "replace")


def describe_model(spec: EngineSpec, path: str | os.PathLike[str]) -> dict[str, Any]:
    """What judged: file, hash, backend, network and provenance, for JSON files and reports."""
    return {
        "file": printable(path),
        "sha256": spec.files.get(spec.model_file),
        "backend": spec.backend,
        "backbone": spec.detector.get("backbone"),
        "image_size": spec.image_size,
        "precision": spec.precision,
        "threshold": spec.threshold,
        "temperature": spec.temperature,
        "warnings": list(spec.warnings),
        "reliability": spec.reliability,
        "provenance": spec.provenance,
    }


def introduce(spec: EngineSpec, name: str | os.PathLike[str], threshold: float | None = None) -> list[str]:
    """What judges, in a line: name, network, threshold and the false positive rate that it was set for; then a line per warning.

    Args:
        spec: of the model.
        name: as it was asked for.
        threshold: given instead of the model's own.
    """
    own = f"{spec.threshold:.4g}, {spec.stated_rate or message('no_stated_rate')}"
    said = own if threshold is None else f"{threshold:.4g}, as given"
    backbone = spec.detector.get("backbone") or "unknown network"
    what = message("judged_by", name=printable(name), backbone=backbone, size=spec.image_size, threshold=said)
    return [what, *(f"warning: {text}" for text in spec.warnings)]


def describe_protocol(frames: int | None, every: int = 1, decode: str = "whole", crop: str = "evaluation") -> dict[str, Any]:
    """How a score came about, for JSON files and reports; `every` counts when `frames` is None, `decode` is named where not the default;
    `crop` is the rule of the model's sidecar."""
    sampling = _PROTOCOL["evenly_spaced"]
    if frames is None:
        sampling = _PROTOCOL["every_frame"] if every == 1 else filled(_PROTOCOL["every_nth_frame"], every=every)
    return {
        "unit": _PROTOCOL["unit"],
        "frames": frames if frames is not None else "all",
        "sampling": sampling,
        "crop": CROPS[crop],
        "aggregation": TEXT,
        "compression": _PROTOCOL["compression"],
    } | ({} if decode == "whole" else {"decode": decode})


FACES: str = _PROTOCOL["faces"]
"""How faces are found, for JSON files and reports."""


def describe_judging(
    frames: int | None, every: int = 1, decode: str = "whole", crop: str = "evaluation", *, min_face: float, models: int = 1
) -> dict[str, Any]:
    """`describe_protocol`, with how faces were found and how a finding comes about.

    Args:
        frames, every, decode, crop: see `describe_protocol`.
        min_face: smallest face that was judged, in pixels.
        models: how many detectors judged.
    """
    protocol = describe_protocol(frames, every, decode, crop) | {"faces": FACES, "min_face": min_face}
    return protocol | {name: TABLES[name]["text"] for name in ("segments", "intervals", "shots", *(["fusion"] if models > 1 else []))}
