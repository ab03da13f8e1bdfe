"""From inputs to judgements: decoding -> faces, tracks and crops -> network -> scores, all at the same time.

Each input has a thread that decodes and one that finds and crops faces; the network has one that all inputs share. No torch here.
An input that cannot be judged has an `error` and no score: nothing that failed ever gets a number.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fpg.common.errors import InputError
from fpg.engines import load_engine
from fpg.engines.base import Engine
from fpg.engines.resolve import resolve_model
from fpg.faces import default_analyzer
from fpg.runtime.in_memory import Source
from fpg.runtime.inputs import open_frames
from fpg.runtime.judgement import (
    FrameScore,
    Judgement,
    TrackScore,
    conclude,
    extend_tracks,
    printable,
)
from fpg.runtime.judging import Analyzer, Engines, FrameFaces, Judging
from fpg.runtime.options import OptionFields, Options
from fpg.runtime.stages import StageTimes

if TYPE_CHECKING:
    from typing_extensions import Unpack


class StreamFrame(NamedTuple):
    """A judged frame of `VideoDetector.stream`, and the results so far."""

    frame: FrameScore
    score: float | None
    """Score of the video so far; None before the first face."""
    tracks: dict[int, TrackScore]
    """Tracks of the faces in this frame, so far."""
    image: np.ndarray | None
    """uint8 [H, W, 3] RGB; None unless asked for."""


def judge(source: Source, engine: Engines, analyzer: Analyzer, **options: Unpack[OptionFields]) -> Judgement:
    """Judge one video, picture or folder of frames, or the same in memory.

    Args:
        source: see `fpg.runtime.in_memory.Source`; an array or a lossless file of the same pixels get the same judgement.
        engine: the detector, or several.
        analyzer: finds faces.
        options: of `Options`.

    Returns:
        A judgement; an input that cannot be read or has no face carries `error` and no score.

    Raises:
        MissingDependencyError: a part that judging needs is not installed.
        TypeError, ValueError: `source` is none of its kinds.
    """
    chosen = Options(**options)
    with Judging.on(engine, chosen) as judging:
        return judging.judge(source, lambda: contextlib.nullcontext(analyzer))


def judge_many(sources: Iterable[Source], engine: Engines, analyzer: Analyzer, **options: Unpack[OptionFields]) -> Iterator[Judgement]:
    """`judge` each input in turn, continuing after failures; `options` as there."""
    with VideoDetector(engine, lambda: analyzer, **options) as detector:
        yield from detector.judge_many(sources)


def judge_frames(
    path: str | os.PathLike[str], count: int, items: Iterable[FrameFaces], engine: Engines, **options: Unpack[OptionFields]
) -> Judgement:
    """Judge frames whose faces are known: the part that prepared data and fresh inputs share.

    Args:
        path: names the input.
        count: frames to expect; spreads the highlights.
        items: the frames, in order of time.
        engine: the detector, or several.
        options: of `Options`; those about reading have no effect here.

    Raises:
        InputError: from `items`, without any frame, or when the model's answer is not finite.
    """
    chosen = Options(**options)
    with Judging.on(engine, chosen) as judging:
        return judging.conclude(path, count, iter(items))


class VideoDetector:
    """Judges videos, pictures and streams: a model, the stages around it, and their settings.

    Use it as a context manager, or call `close`.

    Args:
        model: a loaded engine, or what `fpg.engines.resolve.resolve_model` takes: name, file, folder, `hf:OWNER/NAME`; None is the starter.
            With a list, all of them judge, and each face's score is their fusion (`fpg.findings.fusion`).
        analyzer: makes a face finder; called once per input that is judged at the same time.
        jobs: inputs judged at the same time. With more than one, faces of several inputs share a call of the engine, and scores may
            differ in their last digits from run to run.
        device, threads: of the engine, if `model` is not one already (`fpg.engines.load_engine`).
        names: what the models are called in judgements; None names each as it was given, or after its file.
        options: of `Options`.

    Raises:
        InputError, UsageError, MissingDependencyError: the model cannot be used.
    """

    def __init__(
        self,
        model: Engine | str | os.PathLike[str] | Sequence[Engine | str | os.PathLike[str]] | None = None,
        analyzer: Callable[[], Analyzer] = default_analyzer,
        *,
        jobs: int = 1,
        device: str = "auto",
        threads: int | None = None,
        names: Sequence[str] | None = None,
        **options: Unpack[OptionFields],
    ) -> None:
        asked: list[Any] = list(model) if isinstance(model, list | tuple) else [model]
        engines: list[Engine] = []
        called: list[str | None] = []
        for one in asked:
            if one is None or isinstance(one, str | os.PathLike):
                found = resolve_model(one, device=device)
                engines.append(load_engine(found.path, device=device, threads=threads))
                called.append(found.name)
            else:
                engines.append(one)
                called.append(None)
        self.engine: Engine = engines[0]
        """The first of them."""
        self.options = Options(**options)
        self.times = StageTimes()
        self._analyzer, self._jobs = analyzer, jobs
        self._idle: SimpleQueue[Analyzer] = SimpleQueue()
        self._judging = Judging.on(engines, self.options, joins=jobs > 1, times=self.times, names=names or called)

    def __enter__(self) -> VideoDetector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the networks' threads."""
        self._judging.close()

    def cancel(self) -> None:
        """Call this from another thread: inputs being judged end soon, as failures, and nothing more is judged."""
        self._judging.cancelled = True

    def judge(self, source: Source, **options: Unpack[OptionFields]) -> Judgement:
        """Judge a path, the bytes of a file, an array, a Pillow image, or frames.

        Args:
            source: what to judge.
            options: those that differ from the detector's own for this input (not `batch`, which inputs share).
        """
        judging = replace(self._judging, options=replace(self.options, **options)) if options else self._judging
        return judging.judge(source, self._finder)

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
        """Like `judge_many`, but in the order in which inputs are finished: (position of the input, judgement).

        Args:
            paths: inputs; None among them says that there is none for now, and does not count as a position.
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
            source: a file, folder of frames, or URL (opened without further permission).
            every: examine every N-th frame.
            images: return the decoded frames, too.
            latency_s: how long a frame may wait for others to fill its batch; None waits for a full batch, for the highest throughput.

        Raises:
            InputError: when reading or judging fails; the frames before that have already been returned.
        """
        tracks: dict[int, TrackScore] = {}
        total, seen = 0.0, 0
        _, frames = open_frames(source, None, every=every, urls=True)
        with self._finder() as analyzer:
            items = self._judging.analysed(source, frames, analyzer, (lambda image: image) if images else None)
            with contextlib.closing(self._judging.scored(source, items, latency_s)) as judged:
                for frame, _, image in judged:
                    extend_tracks(tracks, frame)
                    if frame.score is not None:
                        total, seen = total + frame.score, seen + 1
                    now = {face.track: tracks[face.track] for face in frame.faces}
                    yield StreamFrame(frame, total / seen if seen else None, now, image)

    def conclude(self, source: str | os.PathLike[str], frames: Iterable[FrameScore]) -> Judgement:
        """The judgement of frames that `stream` returned.

        Raises:
            InputError: there is not a single frame.
        """
        judging = self._judging
        result = conclude(printable(source), frames, judging.threshold)
        return replace(result, warnings=judging.warnings, judged_by=judging.by)

    def failed(self, path: str | os.PathLike[str], error: InputError) -> Judgement:
        """The judgement of an input that could not be judged, for a given reason."""
        return self._judging.failed(path, error)

    @property
    def threshold(self) -> float:
        """Score from which a verdict is fake."""
        return self._judging.threshold

    @contextlib.contextmanager
    def _finder(self) -> Iterator[Analyzer]:
        """A face finder that nobody else uses meanwhile."""
        analyzer = self._analyzer() if self._idle.empty() else self._idle.get()
        yield analyzer
        self._idle.put(analyzer)
