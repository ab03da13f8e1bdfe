"""From inputs to judgements: decoding -> faces, tracks and crops -> network -> scores, all at the same time.

Each input has a thread that decodes and one that finds and crops faces; the network has one that all inputs share. No torch here.
An input that cannot be judged has an `error` and no score: nothing that failed ever gets a number.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, TimeoutError, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from fpg.common.crops import FaceRejected, cut_face
from fpg.common.errors import FpgError, InputError
from fpg.common.spec import EngineSpec
from fpg.data.notes import Notes
from fpg.data.video import FrameCountError, decodable, probe
from fpg.engines import load_engine
from fpg.engines.base import Engine
from fpg.engines.resolve import resolve
from fpg.faces import default_analyzer
from fpg.faces.sizes import face_size, too_small
from fpg.faces.tracks import Tracker
from fpg.record.exhibit import Exhibit, examine
from fpg.runtime.in_memory import MemoryReader, Source, opened
from fpg.runtime.inputs import Frames, open_frames
from fpg.runtime.judgement import (
    FACE_TOO_SMALL,
    FaceScore,
    FrameScore,
    HighlightKeeper,
    Judgement,
    RejectedFace,
    TrackScore,
    conclude,
    extend_tracks,
    failure,
    limit,
    printable,
)
from fpg.runtime.options import OptionFields, Options
from fpg.runtime.scores import faces_that_count
from fpg.runtime.stages import Asked, Collector, Network, StageTimes, abandonable, closing, prefetch

if TYPE_CHECKING:
    from typing_extensions import Unpack

Box = tuple[float, float, float, float]


class _Face(Protocol):
    @property
    def box(self) -> np.ndarray: ...


Analyzer = Callable[[np.ndarray], Iterable[_Face]]
"""uint8 [H, W, 3] RGB to faces with a `box` (x0, y0, x1, y1) in pixels and, for models that want aligned crops, `landmarks` in dlib's
order; `fpg.faces.FaceAnalyzer` is one."""

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
    """Faces that count and are too small, or cannot be cut by the model's crop rule."""


class StreamFrame(NamedTuple):
    """A judged frame of `VideoDetector.stream`, and how things stand after it."""

    frame: FrameScore
    score: float | None
    """Of the video so far; None before the first face."""
    tracks: dict[int, TrackScore]
    """So far, those of the faces in this frame."""
    image: np.ndarray | None
    """uint8 [H, W, 3] RGB; None unless asked for."""


class Chosen(NamedTuple):
    """The faces of a frame that count."""

    boxes: tuple[Box, ...]
    inputs: tuple[np.ndarray, ...]
    """float32 [3, S, S] in [0, 1], one per box."""
    rejected: tuple[RejectedFace, ...]


def choose_faces(image: np.ndarray, faces: Iterable[_Face], spec: EngineSpec, min_face: float = 0) -> Chosen:
    """The faces that count, cut as a model wants them.

    Args:
        image: uint8 [H, W, 3] RGB.
        faces: every face in it, see `Analyzer`.
        spec: of the model: side of its input and crop rule.
        min_face: smallest face that is judged, in pixels.

    Raises:
        ValueError: a box that is not finite, empty or outside the image.
    """
    found = list(faces)
    boxes = [np.asarray(face.box, np.float64) for face in found]
    kept: list[Box] = []
    inputs: list[np.ndarray] = []
    rejected: list[RejectedFace] = []
    for face, box, counts in zip(found, boxes, faces_that_count(np.array(boxes)), strict=True):
        if counts and face_size(box) < min_face:
            rejected.append(RejectedFace(_tuple(box), too_small(box, min_face), FACE_TOO_SMALL))
        elif counts:
            try:
                inputs.append(cut_face(image, box, getattr(face, "landmarks", None), spec.image_size, spec.crop))
                kept.append(_tuple(box))
            except FaceRejected as error:
                rejected.append(RejectedFace(_tuple(box), str(error)))
    return Chosen(tuple(kept), tuple(inputs), tuple(rejected))


def _tuple(box: np.ndarray) -> Box:
    x0, y0, x1, y1 = (float(v) for v in box)
    return x0, y0, x1, y1


def judge(source: Source, engine: Engine, analyzer: Analyzer, **options: Unpack[OptionFields]) -> Judgement:
    """Judge one video, picture or folder of frames, or what of them is in memory.

    Args:
        source: see `fpg.runtime.in_memory.Source`; an array or a lossless file of the same pixels get the same judgement.
        engine: the detector.
        analyzer: finds faces.
        options: of `Options`.

    Returns:
        A judgement; an input that cannot be read or has no face carries `error` and no score.

    Raises:
        MissingDependencyError: a part that judging needs is not installed.
        TypeError, ValueError: `source` is none of its kinds.
    """
    chosen = Options(**options)
    with Network(engine, chosen.batch) as network:
        return _Judging(engine, network, chosen, StageTimes()).judge(source, lambda: contextlib.nullcontext(analyzer))


def judge_many(sources: Iterable[Source], engine: Engine, analyzer: Analyzer, **options: Unpack[OptionFields]) -> Iterator[Judgement]:
    """`judge` each input in turn, going on after failures; `options` as there."""
    with VideoDetector(engine, lambda: analyzer, **options) as detector:
        yield from detector.judge_many(sources)


def judge_frames(
    path: str | os.PathLike[str], count: int, items: Iterable[FrameFaces], engine: Engine, **options: Unpack[OptionFields]
) -> Judgement:
    """Judge frames whose faces are known: the part that prepared data and fresh inputs share.

    Args:
        path: names the input.
        count: frames to expect; spreads the highlights.
        items: the frames, in order of time.
        engine: the detector.
        options: of `Options`; those about reading mean nothing here.

    Raises:
        InputError: from `items`, without any frame, or when the model's answer is not finite.
    """
    chosen = Options(**options)
    with Network(engine, chosen.batch) as network:
        return _Judging(engine, network, chosen, StageTimes()).conclude(path, count, iter(items))


class VideoDetector:
    """Judges videos as they come: a model, the stages around it, and how they are set.

    Use it as a context manager, or call `close`.

    Args:
        model: a loaded engine, or what `fpg.engines.resolve.resolve` takes: name, file, folder, `hf:OWNER/NAME`; None is the starter.
        analyzer: makes a face finder; called once per input that is judged at the same time.
        jobs: inputs judged at the same time. With more than one, faces of several inputs share a call of the engine, and scores may
            differ in their last digits from run to run.
        device, threads: of the engine, where `model` is not one already (`fpg.engines.load_engine`).
        options: of `Options`.

    Raises:
        InputError, UsageError, MissingDependencyError: the model cannot be used.
    """

    def __init__(
        self,
        model: Engine | str | os.PathLike[str] | None = None,
        analyzer: Callable[[], Analyzer] = default_analyzer,
        *,
        jobs: int = 1,
        device: str = "auto",
        threads: int | None = None,
        **options: Unpack[OptionFields],
    ) -> None:
        if model is None or isinstance(model, str | os.PathLike):
            model = load_engine(resolve(model, device=device).path, device=device, threads=threads)
        self.engine: Engine = model
        self.options = Options(**options)
        self.times = StageTimes()
        self._analyzer, self._jobs = analyzer, jobs
        self._idle: SimpleQueue[Analyzer] = SimpleQueue()
        self._network = Network(self.engine, self.options.batch, joins=jobs > 1, times=self.times)
        self._judging = _Judging(self.engine, self._network, self.options, self.times)

    def __enter__(self) -> VideoDetector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the network's thread."""
        self._network.close()

    def cancel(self) -> None:
        """From another thread: what is being judged ends soon, as a failure, and nothing more is judged."""
        self._judging.cancelled = True

    def judge(self, source: Source) -> Judgement:
        """As `judge`: a path, the bytes of a file, an array, a picture of Pillow, or frames."""
        return self._judging.judge(source, self._finder)

    def judge_many(self, sources: Iterable[Source]) -> Iterator[Judgement]:
        """Judge inputs, `jobs` at the same time; judgements come in the order of the inputs."""
        if self._jobs == 1:
            yield from map(self.judge, sources)
            return
        waiting: deque[Future[Judgement]] = deque()
        with ThreadPoolExecutor(self._jobs) as pool:
            try:
                for source in sources:
                    waiting.append(pool.submit(self.judge, source))
                    if len(waiting) == 2 * self._jobs:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # Ctrl-C, or nobody wants the rest
                if waiting:
                    self.cancel()
                pool.shutdown(cancel_futures=True)

    def judge_each(self, paths: Iterable[str | os.PathLike[str] | None]) -> Iterator[tuple[int, Judgement]]:
        """As `judge_many`, in the order in which they end: (place of the input, judgement).

        Args:
            paths: inputs; None among them says that there is none for now, and counts for no place.
        """
        waiting: dict[Future[Judgement], int] = {}
        pool = ThreadPoolExecutor(self._jobs)
        try:
            place = 0
            for path in paths:
                if path is not None:
                    waiting[pool.submit(self.judge, path)] = place
                    place += 1
                while waiting:
                    full = len(waiting) >= 2 * self._jobs if self._jobs > 1 else True
                    done, _ = wait(waiting, None if full else 0, FIRST_COMPLETED)
                    yield from ((waiting.pop(judged), judged.result()) for judged in done)
                    if not done:
                        break
            while waiting:
                done, _ = wait(waiting, None, FIRST_COMPLETED)
                yield from ((waiting.pop(judged), judged.result()) for judged in done)
        finally:  # Ctrl-C, or nobody wants the rest
            if waiting:
                self.cancel()
            pool.shutdown(cancel_futures=True)

    def stream(
        self, source: str | os.PathLike[str], *, every: int = 1, images: bool = False, latency_s: float | None = 0.2
    ) -> Iterator[StreamFrame]:
        """Judge a video or live stream frame by frame, in order, with bounded memory; end early by closing the generator.

        Args:
            source: a file, folder of frames, or URL (the caller asked for it by giving it).
            every: look at every N-th frame.
            images: give the decoded frames, too.
            latency_s: how long a frame may wait for others to fill its batch; None waits, for the highest throughput.

        Raises:
            InputError: where reading or judging fails; frames before it have been given.
        """
        tracks: dict[int, TrackScore] = {}
        total, seen = 0.0, 0
        _, frames = open_frames(source, None, every=every, urls=True)
        with self._finder() as analyzer:
            items = self._judging.analysed(source, frames, analyzer, images=images)
            with contextlib.closing(self._judging.scored(source, items, latency_s)) as judged:
                for frame, _, image in judged:
                    extend_tracks(tracks, frame)
                    if frame.score is not None:
                        total, seen = total + frame.score, seen + 1
                    now = {face.track: tracks[face.track] for face in frame.faces}
                    yield StreamFrame(frame, total / seen if seen else None, now, image)

    @contextlib.contextmanager
    def _finder(self) -> Iterator[Analyzer]:
        """A face finder that nobody else uses meanwhile."""
        analyzer = self._analyzer() if self._idle.empty() else self._idle.get()
        yield analyzer
        self._idle.put(analyzer)


def _until(given_up: threading.Event, frames: Frames, path: str | os.PathLike[str]) -> Frames:
    """The frames, as long as somebody waits for what becomes of them."""
    with closing(frames):
        for frame in frames:
            if given_up.is_set():
                raise InputError(path, "was given up", "timeout")
            yield frame


class _Waiting(NamedTuple):
    """A frame whose faces the network has been given."""

    frame: FrameFaces
    tracks: list[int]
    measures: list[float | None]
    asked: tuple[Asked, ...]


class _Judged(NamedTuple):
    frame: FrameScore
    """With activation maps."""
    inputs: tuple[np.ndarray, ...]
    image: np.ndarray | None


@dataclass
class _Judging:
    """The stages of one input, around a network that may be shared."""

    engine: Engine
    network: Network
    options: Options
    times: StageTimes
    cancelled: bool = False

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
                return replace(self._judge(path, analyzer, given_up, reader), exhibit=exhibit)

        if self.options.timeout is None:
            return work()
        try:
            return abandonable(work, self.options.timeout, given_up)
        except TimeoutError:
            error = InputError(path, f"was given up after {self.options.timeout:g} s (--timeout)", "timeout")
            return replace(self._failure(path, error), exhibit=exhibit)
        finally:
            given_up.set()

    def _judge(self, path: str | os.PathLike[str], analyzer: Analyzer, given_up: threading.Event, reader: MemoryReader | None) -> Judgement:
        notes, shown = Notes(), self.options.shown

        def attempt(total: int | None = None) -> Judgement:
            count, frames = reader(self.options.frames, notes) if reader else self.options.open(path, total, notes)
            return self.conclude(path, count, self.analysed(path, _until(given_up, frames, path), analyzer, images=shown is not None))

        try:
            try:
                result = attempt()
            except FrameCountError as error:  # the codec hides frames: spread the wanted ones over those that decode
                result = attempt(decodable(path, error, probe(path).frames))
        except InputError as error:
            result = self._failure(path, error)
        except FpgError:
            raise
        except Exception as error:  # whatever a decoder or a model throws at one input must not cost the others their scores
            result = self._failure(path, InputError(path, f"unexpected {type(error).__name__}: {error}", "internal"))
        return replace(result, stream=notes.stream, warnings=(*result.warnings, *notes.warnings))

    def _failure(self, path: str | os.PathLike[str], error: InputError) -> Judgement:
        return failure(path, error, self.engine, self.options.threshold)

    def conclude(self, path: str | os.PathLike[str], count: int, items: Iterator[FrameFaces]) -> Judgement:
        """Score frames whose faces are known, and judge; `count` frames are expected."""
        keeper = HighlightKeeper(self.options.highlights, count)
        frames: list[FrameScore] = []
        maps = self.options.maps and self.engine.spec.crop == "evaluation"
        with contextlib.closing(self.scored(path, items)) as judged:
            for position, (frame, inputs, picture) in enumerate(judged):
                if self.options.shown is not None and picture is not None:
                    if position == 0:  # the reading begins, or begins anew, as a codec hides frames
                        self.options.shown.begin(path)
                    self.options.shown.add(path, frame, inputs, picture)
                for face, image in zip(frame.faces, inputs, strict=True):
                    keeper.offer(position, frame, image, face)
                frames.append(frame if maps else frame.without_maps())
                if self.options.seen is not None:
                    self.options.seen(path, position + 1, count)
        judgement = conclude(printable(path), frames, limit(self.engine, self.options.threshold), keeper.best())
        return replace(judgement, warnings=self.engine.spec.warnings)

    def analysed(self, path: str | os.PathLike[str], frames: Frames, analyzer: Analyzer, images: bool = False) -> Iterator[FrameFaces]:
        """Faces and crops of frames that a thread decodes."""
        with closing(prefetch(self.times.timed("decode", frames), AHEAD)) as decoded:
            for index, time_s, image in decoded:
                try:
                    with self.times.lap("faces"):
                        faces = list(analyzer(image))
                    with self.times.lap("crop"):
                        boxes, inputs, rejected = choose_faces(image, faces, self.engine.spec, self.options.min_face)
                except ValueError as error:
                    raise InputError(path, f"frame {index}: {error}", "internal") from error
                except FpgError:
                    raise
                except Exception as error:  # whatever a face model throws at one input must not end the others
                    raise InputError(path, f"frame {index}: unexpected {type(error).__name__}: {error}", "internal") from error
                yield FrameFaces(index, float(time_s), boxes, inputs, image if images else None, rejected)

    def scored(
        self, path: str | os.PathLike[str], items: Iterator[FrameFaces], patience_s: float | None = None
    ) -> Generator[_Judged, None, None]:
        """Frames in order with the network's answers; `items` runs in a thread, as far ahead as two batches of frames with a face."""
        window = 2 * self.network.size
        with closing(prefetch(self._asked(items, window), window)) as waiting:
            for frame, tracks, measures, asked in waiting:
                if self.cancelled:
                    raise InputError(path, "was cancelled", "cancelled")
                faces = []
                for box, track, measure, face in zip(frame.boxes, tracks, measures, asked, strict=True):
                    answer = face.answer(patience_s)
                    if not np.isfinite(answer.score):
                        raise InputError(path, "the model's answer is not finite", "model")
                    faces.append(FaceScore(box, answer.score, measure, track, answer.activation_map))
                yield _Judged(FrameScore(frame.index, frame.time_s, tuple(faces), frame.rejected), frame.inputs, frame.image)

    def _asked(self, items: Iterator[FrameFaces], window: int) -> Iterator[_Waiting]:
        collector, tracker = Collector(self.network, window), Tracker()
        measure = self.options.measure
        with closing(items):
            try:
                for item in items:
                    asked = collector.frame(item.inputs)
                    tracks = tracker([np.array(box) for box in item.boxes])
                    yield _Waiting(item, tracks, [None if measure is None else float(measure(x)) for x in item.inputs], asked)
            except Exception:
                collector.flush()  # the frames before have their scores
                raise
        collector.flush()
