"""What a run writes while it goes: `log.jsonl`, what its tracker shows, and the record of the environment."""

from __future__ import annotations

import json
import math
import platform
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

import fpg
from fpg.common.files import atomic_write
from fpg.common.packages import installed_version
from fpg.common.source import commit
from fpg.train.trackers import ExperimentTracker, NoTracker

_PACKAGES = ("torchvision", "timm", "numpy", "opencv-python", "openvino", "safetensors", "pyarrow", "scikit-learn")


class RunLog:
    """Appends to `RUN/log.jsonl`, and tells a tracker. A resumed run first takes away what was written after its checkpoint.

    Lines have a `kind`: `start` (environment), `step`, `epoch`, `unreadable`, `end`; and the `step` they belong to, counted from 0.

    Args:
        out: folder of the run.
        step: steps that are done; lines of later steps are removed.
        epoch: epochs that are done, validation included; summaries of later ones are removed.
        tracker: shows numbers and pictures; closed with the log.
    """

    def __init__(self, out: Path, step: int = 0, epoch: int = 0, tracker: ExperimentTracker | None = None) -> None:
        self.path = out / "log.jsonl"
        if self.path.exists():
            _keep_before(self.path, step, epoch)
        self.file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115
        self.tracker = tracker or NoTracker()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.file.close()
        self.tracker.close()

    def line(self, kind: str, step: int, **values: Any) -> None:
        """Append one line; numbers that are not finite become null."""
        self.file.write(json.dumps({"kind": kind, "step": step} | _finite(values), ensure_ascii=False, allow_nan=False) + "\n")
        self.file.flush()

    def scalars(self, prefix: str, step: int, values: dict[str, float]) -> None:
        """Numbers for the tracker."""
        self.tracker.scalars(prefix, step, values)

    def picture(self, name: str, step: int, image: np.ndarray) -> None:
        """uint8 [H, W, 3] for the tracker."""
        self.tracker.picture(name, step, image)


class NoLog:
    """The log of a process that does not write."""

    def __exit__(self, *error: object) -> None:
        """Nothing to close."""

    def line(self, kind: str, step: int, **values: Any) -> None:
        """See `RunLog`."""

    def scalars(self, prefix: str, step: int, values: dict[str, float]) -> None:
        """See `RunLog`."""

    def picture(self, name: str, step: int, image: np.ndarray) -> None:
        """See `RunLog`."""


def _keep_before(path: Path, step: int, epoch: int) -> None:
    with atomic_write(path, "w") as file:
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                value = json.loads(text)
            except ValueError:  # cut off by a kill
                continue
            later = {"start": value["step"] > step, "epoch": value.get("epoch", 0) >= epoch, "end": True}
            if not later.get(value["kind"], value["step"] >= step):
                file.write(text + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def environment(device: torch.device) -> dict[str, Any]:
    """What ran: versions, machine, commit, command line."""
    versions: dict[str, str | None] = {"fpg": fpg.__version__, "python": platform.python_version(), "torch": torch.__version__}
    versions |= {package: installed_version(package) for package in _PACKAGES}
    return {
        "versions": versions,
        "commit": commit(),
        "command": sys.argv,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
    }
