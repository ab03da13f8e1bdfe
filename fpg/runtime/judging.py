"""The stages of one input, around the networks of the models that judge it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import TimeoutError
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from fpg.common.constants import message
from fpg.common.crops import FaceRejected, cut_face
from fpg.common.errors import FpgError, InputError
from fpg.common.spec import EngineSpec
from fpg.data.notes import Notes
from fpg.data.video import FrameCountError, decodable, probe
from fpg.engines.base import Engine
from fpg.faces.sizes import face_size, too_small
from fpg.faces.tracks import FaceTracker
from fpg.findings.finding import weight_of
from fpg.findings.fusion import fused
from fpg.findings.limits import sharpness_of
from fpg.findings.shots import CutFinder
from fpg.record.exhibit import CHANGED, Exhibit, changed_since, examine
from fpg.runtime.highlights import HighlightKeeper
from fpg.runtime.in_memory import MemoryReader, Source, opened
from fpg.runtime.inputs import Frames
from fpg.runtime.judgement import (
    FACE_TOO_SMALL,
    FaceScore,
    FrameScore,
    JudgedBy,
    Judgement,
    RejectedFace,
    conclude,
    failure,
    printable,
)
from fpg.runtime.options import Options
from fpg.runtime.scores import faces_that_count
from fpg.runtime.stages import Collector, EngineThread, PendingScore, StageTimes, abandonable, closing, prefetch

Box = tuple[float, float, float, float]


class _Face(Protocol):
    @property
    def box(self) -> np.ndarray: ...


Analyzer = Callable[[np.ndarray], Iterable[_Face]]
"""uint8 [H, W, 3] RGB to faces with a `box` (x0, y0, x1, y1) in pixels and, for models that want aligned crops, `landmarks` in dlib's
order, and if known a `pose`; `fpg.faces.FaceAnalyzer` is one."""
Pose = tuple[float, float]
"""Yaw and pitch in degrees."""
Engines = Engine | Sequence[Engine]
"""One detector, or several that judge together."""

AHEAD = 4
"""Decoded frames that may wait for the face detector."""


@dataclass(frozen=True)
class FrameFaces:
    """A frame ready to be judged: the boxes that count and, for each, the network's input float32 [3, S, S] in [0, 1]."""

    index: int
    time_s: float
    boxes: tuple[Box, ...] = ()
    inputs: tuple[np.ndarray, ...] = ()
    image: np.ndarray | None = None
    """uint8 [H, W, 3] RGB, where somebody wants to see it."""
    rejected: tuple[RejectedFace, ...] = ()
    """Faces that count and are too small, or cannot be cut by a model's crop rule."""
    others: tuple[tuple[np.ndarray, ...], ...] = ()
    """Inputs of further models that judge together with the first: per model, one per box."""
    poses: tuple[Pose | None, ...] = ()
    """Of each box where it is known; empty where no pose is."""
    cut: bool = False
    """Whether a cut lies before this frame."""


class Chosen(NamedTuple):
    """The faces of a frame that count."""

    boxes: tuple[Box, ...]
    inputs: tuple[np.ndarray, ...]
    """float32 [3, S, S] in [0, 1], one per box."""
    rejected: tuple[RejectedFace, ...]
    others: tuple[tuple[np.ndarray, ...], ...] = ()
    poses: tuple[Pose | None, ...] = ()


def choose_faces(image: np.ndarray, faces: Iterable[_Face], specs: EngineSpec | Sequence[EngineSpec], min_face: float = 0) -> Chosen:
    """The faces that count, cut as each model wants them. A face that one of them cannot judge, none does.

    Args:
        image: uint8 [H, W, 3] RGB.
        faces: every face in it, see `Analyzer`.
        specs: of the model, or of several: side of its input and crop rule.
        min_face: smallest face that is judged, in pixels.

    Raises:
        ValueError: a box that is not finite, empty or outside the image.
    """
    wanted = [specs] if isinstance(specs, EngineSpec) else specs
    found = list(faces)
    boxes = [np.asarray(face.box, np.float64) for face in found]
    kept: list[Box] = []
    inputs: list[list[np.ndarray]] = []
    poses: list[Pose | None] = []
    rejected: list[RejectedFace] = []
    for face, box, counts in zip(found, boxes, faces_that_count(np.array(boxes)), strict=True):
        if counts and face_size(box) < min_face:
            rejected.append(RejectedFace(_tuple(box), too_small(box, min_face), FACE_TOO_SMALL))
        elif counts:
            try:
                landmarks = getattr(face, "landmarks", None)
                inputs.append([cut_face(image, box, landmarks, spec.image_size, spec.crop) for spec in wanted])
                kept.append(_tuple(box))
                poses.append(_pose(face))
            except FaceRejected as error:
                rejected.append(RejectedFace(_tuple(box), str(error)))
    first, *others = [tuple(cuts[place] for cuts in inputs) for place in range(len(wanted))]
    return Chosen(tuple(kept), first, tuple(rejected), tuple(others), tuple(poses))


def _pose(face: _Face) -> Pose | None:
    pose = getattr(face, "pose", None)
    return None if pose is None else (float(pose[0]), float(pose[1]))


def _tuple(box: np.ndarray) -> Box:
    x0, y0, x1, y1 = (float(v) for v in box)
    return x0, y0, x1, y1


def _until(given_up: threading.Event, frames: Frames, path: str | os.PathLike[str]) -> Frames:
    """The frames, as long as somebody waits for what becomes of them."""
    with closing(frames):
        for frame in frames:
            if given_up.is_set():
                raise InputError(path, message("given_up"), "timeout")
            yield frame


class _Waiting(NamedTuple):
    """A frame whose faces the network has been given."""

    frame: FrameFaces
    tracks: list[int]
    measures: list[float | None]
    sharpness: list[float]
    asked: tuple[tuple[PendingScore, ...], ...]
    """Per model, one per face."""


class _Judged(NamedTuple):
    frame: FrameScore
    """With activation maps."""
    inputs: tuple[np.ndarray, ...]
    image: np.ndarray | None


@dataclass
class Judging:
    """The stages of one input, around networks that may be shared."""

    networks: tuple[EngineThread, ...]
    engines: tuple[Engine, ...]
    by: tuple[JudgedBy, ...]
    options: Options
    times: StageTimes
    cancelled: bool = False

    @staticmethod
    def on(
        engines: Engines, options: Options, *, joins: bool = False, times: StageTimes | None = None, names: Sequence[str | None] = ()
    ) -> Judging:
        """Around networks of its own, which `close` ends."""
        every = tuple(engines) if isinstance(engines, list | tuple) else (engines,)
        times = times or StageTimes()
        called = tuple(names) or (None,) * len(every)
        by = tuple(JudgedBy.of(engine.spec, name) for engine, name in zip(every, called, strict=True))
        networks = tuple(EngineThread(engine, options.batch, joins=joins, times=times) for engine in every)
        return Judging(networks, every, by, options, times)

    def __enter__(self) -> Judging:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the networks' threads."""
        for network in self.networks:
            network.close()

    @property
    def specs(self) -> list[EngineSpec]:
        """Of the models."""
        return [engine.spec for engine in self.engines]

    @property
    def weights(self) -> list[float]:
        """Of the models, in the fusion."""
        return [weight_of(by.reliability) for by in self.by]

    @property
    def threshold(self) -> float:
        """From which a verdict is fake: what was asked for, else the models' own, fused."""
        if self.options.threshold is not None:
            return float(self.options.threshold)
        return fused([by.threshold for by in self.by], self.weights)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of all models, each once."""
        return tuple(dict.fromkeys(text for spec in self.specs for text in spec.warnings))

    def judge(self, source: Source, finder: Callable[[], AbstractContextManager[Analyzer]]) -> Judgement:
        """Judge one input; given up after `Options.timeout`. What was given up keeps its face finder."""
        with opened(source, self.options.every) as (path, name, reader):
            result = self._in_time(path, finder, reader)
            return result if name is None else replace(result, input=name)

    def _in_time(
        self, path: str | os.PathLike[str], finder: Callable[[], AbstractContextManager[Analyzer]], reader: MemoryReader | None
    ) -> Judgement:
        given_up = threading.Event()
        exhibit = Exhibit()

        def work() -> Judgement:
            nonlocal exhibit
            if self.options.reader is None and reader is None:  # frames that come from elsewhere are not what the file holds
                exhibit = examine(path, self.options.anchors)
            with finder() as analyzer:
                result = replace(self._judge(path, analyzer, given_up, reader), exhibit=exhibit)
            return replace(result, warnings=(*result.warnings, CHANGED)) if changed_since(path, exhibit) else result

        if self.options.timeout is None:
            return work()
        try:
            return abandonable(work, self.options.timeout, given_up)
        except TimeoutError:
            error = InputError(path, message("timeout", seconds=f"{self.options.timeout:g}"), "timeout")
            return replace(self.failed(path, error), exhibit=exhibit)
        finally:
            given_up.set()

    def _judge(self, path: str | os.PathLike[str], analyzer: Analyzer, given_up: threading.Event, reader: MemoryReader | None) -> Judgement:
        notes, shown = Notes(), self.options.shown

        def attempt(total: int | None = None) -> Judgement:
            count, frames = reader(self.options.frames, notes) if reader else self.options.open(path, total, notes)
            return self.conclude(path, count, self.analysed(path, _until(given_up, frames, path), analyzer, shown.keep if shown else None))

        try:
            try:
                result = attempt()
            except FrameCountError as error:  # the codec hides frames: spread the wanted ones over those that decode
                result = attempt(decodable(path, error, probe(path).frames))
        except InputError as error:
            result = self.failed(path, error)
        except FpgError:
            raise
        except Exception as error:  # whatever a decoder or a model throws at one input must not cost the others their scores
            result = self.failed(path, InputError(path, f"unexpected {type(error).__name__}: {error}", "internal"))
        return replace(result, stream=notes.stream, warnings=(*result.warnings, *notes.warnings), bits_per_pixel=notes.bits_per_pixel)

    def failed(self, path: str | os.PathLike[str], error: InputError) -> Judgement:
        """The judgement of an input that could not be judged."""
        return replace(failure(path, error, self.engines[0], self.threshold), warnings=self.warnings)

    def conclude(self, path: str | os.PathLike[str], count: int, items: Iterator[FrameFaces]) -> Judgement:
        """Score frames whose faces are known, and judge; `count` frames are expected."""
        keeper = HighlightKeeper(self.options.highlights, count)
        frames: list[FrameScore] = []
        maps = self.options.maps and self.specs[0].crop == "evaluation"
        with contextlib.closing(self.scored(path, items)) as judged:
            for position, (frame, inputs, picture) in enumerate(judged):
                if self.options.shown is not None:
                    if position == 0:  # the reading begins, or begins anew, as a codec hides frames
                        self.options.shown.begin(path, count)
                    self.options.shown.add(path, frame, inputs, picture)
                for face, image in zip(frame.faces, inputs, strict=True):
                    keeper.offer(position, frame, image, face)
                frames.append(frame if maps else frame.without_maps())
                if self.options.seen is not None:
                    self.options.seen(path, position + 1, count)
        judgement = conclude(printable(path), frames, self.threshold, keeper.best())
        return replace(judgement, warnings=self.warnings, judged_by=self.by, portraits=keeper.portraits())

    def analysed(
        self,
        path: str | os.PathLike[str],
        frames: Frames,
        analyzer: Analyzer,
        keep: Callable[[np.ndarray], np.ndarray | None] | None = None,
    ) -> Iterator[FrameFaces]:
        """Faces and crops of frames that a thread decodes; `keep` says what is kept of a frame to look at, None nothing."""
        cut = CutFinder()
        with closing(prefetch(self.times.timed("decode", frames), AHEAD)) as decoded:
            for index, time_s, image in decoded:
                try:
                    with self.times.lap("faces"):
                        faces = list(analyzer(image))
                    with self.times.lap("crop"):
                        chosen = choose_faces(image, faces, self.specs, self.options.min_face)
                except ValueError as error:
                    raise InputError(path, f"frame {index}: {error}", "internal") from error
                except FpgError:
                    raise
                except Exception as error:  # whatever a face model throws at one input must not end the others
                    raise InputError(path, f"frame {index}: unexpected {type(error).__name__}: {error}", "internal") from error
                boxes, inputs, rejected, others, poses = chosen
                yield FrameFaces(index, float(time_s), boxes, inputs, keep(image) if keep else None, rejected, others, poses, cut(image))

    def scored(
        self, path: str | os.PathLike[str], items: Iterator[FrameFaces], patience_s: float | None = None
    ) -> Generator[_Judged, None, None]:
        """Frames in order with the network's answers; `items` runs in a thread, as far ahead as two batches of frames with a face."""
        window = 2 * max(network.size for network in self.networks)
        with closing(prefetch(self._asked(items, window), window)) as waiting:
            for item in waiting:
                if self.cancelled:
                    raise InputError(path, message("cancelled"), "cancelled")
                frame = item.frame
                faces = tuple(self._face(path, item, at, patience_s) for at in range(len(frame.boxes)))
                yield _Judged(FrameScore(frame.index, frame.time_s, faces, frame.rejected, frame.cut), frame.inputs, frame.image)

    def _face(self, path: str | os.PathLike[str], item: _Waiting, at: int, patience_s: float | None) -> FaceScore:
        """A face with the networks' answers; its map is the first model's."""
        answers = [asked[at].answer(patience_s) for asked in item.asked]
        scores = tuple(answer.score for answer in answers)
        if not np.isfinite(scores).all():
            raise InputError(path, message("model"), "model")
        return FaceScore(
            item.frame.boxes[at],
            fused(scores, self.weights),
            item.measures[at],
            item.tracks[at],
            answers[0].activation_map,
            scores if len(scores) > 1 else (),
            item.sharpness[at],
            item.frame.poses[at] if item.frame.poses else None,
        )

    def _asked(self, items: Iterator[FrameFaces], window: int) -> Iterator[_Waiting]:
        collectors, tracker = [Collector(network, window) for network in self.networks], FaceTracker()
        measure = self.options.measure
        with closing(items):
            try:
                for item in items:
                    inputs = (item.inputs, *item.others)
                    asked = tuple(collector.frame(faces) for collector, faces in zip(collectors, inputs, strict=True))
                    tracks = tracker([np.array(box) for box in item.boxes], cut=item.cut)
                    measures = [None if measure is None else float(measure(x)) for x in item.inputs]
                    yield _Waiting(item, tracks, measures, [sharpness_of(x) for x in item.inputs], asked)
            except Exception:
                for collector in collectors:
                    collector.flush()  # the frames before have their scores
                raise
        for collector in collectors:
            collector.flush()
