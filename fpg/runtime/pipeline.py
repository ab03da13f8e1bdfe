"""From one input (video, image, folder of frames) to a judgement: decode forward once, detect, crop, batch across frames, score.

No torch here. An input that cannot be judged has an `error` and no score: nothing that failed ever gets a number.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fpg.common.crops import face_input
from fpg.common.errors import FpgError, InputError
from fpg.common.spec import EngineSpec
from fpg.data.images import check_file
from fpg.data.sources import frame_files, frame_time
from fpg.data.video import IMAGE_SUFFIXES, FrameCountError, decodable, probe, read_frames, read_image, sample_indices
from fpg.engines.base import Engine, fake_probability
from fpg.runtime.scores import TEXT, faces_that_count, frame_score, video_score


class _Face(Protocol):
    @property
    def box(self) -> np.ndarray: ...


Measure = Callable[[np.ndarray], float]
"""float32 [3, S, S] in [0, 1], the network's input of one face, to a number kept with its score."""
Reader = Callable[[str | os.PathLike[str], int | None, int | None], tuple[int, Iterator[tuple[int, float, np.ndarray]]]]
"""Path, frames wanted, frames known to decode (None: not known) to what `open_frames` gives, with its errors."""
Analyzer = Callable[[np.ndarray], Iterable[_Face]]
"""uint8 [H, W, 3] RGB to faces with a `box` (x0, y0, x1, y1) in pixels; `fpg.faces.FaceAnalyzer` is one."""


@dataclass(frozen=True)
class FaceScore:
    """One judged face: box (x0, y0, x1, y1) in pixels of the frame, probability of fake in [0, 1]."""

    box: tuple[float, float, float, float]
    score: float
    measure: float | None = None
    """What `judge`'s `measure` said of the network's input; not part of `to_json`."""


@dataclass(frozen=True)
class FrameScore:
    """One frame: 0-based index, time in seconds, the faces that count (empty without a face)."""

    index: int
    time_s: float
    faces: tuple[FaceScore, ...] = ()

    @property
    def score(self) -> float | None:
        """Maximum over the faces, None without one."""
        return frame_score([face.score for face in self.faces])


@dataclass(frozen=True)
class Highlight:
    """A face kept for the report: what the network saw and where it found evidence."""

    index: int
    time_s: float
    score: float
    image: np.ndarray
    """uint8 [S, S, 3] RGB, the network's input."""
    activation_map: np.ndarray
    """float32 [h, w], class activation: positive where it speaks for fake."""


@dataclass(frozen=True)
class Judgement:
    """What became of one input. Exactly one of `score` and `error` is None."""

    input: str
    score: float | None
    verdict: str | None
    """`real` or `fake`: `fake` when the score reaches the threshold; None without a score."""
    threshold: float
    frames: tuple[FrameScore, ...] = ()
    error: str | None = None
    no_face: bool = False
    """The input could be read, and no frame had a face."""
    highlights: tuple[Highlight, ...] = field(default=(), repr=False, compare=False)

    @property
    def frames_with_face(self) -> int:
        """Number of frames with at least one face."""
        return sum(bool(frame.faces) for frame in self.frames)

    def to_json(self) -> dict[str, Any]:
        """`input, score, verdict, threshold, frames[{index, time_s, faces[{box, score}]}], error`."""
        return {
            "input": self.input,
            "score": self.score,
            "verdict": self.verdict,
            "threshold": self.threshold,
            "frames": [
                {
                    "index": frame.index,
                    "time_s": round(frame.time_s, 4),
                    "faces": [{"box": [round(v, 2) for v in face.box], "score": face.score} for face in frame.faces],
                }
                for frame in self.frames
            ],
            "error": self.error,
        }


@dataclass(frozen=True)
class FrameFaces:
    """A frame ready to be judged: the boxes that count and, for each, the network's input float32 [3, S, S] in [0, 1]."""

    index: int
    time_s: float
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    inputs: tuple[np.ndarray, ...] = ()


def printable(path: str | os.PathLike[str]) -> str:
    """A path as text that can be printed and written as UTF-8, whatever bytes its name has."""
    return os.fsencode(os.fspath(path)).decode("utf-8", "replace")


def choose_faces(image: np.ndarray, boxes: Iterable[np.ndarray], size: int) -> tuple[tuple[Any, ...], tuple[np.ndarray, ...]]:
    """The boxes that count and their evaluation crops.

    Args:
        image: uint8 [H, W, 3] RGB.
        boxes: of every face in it, (x0, y0, x1, y1) in pixels.
        size: S, the network's side.

    Returns:
        boxes as tuples, inputs float32 [3, S, S] in [0, 1].

    Raises:
        ValueError: a box that is not finite, empty or outside the image.
    """
    found = [np.asarray(box, np.float64) for box in boxes]
    kept = [box for box, counts in zip(found, faces_that_count(np.array(found)), strict=True) if counts]
    return tuple(tuple(float(v) for v in box) for box in kept), tuple(face_input(image, box, size) for box in kept)


def judge(
    path: str | os.PathLike[str],
    engine: Engine,
    analyzer: Analyzer,
    *,
    frames: int | None = 32,
    batch: int = 16,
    threshold: float | None = None,
    highlights: int = 6,
    measure: Measure | None = None,
    reader: Reader | None = None,
) -> Judgement:
    """Judge one video, image or folder of frames.

    Args:
        path: the input.
        engine: the detector.
        analyzer: finds faces.
        frames: looked at, evenly spaced; None for all.
        batch: faces per call of the engine.
        threshold: probability from which the verdict is `fake`; default the engine's.
        highlights: suspicious faces to keep for a report.
        measure: called with every input of the network, see `FaceScore.measure`.
        reader: gives the frames; default `open_frames`.

    Returns:
        A judgement; an input that cannot be read or has no face carries `error` and no score.

    Raises:
        MissingDependencyError: a part that judging needs is not installed.
    """

    options: dict[str, Any] = {"batch": batch, "threshold": threshold, "highlights": highlights, "measure": measure}

    def attempt(total: int | None = None) -> Judgement:
        count, images = (reader or open_frames)(path, frames, total)
        return judge_frames(path, count, _analysed(path, images, analyzer, engine.spec.image_size), engine, **options)

    try:
        try:
            return attempt()
        except FrameCountError as error:  # the codec hides frames: spread the wanted ones over those that decode
            return attempt(decodable(path, error, probe(path).frames))
    except InputError as error:
        return failure(path, error, engine, threshold)
    except FpgError:
        raise
    except Exception as error:  # whatever a decoder or a model throws at one input must not cost the others their scores
        return failure(path, InputError(path, f"unexpected {type(error).__name__}: {error}"), engine, threshold)


def judge_many(paths: Iterable[str | os.PathLike[str]], engine: Engine, analyzer: Analyzer, **options: Any) -> Iterator[Judgement]:
    """`judge` each input in turn, going on after failures; `options` as there."""
    for path in paths:
        yield judge(path, engine, analyzer, **options)


def judge_frames(
    path: str | os.PathLike[str],
    count: int,
    items: Iterable[FrameFaces],
    engine: Engine,
    *,
    batch: int = 16,
    threshold: float | None = None,
    highlights: int = 6,
    measure: Measure | None = None,
) -> Judgement:
    """Judge frames whose faces are known: the part that prepared data and fresh inputs share.

    Args:
        path: names the input.
        count: frames to expect; spreads the highlights.
        items: the frames, in order of time.
        engine, batch, threshold, highlights, measure: as in `judge`.

    Raises:
        InputError: from `items`, without any frame, or when the model's answer is not finite.
    """
    name, limit = printable(path), _limit(engine, threshold)
    scorer = _Scorer(name, engine, batch, _Keeper(highlights, count), measure)
    for position, item in enumerate(items):
        scorer.add(position, item)
    frames = scorer.finish()
    score = video_score(frame.score for frame in frames)
    if score is None:
        return Judgement(name, None, None, limit, frames, f"no face found in {len(frames)} frame{'s' * (len(frames) != 1)}", no_face=True)
    return Judgement(name, score, "fake" if score >= limit else "real", limit, frames, highlights=scorer.keeper.best())


def failure(path: str | os.PathLike[str], error: InputError, engine: Engine, threshold: float | None = None) -> Judgement:
    """The judgement of an input that cannot be judged: its reason, no score, no verdict."""
    name = printable(path)
    reason = error.reason if printable(error.path) == name else printable(str(error))
    return Judgement(name, None, None, _limit(engine, threshold), error=reason)


def _limit(engine: Engine, threshold: float | None) -> float:
    return engine.spec.threshold if threshold is None else float(threshold)


def open_frames(
    path: str | os.PathLike[str], frames: int | None, total: int | None = None
) -> tuple[int, Iterator[tuple[int, float, np.ndarray]]]:
    """Number of frames to look at, and an iterator of (index, time in seconds, uint8 [H, W, 3] RGB) that decodes forward once.

    Args:
        path: video, image or folder of frames (sorted by name, numbers by value).
        frames: how many, evenly spaced; None for all.
        total: frames of a video when known better than by its packets.

    Raises:
        InputError: not there, not a video or image, or without frames; the iterator raises it where decoding fails.
    """
    path = Path(path)
    if os.path.isdir(path):
        names = frame_files(path)
        if not names:
            raise InputError(path, "the folder holds no images")
        wanted = _wanted(len(names), frames)
        return len(wanted), ((i, frame_time(i), read_image(names[i])) for i in wanted)
    check_file(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return 1, ((0, 0.0, read_image(path)) for _ in range(1))
    wanted = _wanted(probe(path).frames if total is None else total, frames)
    return len(wanted), iter(read_frames(path, wanted))


def _wanted(available: int, frames: int | None) -> list[int]:
    return list(range(available)) if frames is None else sample_indices(available, frames)


def _analysed(
    path: str | os.PathLike[str], images: Iterator[tuple[int, float, np.ndarray]], analyzer: Analyzer, size: int
) -> Iterator[FrameFaces]:
    for index, time_s, image in images:
        try:
            boxes, inputs = choose_faces(image, (face.box for face in analyzer(image)), size)
        except ValueError as error:
            raise InputError(path, f"frame {index}: {error}") from error
        except FpgError:
            raise
        except Exception as error:  # whatever a face model throws at one input must not end the others
            raise InputError(path, f"frame {index}: unexpected {type(error).__name__}: {error}") from error
        yield FrameFaces(index, float(time_s), boxes, inputs)


class _Keeper:
    """The most suspicious face of each stretch of the input, so that the report does not show one moment six times."""

    def __init__(self, number: int, frames: int) -> None:
        self._number = number
        self._stretch = max(1, math.ceil(frames / max(1, 2 * number)))
        self._kept: dict[int, Highlight] = {}

    def offer(self, position: int, item: FrameFaces, score: float, image: np.ndarray, activation_map: np.ndarray) -> None:
        key = position // self._stretch
        if self._number and (key not in self._kept or score > self._kept[key].score):
            pixels = np.ascontiguousarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))
            self._kept[key] = Highlight(item.index, item.time_s, score, pixels, np.array(activation_map, np.float32))

    def best(self) -> tuple[Highlight, ...]:
        return tuple(sorted(self._kept.values(), key=lambda h: -h.score)[: self._number])


class _Scorer:
    """Collects faces across frames into batches for the engine and hands the scores back to their frames."""

    def __init__(self, name: str, engine: Engine, batch: int, keeper: _Keeper, measure: Measure | None = None) -> None:
        self.keeper = keeper
        self._measure = measure
        self._name, self._engine = name, engine
        largest = engine.spec.batch[2] if engine.spec.batch else batch
        self._batch = max(1, min(batch, largest))
        self._frames: list[FrameFaces] = []
        self._scores: list[list[tuple[float, float | None]]] = []
        self._pending: list[tuple[int, np.ndarray]] = []

    def add(self, position: int, item: FrameFaces) -> None:
        self._frames.append(FrameFaces(item.index, item.time_s, item.boxes))
        self._scores.append([])
        self._pending += [(position, image) for image in item.inputs]
        while len(self._pending) >= self._batch:
            self._flush()

    def finish(self) -> tuple[FrameScore, ...]:
        while self._pending:
            self._flush()
        if not self._frames:
            raise InputError(self._name, "no frame could be decoded")
        return tuple(
            FrameScore(item.index, item.time_s, tuple(FaceScore(b, *s) for b, s in zip(item.boxes, scores, strict=True)))
            for item, scores in zip(self._frames, self._scores, strict=True)
        )

    def _flush(self) -> None:
        now, self._pending = self._pending[: self._batch], self._pending[self._batch :]
        images = np.stack([image for _, image in now])
        smallest = self._engine.spec.batch[0] if self._engine.spec.batch else 1
        padded = np.concatenate([images, np.repeat(images[-1:], smallest - len(now), axis=0)]) if len(now) < smallest else images
        output = self._engine(padded)
        scores = fake_probability(output.logits, self._engine.spec.temperature)[: len(now)]
        if not np.isfinite(scores).all():
            raise InputError(self._name, "the model's answer is not finite")
        for (position, image), score, activation_map in zip(now, scores.tolist(), output.activation_map, strict=False):
            self._scores[position].append((float(score), None if self._measure is None else float(self._measure(image))))
            self.keeper.offer(position, self._frames[position], float(score), image, activation_map)


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
        "provenance": spec.provenance,
    }


def describe_protocol(frames: int | None) -> dict[str, Any]:
    """How a score came about, for JSON files and reports."""
    return {
        "unit": "video",
        "frames": frames if frames is not None else "all",
        "sampling": "evenly spaced, linspace(0, n - 1, frames) truncated" if frames is not None else "every frame",
        "crop": "face box with margins of 1/8 of its width and height on each side",
        "aggregation": TEXT,
        "compression": "unknown",
    }
