"""Where the numbers and pictures of a run are shown: TensorBoard, Weights & Biases, or nowhere; `log.jsonl` is written in any case."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

from fpg.common.console import console
from fpg.common.errors import MissingDependencyError
from fpg.common.files import atomic_write
from fpg.common.packages import install_extra


class ExperimentTracker(Protocol):
    """What a run shows its numbers to."""

    def scalars(self, prefix: str, step: int, values: dict[str, float]) -> None:
        """Numbers of a step, under `prefix/name`."""
        ...

    def picture(self, name: str, step: int, image: np.ndarray) -> None:
        """uint8 RGB [H, W, 3]."""
        ...

    def close(self) -> None:
        """The run ends, or stops."""
        ...


class NoTracker:
    """Shows nothing."""

    def scalars(self, prefix: str, step: int, values: dict[str, float]) -> None:
        """See `ExperimentTracker`."""

    def picture(self, name: str, step: int, image: np.ndarray) -> None:
        """See `ExperimentTracker`."""

    def close(self) -> None:
        """See `ExperimentTracker`."""


class TensorBoard:
    """Event files under `RUN/tensorboard`: all numbers of `log.jsonl`, the config as text, the pictures. What a resumed run does again
    replaces what was there."""

    def __init__(self, out: Path, step: int, config: dict[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(out / "tensorboard"), purge_step=step or None, flush_secs=10)
        if not step:
            self.writer.add_text("config", "\n".join(f"    {line}" for line in yaml.safe_dump(config, sort_keys=False).splitlines()), 0)

    def scalars(self, prefix: str, step: int, values: dict[str, float]) -> None:
        """See `ExperimentTracker`."""
        for name, value in values.items():
            self.writer.add_scalar(f"{prefix}/{name}", value, step)

    def picture(self, name: str, step: int, image: np.ndarray) -> None:
        """See `ExperimentTracker`."""
        self.writer.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        """See `ExperimentTracker`."""
        self.writer.close()


class Wandb:
    """One run of Weights & Biases, the same after a resume (its id is in `RUN/wandb/id`).

    Project, entity and mode are wandb's own environment variables (WANDB_PROJECT, else `fpg`; WANDB_MODE). When the service cannot be
    reached, or nobody is logged in, the run is kept under `RUN/wandb` for `wandb sync`. The step is a value of its own, as wandb's counter
    refuses steps that are done again after a kill.

    Raises:
        MissingDependencyError: wandb is not installed.
    """

    def __init__(self, out: Path, config: dict[str, Any]) -> None:
        self._wandb = wandb = _import_wandb()
        (out / "wandb").mkdir(parents=True, exist_ok=True)
        options = {
            "project": os.environ.get("WANDB_PROJECT") or "fpg",
            "name": out.resolve().name,
            "id": _identity(out / "wandb" / "id"),
            "dir": str(out),
            "config": config,
            "resume": "allow",
        }
        try:
            self.run = wandb.init(**options)
        except wandb.Error as error:
            reason = " ".join(str(error).split())
            console.print(
                f"tracker: wandb cannot be reached ({reason}); keeping {out / 'wandb'} for `wandb sync`", style="yellow", markup=False
            )
            self.run = wandb.init(**options, mode="offline")
        self.run.define_metric("*", step_metric="step")

    def scalars(self, prefix: str, step: int, values: dict[str, float]) -> None:
        """See `ExperimentTracker`."""
        self.run.log({"step": step, **{f"{prefix}/{name}": value for name, value in values.items()}})

    def picture(self, name: str, step: int, image: np.ndarray) -> None:
        """See `ExperimentTracker`."""
        self.run.log({"step": step, name: self._wandb.Image(image)})

    def close(self) -> None:
        """See `ExperimentTracker`."""
        self.run.finish()


def open_tracker(name: str, out: Path, step: int, config: dict[str, Any]) -> ExperimentTracker:
    """The tracker that `TrainConfig.tracker` names.

    Args:
        name: `tensorboard`, `wandb` or `none`.
        out: folder of the run.
        step: steps that are done.
        config: of the run, as plain values.

    Raises:
        MissingDependencyError: it is not installed.
    """
    if name == "wandb":
        return Wandb(out, config)
    return TensorBoard(out, step, config) if name == "tensorboard" else NoTracker()


def require_tracker(name: str) -> None:
    """Say early, before anything is written, that a tracker is not installed.

    Raises:
        MissingDependencyError: with advice.
    """
    if name == "wandb":
        _import_wandb()


def _import_wandb() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise MissingDependencyError(
            f"tracker: wandb is not installed ({error}); {install_extra('wandb')}, or take --tracker tensorboard or none"
        ) from error
    return wandb


def _identity(path: Path) -> str:
    """The run's id; made once."""
    if not path.is_file():
        with atomic_write(path, "w") as file:
            file.write(uuid.uuid4().hex[:16])
    return path.read_text(encoding="utf-8").strip()
