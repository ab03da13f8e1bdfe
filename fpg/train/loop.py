"""The training run: folders, checkpoints, epochs, validation, pictures and final weights (FPG, ACM MM 2024; METHOD 4).

`RUN/` holds `config.yaml`, `environment.json`, `log.jsonl`, `tensorboard/` or `wandb/`, `pictures/epoch_NNN.png`, `checkpoints/last.pt`,
`checkpoints/best.safetensors`, `checkpoints/top/`, and at the end `model.safetensors` with `model.spec.json`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import torch
from rich.progress import Progress, TaskID
from safetensors.torch import load_file
from safetensors.torch import save as tensors_to_bytes

from fpg.common.console import progress
from fpg.common.errors import FpgError, InputError, UsageError
from fpg.common.files import atomic_write
from fpg.common.memory import keep_freed_memory
from fpg.models.detector import save_detector
from fpg.train.clock import Clock
from fpg.train.config import TrainConfig
from fpg.train.distributed import World, join
from fpg.train.inputs import TrainingData
from fpg.train.keep import TopFolder, few_people, patience_exhausted, ranked
from fpg.train.meter import Meter
from fpg.train.methods import resolve_method
from fpg.train.pairs import Batch, Loaded, open_batches
from fpg.train.pictures import picture_grid
from fpg.train.profiler import StepProfile
from fpg.train.quality import quality_target
from fpg.train.report import RunReport, describe_run
from fpg.train.schedule import learning_rate, set_learning_rate
from fpg.train.setup import build_learner, choose_training_device, claim
from fpg.train.state import Position, restore, save_checkpoint
from fpg.train.step import StepResult, train_step
from fpg.train.stop import StopRequest
from fpg.train.trackers import require_tracker
from fpg.train.validate import Validation, validate

MODEL = "model.safetensors"


def train(config: TrainConfig, *, resume: bool = False, profile: int = 0) -> Path:
    """Train a detector from real faces; returns the path of the final weights, `RUN/model.safetensors`.

    Args:
        config: the run; first its method sets the fields that define it, then it is checked.
        resume: continue from `RUN/checkpoints/last.pt`, exactly as if the run had not been interrupted.
        profile: number of steps to profile, traced to `RUN/profile/trace.json`; 0 for none.

    In a process started by a launcher (`torchrun`, `fpg-train --nproc`) this is one of the processes of the run; all share the batches,
    and process 0 writes. The folders must be accessible to all of them.

    Raises:
        UsageError: an invalid config, a folder that is in use, a checkpoint of another config.
        InputError: data or files that cannot be used.
        NonFiniteLoss: the loss became NaN or infinite.
        PeerLost, RemoteFailure: another process failed, or was lost.
        KeyboardInterrupt, SystemExit(143): Ctrl-C and SIGTERM, after a checkpoint was written.
    """
    config = resolve_method(config)
    config.check()
    require_tracker(config.tracker)
    try:
        with contextlib.ExitStack() as held, join(config.device) as world, StopRequest(follow=world.size > 1) as stop:
            with world.together():
                if world.main and (lock := claim(Path(config.out), resume)) is not None:
                    held.callback(os.close, lock)
                run = Run(config, stop, world, profile)
            run.check_consistency()
            with run.report:
                return run.execute()
    except OSError as error:
        raise InputError(error.filename or config.out, error.strerror or str(error)) from error


class Run:
    """One run, set up from nothing or from its checkpoint.

    Args:
        config: checked; its folder is this run's.
        stop: asked between steps.
        world: the processes of the run.
        profile: steps to profile.
    """

    def __init__(self, config: TrainConfig, stop: StopRequest, world: World, profile: int = 0) -> None:
        self.config, self.stop, self.world = config, stop, world
        self.out = Path(config.out)
        self.last = self.out / "checkpoints" / "last.pt"
        self.best = self.out / "checkpoints" / "best.safetensors"
        self.top = TopFolder(self.out / "checkpoints" / "top")
        self.device = choose_training_device(config.device)
        if config.threads:
            torch.set_num_threads(config.threads)
        cv2.setNumThreads(1)
        if self.device.type == "cpu":
            keep_freed_memory()

        self.inputs = TrainingData(config, world, self.device)
        self.learner = build_learner(config, self.device, world)
        self.quality = quality_target(config.quality, self.device) if config.loss.quality else None
        self.position = Position()
        if self.last.exists():
            self.position = restore(self.last, self.learner, config.as_dict(), self.inputs.fingerprint)
        provenance = describe_run(config, self.device, self.quality, self.inputs, world)
        self.report = RunReport(config, self.position, provenance, world.main)

        self.schedule = self.inputs.schedule((self.position.epoch, self.position.step_in_epoch))
        pin = self.device.type == "cuda"
        self.batches = self.inputs.training(self.schedule, pin=pin)
        self.validation = self.inputs.validation(pin=pin)
        self.profile = StepProfile(self.out / "profile", profile if world.main else 0, self.device)
        self.examples = self.inputs.examples() if world.main else None

    def check_consistency(self) -> None:
        """Make sure that all processes start from the same.

        Raises:
            UsageError: they see other data or another checkpoint.
        """
        seen = self.world.gather((self.inputs.fingerprint, self.position))
        if any(other != seen[0] for other in seen):
            where = "--data and --out must be folders that all machines share"
            self.world.fail(UsageError(f"the processes of the run see other data or another checkpoint; {where}"))
        self.world.same_weights(self.learner.model)
        self.world.same_weights(self.learner.eval_model)

    def execute(self) -> Path:
        """All remaining epochs, then the final weights."""
        self.report.start(self.learner, self.inputs, self.schedule.steps)
        with progress(disable=not self.world.main) as bar, open_batches(self.batches) as batches, self.profile:
            task = bar.add_task("", total=self.schedule.steps * self.config.epochs, completed=self.position.step)
            while self.position.epoch < self.config.epochs and not self._early():
                self._epoch(batches, bar, task)
        if self.world.main:
            self._finish()
        return self.out / MODEL

    def _epoch(self, batches: Iterator[Loaded], bar: Progress, task: TaskID) -> None:
        position, config = self.position, self.config
        meter = Meter()
        rate = 0.0
        while position.step_in_epoch < self.schedule.steps:
            started = time.perf_counter()
            read = next(batches)
            waited = time.perf_counter() - started
            clock = Clock(self.device, "pairs")
            with clock.lap("pairs"):
                batch = self.inputs.maker.finish(read)
            rate = learning_rate(config.optim, position.epoch, config.epochs, position.step_in_epoch, self.schedule.steps)
            set_learning_rate(self.learner.optimizer, rate)
            result = self._step(batch)
            stop = self._exchange_status(batch.failures)
            meter.add(result, time.perf_counter() - started, waited, sum(clock.seconds()))
            if position.step % config.log_steps == 0:
                self.report.step(result, rate, meter)
            self.profile.step()
            position.step += 1
            position.step_in_epoch += 1
            bar.update(task, advance=1, description=f"epoch {position.epoch + 1}/{config.epochs} {meter.line()}")
            self._pause(stop, save=position.step % config.checkpoint_steps == 0 and position.step_in_epoch < self.schedule.steps)
        if not meter.pairs and meter.steps == self.schedule.steps:
            text = f"epoch {position.epoch + 1}: not one of its faces could be read; see {self.out / 'log.jsonl'} for their names"
            self.world.fail(FpgError(text))
        self._end_epoch(meter, rate)

    def _exchange_status(self, failures: list[str]) -> int | None:
        """What the processes tell each other after a step: faces they could not read, and whether one was asked to stop."""
        told = self.world.gather((self.stop.signal, failures))
        for _, theirs in told:
            for failure in theirs:
                self.position.counts["unreadable"] += 1
                self.report.unreadable(failure)
        return next((number for number, _ in told if number is not None), None)

    def _step(self, batch: Batch) -> StepResult | None:
        counts, position = self.position.counts, self.position
        dump = self.out / "nonfinite_batch.safetensors"
        args = (self.learner, self.quality, batch, self.config, position.epoch, position.step, dump, self.world)
        result = train_step(*args)
        if not result.pairs:
            counts["skipped_batches"] += 1
            return None
        counts["pairs"] += result.pairs
        counts["refined"] += result.refined
        counts["kept_unrefined"] += result.kept_unrefined
        counts["no_update"] += not result.updated
        return result

    def _pause(self, stop: int | None, save: bool) -> None:
        """Between two steps: write a checkpoint when it is due or when a process of the run was asked to stop."""
        if save or stop is not None:
            self._checkpoint()
        if stop is not None:
            self.report.say(f"stopped after step {self.position.step}; continue with --resume --out {self.out}")
            self.world.gather(None)  # nobody leaves while process 0 writes: the launcher would end it
            self.stop.leave(stop)

    def _checkpoint(self) -> None:
        if self.world.main:
            save_checkpoint(self.last, self.learner, self.position, self.config.as_dict(), self.inputs.fingerprint)

    def _end_epoch(self, meter: Meter, rate: float) -> None:
        position, config = self.position, self.config
        done = position.epoch + 1
        validation = self._validate()
        if self.examples is not None and (done % config.picture_epochs == 0 or done == config.epochs):
            self._picture(*self.examples)
        self.report.epoch(meter, rate, validation)
        position.epoch, position.step_in_epoch = done, 0
        self._checkpoint()
        if self.world.main:
            self.top.prune(position.kept)
        self._pause(self._exchange_status([]), save=False)

    def _validate(self) -> Validation | None:
        if self.validation is None:
            return None
        model = self.learner.eval_model
        result = validate(model, self.validation, self.device, self.config, self.world)
        if result is None:
            self.report.say("validation: no face could be read", "yellow")
            return None
        for failure in result.failures:
            self.report.say(f"validation, left out: {failure}", "yellow")
        new = {"auc": result.auc, "loss": result.loss, "epoch": self.position.epoch, "step": self.position.step}
        if result.better_than(self.position.best):
            if self.world.main:
                with atomic_write(self.best) as file:
                    file.write(tensors_to_bytes({name: x.contiguous() for name, x in model.state_dict().items()}))
            self.position.best = new
        self.position.latest = new
        self.position.kept = ranked(self.position.kept, new, self.config.keep_top)
        if self.world.main and new in self.position.kept:
            self.top.write(model, new, self.report.provenance)
        return result

    def _early(self) -> bool:
        """Whether the run has waited long enough for a better validation."""
        return patience_exhausted(self.position.best, self.position.epoch, self.config.patience)

    def _picture(self, batch: Batch, names: list[str]) -> None:
        split = "validation" if self.inputs.val_faces.entries else "training"
        guided = self.config.guidance.shape or self.config.guidance.magnitude
        what = "what guidance makes of their forgeries" if guided else "their forgeries, without guidance"
        title = f"After epoch {self.position.epoch + 1}: {split} faces, and {what}"
        self.report.picture(picture_grid(self.learner.eval_model, batch, names, self.config, title, self.device))

    def _finish(self) -> None:
        position, model, validation = self.position, self.learner.eval_model, self.position.latest
        what = f"last epoch, {position.epoch}" + ("" if validation else "; nothing was validated")
        if position.epoch < self.config.epochs:
            self.report.say(f"no better validation AUC in {self.config.patience} epochs: the run ends after {position.epoch}")
        if self.config.keep == "best" and position.best is not None:
            model.load_state_dict(load_file(str(self.best)))
            validation = position.best
            what = f"best validation AUC, epoch {int(validation['epoch']) + 1}"
        path = self.out / MODEL
        provenance = {
            **self.report.provenance,
            "weights": what,
            "validation": validation,
            "best_validation": position.best,
            "epochs": position.epoch,
            "steps": position.step,
            "counts": position.counts,
            "how_to_use": f"fpg-detect {path.name} INPUT...; fpg-eval {path.name} --data DIR; or fpg.models.load_detector('{path.name}')",
        }
        save_detector(path, model, provenance=provenance, warnings=few_people(provenance))
        self.report.end(path, what)
