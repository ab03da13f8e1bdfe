"""Several training processes on this machine, started and watched by torch's elastic launcher (what `torchrun --standalone` does)."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from fpg.common.console import console

GRACE_S = 120
"""Seconds that the processes have to write a checkpoint when the launcher is asked to stop."""


def launch(module: str, arguments: list[str], processes: int) -> int:
    """Run `python -m MODULE ARGUMENTS` in several processes until all are done, or one fails, which ends them all.

    Args:
        module: a program that calls `fpg.train.distributed.join`.
        processes: how many.

    Returns:
        The exit code: 0, or that of the process that failed first.

    Raises:
        KeyboardInterrupt, SystemExit(143): Ctrl-C and SIGTERM, after the processes had time to write a checkpoint.
    """
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the processes say themselves what happened
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        shutdown_timeout=GRACE_S,
    )
    try:
        elastic_launch(config, sys.executable)("-m", module, *arguments)
    except ChildFailedError as error:
        # One that was killed takes the others with it, which may be seen first. SIGTERM is what the launcher itself ends processes with.
        killed = [
            (rank, failure) for rank, failure in error.failures.items() if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM
        ]
        rank, failure = killed[0] if killed else error.get_first_failure()
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            console.print(f"error: process {rank} of the run was ended by {name}", markup=False)
            return 1
        return int(failure.exitcode)
    except SignalException as error:
        raise KeyboardInterrupt if error.sigval == signal.SIGINT else SystemExit(128 + int(error.sigval)) from None
    return 0
