"""Requests to stop: one signal asks, a second one insists; one of several processes hears the same signal from several sides."""

from __future__ import annotations

import os
import signal

import pytest

from fpg.train import stop
from fpg.train.stop import StopRequest


def test_a_second_signal_ends_a_single_process_at_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as request:
        assert request.signal is None
        signal.raise_signal(signal.SIGTERM)
        assert request.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_one_of_several_takes_a_signal_that_soon_follows_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(stop.time, "monotonic", lambda: now)
    with StopRequest(follow=True) as request:
        signal.raise_signal(signal.SIGINT)
        now += StopRequest.GRACE
        signal.raise_signal(signal.SIGTERM)
        assert request.signal == signal.SIGINT
        now += 0.1
        with pytest.raises(SystemExit) as ended:
            signal.raise_signal(signal.SIGTERM)
        assert ended.value.code == 143
        with pytest.raises(SystemExit) as ended:
            request.leave(signal.SIGINT)
        assert ended.value.code == 130


def test_a_launcher_that_is_gone_is_a_request_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, follower = StopRequest(), StopRequest(follow=True)
    assert follower.signal is None
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert follower.signal == signal.SIGTERM
    assert alone.signal is None
