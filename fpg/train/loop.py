"""The training run: folders, checkpoints, epochs, validation, pictures and final weights (FPG, ACM MM 2024; METHOD 4).

`RUN/` holds `config.yaml`, `environment.json`, `log.jsonl`, `tensorboard/`, `pictures/epoch_NNN.png`, `checkpoints/last.pt`,
`checkpoints/best.safetensors`, and at the end `model.safetensors` with `model.spec.json`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import torch
from rich.progress import Progress, TaskID
from safetensors.torch import load_file
from safetensors.torch import save as tensors_to_bytes

from fpg.common.console import progress
from fpg.common.errors import FpgError, InputError
from fpg.common.files import atomic_write
from fpg.models.detector import save_detector
from fpg.train.config import TrainConfig, learning_rate
from fpg.train.inputs import Inputs
from fpg.train.meter import Meter
from fpg.train.pairs import Batch, open_batches
from fpg.train.pictures import picture_grid
from fpg.train.quality import quality_target
from fpg.train.report import Report, describe_run
from fpg.train.setup import build_model, build_optimizer, choose_device, claim
from fpg.train.state import Position, restore, save_checkpoint
from fpg.train.step import StepResult, train_step
from fpg.train.stop import StopRequest
from fpg.train.validate import Validation, validate


def train(config: TrainConfig, *, resume: bool = False) -> Path:
    """Train a detector from real faces; returns the path of the final weights, `RUN/model.safetensors`.

    Args:
        config: the run; checked first.
        resume: go on from `RUN/checkpoints/last.pt`, exactly as if the run had not been interrupted.

    Raises:
        UsageError: a config that no run can use, a folder that is in use, a checkpoint of another config.
        InputError: data or files that cannot be used.
        NonFiniteLoss: the loss became NaN or infinite.
        KeyboardInterrupt, SystemExit(143): Ctrl-C and SIGTERM, after a checkpoint was written.
    """
    config.check()
    try:
        with StopRequest() as stop:
            run = Run(config, resume, stop)
            with run.report:
                return run.execute()
    except OSError as error:
        raise InputError(error.filename or config.out, error.strerror or str(error)) from error


class Run:
    """One run, set up from nothing or from its checkpoint.

    Args:
        config: checked.
        resume: go on from the checkpoint.
        stop: asked between steps.
    """

    def __init__(self, config: TrainConfig, resume: bool, stop: StopRequest) -> None:
        self.config, self.stop = config, stop
        self.out = Path(config.out)
        self.last = self.out / "checkpoints" / "last.pt"
        self.best = self.out / "checkpoints" / "best.safetensors"
        claim(self.out, resume)
        self.device = choose_device(config.device)
        if config.threads:
            torch.set_num_threads(config.threads)
        cv2.setNumThreads(1)

        self.inputs = Inputs(config)
        self.model = build_model(config, self.device)
        self.quality = quality_target(config.quality, self.device)
        self.optimizer = build_optimizer(config.optim, self.model)
        self.position = Position()
        if self.last.exists():
            self.position = restore(self.last, self.model, self.optimizer, config.as_dict(), self.inputs.fingerprint)
        self.report = Report(config, self.position, describe_run(config, self.device, self.quality, self.inputs))

        self.schedule = self.inputs.schedule((self.position.epoch, self.position.step_in_epoch))
        self.batches = self.inputs.training(self.schedule, pin=self.device.type == "cuda")
        self.validation = self.inputs.validation()
        self.examples = self.inputs.examples()

    def execute(self) -> Path:
        """All remaining epochs, then the final weights."""
        self.report.start(self.model, self.device, self.inputs, self.schedule.steps)
        with progress() as bar, open_batches(self.batches) as batches:
            task = bar.add_task("", total=self.schedule.steps * self.config.epochs, completed=self.position.step)
            while self.position.epoch < self.config.epochs:
                self._epoch(batches, bar, task)
        return self._finish()

    def _epoch(self, batches: Iterator[Any], bar: Progress, task: TaskID) -> None:
        position, config = self.position, self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config.optim, position.epoch, config.epochs)
        meter = Meter()
        while position.step_in_epoch < self.schedule.steps:
            started = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - started
            result = self._step(batch)
            meter.add(result, time.perf_counter() - started, waited)
            if position.step % config.log_steps == 0:
                self.report.step(result, self.optimizer.param_groups[0]["lr"], meter)
            position.step += 1
            position.step_in_epoch += 1
            bar.update(task, advance=1, description=f"epoch {position.epoch + 1}/{config.epochs} {meter.line()}")
            self._pause(save=position.step % config.checkpoint_steps == 0 and position.step_in_epoch < self.schedule.steps)
        if not meter.pairs and meter.steps == self.schedule.steps:
            log = self.report.log.path
            raise FpgError(f"epoch {position.epoch + 1}: not one of its faces could be read; see {log} for their names")
        self._end_epoch(meter)

    def _step(self, batch: dict[str, Any]) -> StepResult | None:
        counts, position = self.position.counts, self.position
        for failure in batch["failures"]:
            counts["unreadable"] += 1
            self.report.unreadable(failure)
        if not batch["samples"]:
            counts["skipped_batches"] += 1
            return None
        dump = self.out / "nonfinite_batch.safetensors"
        args = (self.model, self.optimizer, self.quality, cast(Batch, batch), self.config, position.epoch, position.step, self.device, dump)
        result = train_step(*args)
        counts["pairs"] += result.pairs
        counts["refined"] += result.refined
        counts["kept_unrefined"] += result.kept_unrefined
        counts["no_update"] += not result.updated
        return result

    def _pause(self, save: bool) -> None:
        """Between two steps: write a checkpoint when it is due or when the run was asked to stop."""
        if save or self.stop.signal is not None:
            self._checkpoint()
        if self.stop.signal is not None:
            self.report.say(f"stopped after step {self.position.step}; go on with --resume --out {self.out}")
            self.stop.leave(self.stop.signal)

    def _checkpoint(self) -> None:
        save_checkpoint(self.last, self.model, self.optimizer, self.position, self.config.as_dict(), self.inputs.fingerprint)

    def _end_epoch(self, meter: Meter) -> None:
        position, config = self.position, self.config
        done = position.epoch + 1
        validation = self._validate()
        if config.pictures and (done % config.picture_epochs == 0 or done == config.epochs):
            self._picture()
        self.report.epoch(meter, self.optimizer.param_groups[0]["lr"], validation)
        position.epoch, position.step_in_epoch = done, 0
        self._checkpoint()
        self._pause(save=False)

    def _validate(self) -> Validation | None:
        if self.validation is None:
            return None
        result = validate(self.model, self.validation, self.device, self.config.precision)
        if result is None:
            self.report.say("validation: not one face could be read", "yellow")
            return None
        for failure in result.failures:
            self.report.say(f"validation, left out: {failure}", "yellow")
        if result.better_than(self.position.best):
            with atomic_write(self.best) as file:
                file.write(tensors_to_bytes({name: x.contiguous() for name, x in self.model.state_dict().items()}))
            self.position.best = {"auc": result.auc, "loss": result.loss, "epoch": self.position.epoch, "step": self.position.step}
        return result

    def _picture(self) -> None:
        if self.examples is None:
            return
        batch, names = self.examples
        split = "validation" if self.inputs.val_faces.entries else "training"
        title = f"After epoch {self.position.epoch + 1}: {split} faces, and what guidance makes of their forgeries"
        self.report.picture(picture_grid(self.model, batch, names, self.config, title, self.device))

    def _finish(self) -> Path:
        position, best = self.position, self.position.best
        if best is not None:
            self.model.load_state_dict(load_file(str(self.best)))
        what = f"best validation AUC, epoch {int(best['epoch']) + 1}" if best else "last epoch, nothing was validated"
        path = self.out / "model.safetensors"
        provenance = {
            **self.report.provenance,
            "weights": what,
            "validation": best,
            "epochs": position.epoch,
            "steps": position.step,
            "counts": position.counts,
            "how_to_use": f"fpg-detect {path.name} INPUT...; fpg-eval {path.name} --data DIR; or fpg.models.load_detector('{path.name}')",
        }
        save_detector(path, self.model, provenance=provenance)
        self.report.end(path, what)
        return path
