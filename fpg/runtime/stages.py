"""Stages that run at the same time: iterators in threads of their own, and the network, which faces of many frames share.

Decoders, OpenCV and the engines let go of Python's lock while they work, so threads are enough. Everything that waits between
two stages is bounded: memory does not grow with the length of a video.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, TimeoutError, wait
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from fpg.engines.base import Engine, fake_probability

T = TypeVar("T")
_KEPT = 20_000
"""Durations kept per stage for its percentiles; the latest ones."""


class StageSummary(NamedTuple):
    """How long one stage took for one thing (a frame, or a batch)."""

    stage: str
    number: int
    total_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class StageTimes:
    """Durations by stage; may be shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, deque[float]] = {}
        self._totals: dict[str, tuple[int, float]] = {}

    def add(self, stage: str, seconds: float) -> None:
        """Record one duration."""
        with self._lock:
            self._kept.setdefault(stage, deque(maxlen=_KEPT)).append(seconds)
            count, total = self._totals.get(stage, (0, 0.0))
            self._totals[stage] = count + 1, total + seconds

    @contextlib.contextmanager
    def lap(self, stage: str) -> Iterator[None]:
        """Record how long the block takes, if it succeeds."""
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start)

    def timed(self, stage: str, source: Iterator[T]) -> Iterator[T]:
        """The source's items; what each took to come is recorded."""
        with closing(source):
            while True:
                start = time.perf_counter()
                try:
                    item = next(source)
                except StopIteration:
                    return
                self.add(stage, time.perf_counter() - start)
                yield item

    def summary(self) -> list[StageSummary]:
        """By stage, in the order in which they first ended; percentiles over the latest 20 000 durations."""
        with self._lock:
            return [
                StageSummary(stage, *self._totals[stage], *(1e3 * float(v) for v in np.percentile(list(kept), (50, 95, 99))))
                for stage, kept in self._kept.items()
            ]


@contextlib.contextmanager
def closing(source: Iterator[T]) -> Iterator[Iterator[T]]:
    """As `contextlib.closing`, for iterators of which only some are generators."""
    try:
        yield source
    finally:
        if isinstance(source, Generator):
            source.close()


class _Channel(Generic[T]):
    """A bounded queue between two threads that either side can end."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._change = threading.Condition()
        self._finished = self._cancelled = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Wait for room; False when nobody takes items any more."""
        with self._change:
            self._change.wait_for(lambda: len(self._items) < self._size or self._cancelled)
            self._items.append(item)
            self._change.notify_all()
            return not self._cancelled

    def finish(self, error: BaseException | None) -> None:
        """There will be no more; an error is raised where the next item would be."""
        with self._change:
            self._finished, self._error = True, error
            self._change.notify_all()

    def cancel(self) -> None:
        with self._change:
            self._cancelled = True
            self._items.clear()
            self._change.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._items or self._finished)
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._change.notify_all()
            yield item


def prefetch(source: Iterator[T], size: int) -> Iterator[T]:
    """Run an iterator in a thread of its own, up to `size` items ahead.

    Its error comes where its next item would. When this generator ends or is closed, the source is closed and the thread has ended.
    """
    channel: _Channel[T] = _Channel(size)

    def work() -> None:
        error: BaseException | None = None
        try:
            with closing(source):
                for item in source:
                    if not channel.put(item):
                        break
        except BaseException as caught:
            error = caught
        channel.finish(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield from channel
    finally:
        channel.cancel()
        thread.join()


def abandonable(work: Callable[[], T], seconds: float, give_up: threading.Event) -> T:
    """What `work` returns, if it does within so many seconds.

    Args:
        work: runs in a thread of its own, which nobody waits for once it is late: it may be stuck in a decoder.
        seconds: from now on.
        give_up: set when nobody waits any more; `work` looks at it where it can.

    Raises:
        TimeoutError: it took longer. Whatever `work` raises is raised here.
    """
    done: Future[T] = Future()

    def body() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    wait([done], seconds)
    if not done.done():
        give_up.set()
        raise TimeoutError
    return done.result()


class Answer(NamedTuple):
    """What the network says of one face."""

    score: float
    """Probability of fake; NaN where the network's answer is."""
    activation_map: np.ndarray | None
    """float32 [h, w]; None where the model has none."""


class FaceBatch:
    """Faces that go to the network together; it sends itself when it is full."""

    def __init__(self, network: EngineThread) -> None:
        self.inputs: list[np.ndarray] = []
        self.answers: Future[list[Answer]] = Future()
        self._network = network
        self._lock = threading.Lock()
        self._sent = False

    def add(self, image: np.ndarray) -> int | None:
        """Take a face, float32 [3, S, S] in [0, 1]: its place among the answers, or None when the batch has been sent."""
        with self._lock:
            if self._sent:
                return None
            self.inputs.append(image)
            place = len(self.inputs) - 1
            full = len(self.inputs) == self._network.size
        if full:
            self.send()
        return place

    def send(self) -> None:
        """Hand over to the network what is there, once; waits while the network is busy with others."""
        with self._lock:
            if self._sent or not self.inputs:
                return
            self._sent = True
        self._network.take(self)


class EngineThread:
    """An engine in a thread of its own.

    Args:
        engine: the detector; only that thread calls it.
        size: faces per call; bounded by the engine's largest batch. Smaller batches than the engine's smallest are filled up.
        joins: batches that wait at the same time go to the engine in one call, as far as they fit; which ones do depends on timing.
        times: gets the stage `network`, once per call.
    """

    def __init__(self, engine: Engine, size: int = 16, *, joins: bool = False, times: StageTimes | None = None) -> None:
        self._smallest, _, largest = engine.spec.batch or (1, 1, size)
        self.size = max(1, min(size, largest))
        self._engine, self._joins, self._times = engine, joins, times or StageTimes()
        self._waiting: queue.Queue[FaceBatch | None] = queue.Queue(maxsize=2)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __enter__(self) -> EngineThread:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread, after what waits."""
        self._waiting.put(None)
        self._thread.join()

    def take(self, batch: FaceBatch) -> None:
        """Queue a batch; its `answers` come when it was its turn."""
        self._waiting.put(batch)

    def _work(self) -> None:
        following: FaceBatch | None = None
        while True:
            batch = following or self._waiting.get()
            following = None
            if batch is None:
                return
            batches, faces = [batch], len(batch.inputs)
            while self._joins and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                faces += len(following.inputs)
                if faces > self.size:
                    break
                batches.append(following)
                following = None
            self._run(batches)

    def _run(self, batches: list[FaceBatch]) -> None:
        try:
            answers = self._ask([image for batch in batches for image in batch.inputs])
        except BaseException as error:
            if len(batches) == 1:
                batches[0].answers.set_exception(error)
                return
            for batch in batches:  # one input's failure is not the others'
                self._run([batch])
            return
        start = 0
        for batch in batches:
            batch.answers.set_result(answers[start : start + len(batch.inputs)])
            start += len(batch.inputs)

    def _ask(self, faces: list[np.ndarray]) -> list[Answer]:
        images = np.stack(faces + faces[-1:] * (self._smallest - len(faces)))
        with self._times.lap("network"):
            output = self._engine(images)
        scores = fake_probability(output.logits, self._engine.spec.temperature).astype(np.float64)
        finite = np.isfinite(output.logits).all(1)
        maps: Iterable[np.ndarray | None] = itertools.repeat(None)
        if output.activation_map is not None:
            maps = output.activation_map
            finite &= np.isfinite(output.activation_map).reshape(len(scores), -1).all(1)
        scores[~finite] = np.nan
        return [Answer(float(score), kept) for score, kept, _ in zip(scores, maps, faces, strict=False)]


class PendingScore(NamedTuple):
    """A face that was handed to the network."""

    image: np.ndarray
    batch: FaceBatch
    place: int

    def answer(self, patience_s: float | None) -> Answer:
        """Wait for the network; after `patience_s` (None: never) a batch that is still being collected is sent as it is."""
        if patience_s is not None:
            try:
                return self.batch.answers.result(patience_s)[self.place]
            except TimeoutError:
                self.batch.send()
        return self.batch.answers.result()[self.place]


class Collector:
    """Puts the faces of consecutive frames of one input into batches.

    Args:
        network: takes them.
        window: frames after whose first face a batch is sent even if it is not full.
    """

    def __init__(self, network: EngineThread, window: int) -> None:
        self._network, self._window = network, window
        self._batch, self._age = FaceBatch(network), 0

    def frame(self, images: tuple[np.ndarray, ...]) -> tuple[PendingScore, ...]:
        """The faces of the next frame."""
        asked = tuple(self._ask(image) for image in images)
        self._age += bool(self._batch.inputs)
        if self._age >= self._window:
            self.flush()
        return asked

    def flush(self) -> None:
        """Send what is there."""
        self._batch.send()
        self._batch, self._age = FaceBatch(self._network), 0

    def _ask(self, image: np.ndarray) -> PendingScore:
        place = self._batch.add(image)
        if place is None:
            self._batch, self._age = FaceBatch(self._network), 0
            place = self._batch.add(image)
            assert place is not None
        return PendingScore(image, self._batch, place)
