"""What a run says and writes while it goes: the console, `log.jsonl`, the tracker, `environment.json`."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
import yaml

from fpg.common.console import console
from fpg.common.files import atomic_write, write_json
from fpg.guidance.quality import QualityTarget
from fpg.train.config import TrainConfig
from fpg.train.distributed import World
from fpg.train.inputs import TrainingData
from fpg.train.learner import Learner
from fpg.train.log import NoLog, RunLog, environment
from fpg.train.meter import Meter
from fpg.train.methods import describe_method
from fpg.train.pictures import save_picture
from fpg.train.state import Position
from fpg.train.step import StepResult
from fpg.train.trackers import open_tracker
from fpg.train.validate import Validation

FEW_REFINED = 0.01
"""Fraction of refined forgeries below which an epoch ends with a warning: the run is then hardly guided in shape."""


class RunReport:
    """Everything a run tells; a context manager.

    Args:
        config: written to `RUN/config.yaml`.
        position: where the run starts; later lines of its log are removed.
        provenance: of `describe_run`; written to `RUN/environment.json` by a run that starts from nothing.
        main: this is the process that writes; the others keep quiet.
    """

    def __init__(self, config: TrainConfig, position: Position, provenance: dict[str, Any], main: bool = True) -> None:
        self.config, self.position, self.provenance = config, position, provenance
        self.out = Path(config.out)
        self.log: RunLog | NoLog = NoLog()
        if not main:
            return
        with atomic_write(self.out / "config.yaml", "w") as file:
            yaml.safe_dump(config.as_dict(), file, sort_keys=False)
        if not position.step:
            write_json(self.out / "environment.json", provenance)
        tracker = open_tracker(config.tracker, self.out, position.step, config.as_dict())
        self.log = RunLog(self.out, position.step, position.epoch, tracker)

    def __enter__(self) -> RunReport:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.log.__exit__(kind, error, trace)

    def say(self, text: str, style: str | None = None) -> None:
        """One line for people."""
        console.print(text, style=style, markup=False)

    def start(self, learner: Learner, inputs: TrainingData, steps: int) -> None:
        """What is about to happen."""
        config, position = self.config, self.position
        self.log.line("start", position.step, **self.provenance)
        others = f" in {inputs.world.size} processes" if inputs.world.size > 1 else ""
        epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
        parameters = sum(p.numel() for p in learner.model.parameters()) / 1e6
        self.say(f"method {config.method}: {self.provenance['method']}")
        self.say(
            f"{config.model.backbone} at {config.model.image_size} px, {parameters:.1f} M parameters, on {learner.device}{others}; "
            f"{len(inputs.faces)} faces of {inputs.faces.videos} videos, validation {len(inputs.val_faces)} of {inputs.val_faces.videos}; "
            f"{epochs} of {steps} steps; quality target: {self.provenance['quality']['name']}"
        )
        if position.step:
            self.say(f"resumed at epoch {position.epoch + 1}, step {position.step}")

    def unreadable(self, failure: str) -> None:
        """A training face that was left out."""
        self.say(f"left out: {failure}", "yellow")
        self.log.line("unreadable", self.position.step, epoch=self.position.epoch, face=failure)

    def step(self, result: StepResult | None, lr: float, meter: Meter) -> None:
        """One step, None for a batch without a readable face."""
        position = self.position
        if result is None:
            self.log.line("step", position.step, epoch=position.epoch, updated=False, pairs=0)
            return
        fraction = result.refined / result.pairs
        values = {
            "lr": lr,
            **result.losses,
            "refined": fraction,
            "images_per_s": meter.rate,
            "data_wait": meter.wait,
            "pairs_share": meter.making,
        }
        counts = {"pairs": result.pairs, "selected": result.selected, "kept_unrefined": result.kept_unrefined, "updated": result.updated}
        self.log.line("step", position.step, epoch=position.epoch, **values, **counts)
        self.log.scalars("train", position.step, {**values, **counts})

    def epoch(self, meter: Meter, lr: float, validation: Validation | None) -> None:
        """An epoch and its validation."""
        position = self.position
        summary: dict[str, Any] = {"epoch": position.epoch, "lr": lr, **meter.values(), **position.counts}
        line = f"epoch {position.epoch + 1}/{self.config.epochs}: {meter.line()}"
        if validation is not None:
            summary |= {"val_auc": validation.auc, "val_loss": validation.loss, "val_images": validation.images}
            self.log.scalars("val", self.last_step, {"auc": validation.auc, "loss": validation.loss})
            line += f"  val AUC {validation.auc:.4f} loss {validation.loss:.3f}"
        self.log.line("epoch", self.last_step, **summary)
        self.log.scalars("epoch", self.last_step, summary)
        self.say(line)
        if self.config.guidance.shape and meter.pairs and meter.refined < FEW_REFINED * meter.pairs:
            self.say(
                f"shape refinement touched {meter.refined} of {meter.pairs} forgeries, fewer than {FEW_REFINED:.0%}: this epoch nearly "
                "went without it; coarse maps of small inputs need a higher --guidance.threshold (docs/training.md)",
                "yellow",
            )

    def picture(self, image: np.ndarray) -> None:
        """The picture grid of an epoch, uint8 [H, W, 3]."""
        save_picture(self.out / "pictures" / f"epoch_{self.position.epoch:03d}.png", image)
        self.log.picture("pairs", self.last_step, image)

    def end(self, path: Path, weights: str) -> None:
        """The run is done."""
        counts = self.position.counts
        self.log.line("end", self.position.step, weights=weights, **counts)
        self.say(
            f"{path} ({weights}): {counts['pairs']} pairs, {counts['refined']} refined in shape, {counts['kept_unrefined']} kept as their "
            f"mask would be empty, {counts['no_update']} steps without a pair, {counts['unreadable']} unreadable faces left out"
        )

    @property
    def last_step(self) -> int:
        """The step before the present one."""
        return max(0, self.position.step - 1)


def describe_run(
    config: TrainConfig, device: torch.device, quality: QualityTarget | None, inputs: TrainingData, world: World
) -> dict[str, Any]:
    """Provenance: what ran, on what, with which data."""
    return {
        **environment(device),
        "processes": world.size,
        "seed": config.seed,
        "method": describe_method(config),
        "quality": {"name": "none", "description": "no quality loss"}
        if quality is None
        else {"name": quality.name, "description": quality.description},
        "data": inputs.describe(),
    }
