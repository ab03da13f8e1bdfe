"""A trace of some training steps by torch's profiler."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from fpg.common.console import console
from fpg.common.files import atomic_write

SKIPPED = 2
"""Steps before the trace: the first are slower, and the profiler's own start is not counted."""
ROWS = 15


class StepProfile:
    """Profiles a number of steps after the first `SKIPPED` ones of this start; a context manager, without effect for 0 steps.

    Writes `trace.json` (for https://ui.perfetto.dev or chrome://tracing) and `table.txt`, the operations that take the longest, and
    shows that table. A run that ends earlier leaves what it had.

    Args:
        folder: where they go.
        steps: how many; 0 for none.
        device: that trains.
    """

    def __init__(self, folder: Path, steps: int, device: torch.device) -> None:
        self.folder, self.steps, self.device = folder, steps, device
        self._profile: profile | None = None
        if steps:
            activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
            plan = schedule(wait=SKIPPED - 1, warmup=1, active=steps, repeat=1)
            self._profile = profile(activities=activities, schedule=plan, on_trace_ready=self._write)

    def __enter__(self) -> StepProfile:
        if self._profile is not None:
            self._profile.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._profile is not None:
            self._profile.__exit__(kind, error, trace)

    def step(self) -> None:
        """A training step is done."""
        if self._profile is not None:
            self._profile.step()

    def _write(self, done: profile) -> None:
        trace = self.folder / "trace.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / ".trace.json.part"
        done.export_chrome_trace(str(unfinished))
        unfinished.replace(trace)
        order = "self_device_time_total" if self.device.type == "cuda" else "self_cpu_time_total"
        table = done.key_averages().table(sort_by=order, row_limit=ROWS, max_name_column_width=48)
        with atomic_write(self.folder / "table.txt", "w") as file:
            file.write(table)
        console.print(f"{trace}: {self.steps} steps after the first {SKIPPED}\n{table}", markup=False, highlight=False, soft_wrap=True)
