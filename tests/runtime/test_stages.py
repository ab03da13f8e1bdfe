"""Stages in threads: order, errors, bounds, ends; batches that several inputs share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from judging import BrightnessEngine

from fpg.engines.base import EngineOutput
from fpg.runtime.stages import Collector, EngineThread, FaceBatch, StageTimes, closing, prefetch


def face(red: float) -> np.ndarray:
    return np.full((3, 16, 16), red, np.float32)


def test_prefetch_gives_every_item_in_order_and_then_the_error() -> None:
    def source() -> Iterator[int]:
        yield from range(50)
        raise KeyError("the end")

    got: list[int] = []
    with pytest.raises(KeyError, match="the end"):
        got.extend(prefetch(source(), 3))
    assert got == list(range(50))


def test_prefetch_is_bounded_and_closing_it_closes_the_source_and_ends_its_thread() -> None:
    made: list[int] = []
    closed = threading.Event()
    before = threading.active_count()

    def source() -> Iterator[int]:
        try:
            for i in range(1000):
                made.append(i)
                yield i
        finally:
            closed.set()

    with closing(prefetch(source(), 4)) as items:
        assert next(items) == 0
        time.sleep(0.1)
        assert len(made) <= 1 + 4 + 1  # taken, waiting, in the producer's hand
    assert closed.is_set()
    assert threading.active_count() == before


def test_batches_fill_across_frames_and_end_with_the_window() -> None:
    engine = BrightnessEngine()
    with EngineThread(engine, 4) as network:
        collector = Collector(network, window=3)
        asked = [a for reds in [(0.1, 0.2), (0.3,), (0.4, 0.5), (), (), (), ()] for a in collector.frame(tuple(map(face, reds)))]
        assert [a.answer(None).score for a in asked] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5], abs=1e-6)
    assert engine.batches == [4, 1]


def test_a_batch_that_waits_too_long_is_sent_by_who_waits_for_it() -> None:
    engine = BrightnessEngine()
    with EngineThread(engine, 4) as network:
        collector = Collector(network, window=100)
        (first,) = collector.frame((face(0.25),))
        assert first.answer(0.01).score == pytest.approx(0.25, abs=1e-6)
        (second,) = collector.frame((face(0.75),))
        collector.flush()
        assert second.answer(None).score == pytest.approx(0.75, abs=1e-6)
    assert engine.batches == [1, 1]


class Gated(BrightnessEngine):
    """Waits at its first call, so that batches pile up behind it; refuses black faces."""

    def __init__(self, **changes: object) -> None:
        super().__init__(**changes)
        self.gate, self.entered = threading.Event(), threading.Event()

    def __call__(self, images: np.ndarray) -> EngineOutput:
        self.entered.set()
        self.gate.wait(10)
        if images.max(axis=(1, 2, 3)).min() == 0:
            raise RuntimeError("black")
        return super().__call__(images)


def batches(network: EngineThread, engine: Gated, *reds: float) -> list[FaceBatch]:
    """One face each; the first is with the engine before the others follow."""
    made = []
    for red in reds:
        batch = FaceBatch(network)
        batch.add(face(red))
        batch.send()
        engine.entered.wait(10)
        made.append(batch)
    return made


@pytest.mark.parametrize(("joins", "calls"), [(True, [1, 2]), (False, [1, 1, 1])])
def test_batches_that_wait_at_the_same_time_are_joined_where_asked(joins: bool, calls: list[int]) -> None:
    engine = Gated()
    with EngineThread(engine, 2, joins=joins) as network:
        made = batches(network, engine, 0.2, 0.4, 0.6)
        engine.gate.set()
        assert [b.answers.result(10)[0].score for b in made] == pytest.approx([0.2, 0.4, 0.6], abs=1e-6)
    assert engine.batches == calls


def test_a_failure_in_a_joined_call_is_only_of_the_batch_that_caused_it() -> None:
    engine = Gated()
    with EngineThread(engine, 3, joins=True) as network:
        first, bad, good = batches(network, engine, 0.2, 0.0, 0.6)
        engine.gate.set()
        assert first.answers.result(10)[0].score == pytest.approx(0.2, abs=1e-6)
        assert good.answers.result(10)[0].score == pytest.approx(0.6, abs=1e-6)
        with pytest.raises(RuntimeError, match="black"):
            bad.answers.result(10)


def test_times_by_stage() -> None:
    times = StageTimes()
    for ms in range(1, 101):
        times.add("decode", ms / 1e3)
    with pytest.raises(ValueError, match="no"), times.lap("faces"):
        raise ValueError("no")
    assert list(times.timed("crop", iter("ab"))) == ["a", "b"]
    decode, crop = times.summary()
    assert (decode.stage, decode.number, crop.stage, crop.number) == ("decode", 100, "crop", 2)
    assert decode.total_s == pytest.approx(5.05)
    assert (decode.p50_ms, decode.p95_ms, decode.p99_ms) == pytest.approx(tuple(np.percentile(np.arange(1, 101), (50, 95, 99))))
