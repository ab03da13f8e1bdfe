"""Functions run by several processes that find each other as a launcher's would; forked, so that nothing is imported again."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import socket
import time
import traceback
from collections.abc import Callable
from typing import Any

import torch

from fpg.train.distributed import World, join

# Autograd decides at the first backward pass whether forked processes may use it, by the devices it knows then; checks of operators
# (opcheck) add some. So the first pass is made here, when tests are collected.
torch.ones(1, requires_grad=True).sum().backward()


def _one(rank: int, size: int, port: int, function: Callable[..., Any], arguments: tuple[Any, ...], results: Any) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    try:
        results.put(pickle.dumps((rank, function(*arguments), None)))
    except BaseException as error:
        text = (type(error).__name__, str(error), getattr(error, "code", None), traceback.format_exc())
        results.put(pickle.dumps((rank, None, text)))


def run_processes(size: int, function: Callable[..., Any], *arguments: Any, timeout: float = 120) -> list[tuple[Any, Any]]:
    """(result, None or (name, text, code, traceback) of the error) of `function(*arguments)` in each of `size` processes, by rank.

    For one that was killed the error is ("killed", "", its exit code, "").
    """
    context = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    results = context.Queue()
    started = [context.Process(target=_one, args=(rank, size, port, function, arguments, results)) for rank in range(size)]
    for process in started:
        process.start()
    found: dict[int, tuple[Any, Any]] = {}
    deadline = time.monotonic() + timeout
    try:
        while len(found) < size and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                rank, value, error = pickle.loads(results.get(timeout=0.1))
                found[rank] = (value, error)
            for rank, process in enumerate(started):
                if process.exitcode is not None and process.exitcode < 0:
                    found.setdefault(rank, (None, ("killed", "", process.exitcode, "")))
    finally:
        for process in started:
            process.join(10)
            process.kill()
    return [found[rank] for rank in range(size)]


def in_world(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(world, *arguments)` inside `join`."""
    with join("cpu") as world:
        assert isinstance(world, World)
        return function(world, *arguments)
