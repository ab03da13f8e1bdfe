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
import numpy as np
import torch
import yaml
from rich.progress import Progress, TaskID
from safetensors.torch import load_file
from safetensors.torch import save as tensors_to_bytes

from fpg.common.console import console, progress
from fpg.common.errors import FpgError, InputError, UsageError
from fpg.common.files import atomic_write, remove_unfinished, write_json
from fpg.data.dataset import RealFaces, fingerprint
from fpg.models.detector import Detector, build_detector, save_detector
from fpg.train.config import TrainConfig, learning_rate
from fpg.train.log import RunLog, environment
from fpg.train.meter import Meter
from fpg.train.pairs import Batch, PairDataset, Schedule, collate, loader, open_batches, usable_workers
from fpg.train.pictures import picture_grid, save_picture
from fpg.train.quality import quality_target
from fpg.train.state import Position, restore, save_checkpoint
from fpg.train.step import StepResult, seed_torch, train_step
from fpg.train.stop import StopRequest
from fpg.train.validate import Remembered, Validation, validate


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
            with run.log:
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
        _claim(self.out, resume)
        self.device = _device(config.device)
        if config.threads:
            torch.set_num_threads(config.threads)
        cv2.setNumThreads(1)

        self.faces = RealFaces(config.data, "train", config.frames_per_video)
        self.val_faces = RealFaces(config.data, "val", config.val_frames_per_video)
        self.fingerprint = fingerprint(config.data)
        if not self.faces.entries:
            fakes = f" ({self.faces.fakes} fake ones are there, and not used)" if self.faces.fakes else ""
            raise InputError(config.data[0], f"no real faces in split train{fakes}; training needs real videos in the training split")

        seed_torch(config.seed, "init")
        model = build_detector(config.model.detector(), pretrained=config.model.pretrained)
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.quality = quality_target(config.quality, self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.optim.lr,
            betas=(config.optim.beta1, config.optim.beta2),
            eps=config.optim.eps,
            weight_decay=config.optim.weight_decay,
        )
        self.position = Position()
        if self.last.exists():
            self.position = restore(self.last, self.model, self.optimizer, config.as_dict(), self.fingerprint)
        self._write_config()
        self.log = RunLog(self.out, self.position.step, self.position.epoch)

        pairs = config.batch // 2
        workers = usable_workers(config.workers, pairs, config.model.image_size)
        self.schedule = Schedule(
            len(self.faces) * config.repeat, pairs, config.epochs, config.seed, (self.position.epoch, self.position.step_in_epoch)
        )
        dataset = PairDataset(self.faces, config.augment, config.model.image_size, config.seed)
        self.batches = loader(dataset, self.schedule, workers, pin=self.device.type == "cuda")
        self.validation = self._validation_batches(pairs, workers)
        self.examples = self._examples()

    def execute(self) -> Path:
        """All remaining epochs, then the final weights."""
        self._announce()
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
                self._log_step(result, meter)
            position.step += 1
            position.step_in_epoch += 1
            bar.update(task, advance=1, description=f"epoch {position.epoch + 1}/{config.epochs} {meter.line()}")
            self._pause(save=position.step % config.checkpoint_steps == 0 and position.step_in_epoch < self.schedule.steps)
        if not meter.pairs and meter.steps == self.schedule.steps:
            raise FpgError(f"epoch {position.epoch + 1}: not one of its faces could be read; see {self.log.path} for their names")
        self._end_epoch(meter)

    def _step(self, batch: dict[str, Any]) -> StepResult | None:
        counts, position = self.position.counts, self.position
        for failure in batch["failures"]:
            counts["unreadable"] += 1
            console.print(f"left out: {failure}", style="yellow", markup=False)
            self.log.line("unreadable", position.step, epoch=position.epoch, face=failure)
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
            console.print(f"stopped after step {self.position.step}; go on with --resume --out {self.out}", markup=False)
            self.stop.leave(self.stop.signal)

    def _checkpoint(self) -> None:
        save_checkpoint(self.last, self.model, self.optimizer, self.position, self.config.as_dict(), self.fingerprint)

    def _end_epoch(self, meter: Meter) -> None:
        position, config = self.position, self.config
        done, last_step = position.epoch + 1, max(0, position.step - 1)
        summary: dict[str, Any] = {"epoch": position.epoch, "lr": self.optimizer.param_groups[0]["lr"], **meter.values(), **position.counts}
        validation = self._validate()
        if validation is not None:
            summary |= {"val_auc": validation.auc, "val_loss": validation.loss, "val_images": validation.images}
            self.log.scalars("val", last_step, {"auc": validation.auc, "loss": validation.loss})
        if config.pictures and (done % config.picture_epochs == 0 or done == config.epochs):
            self._picture(last_step)
        self.log.line("epoch", last_step, **summary)
        line = f"epoch {done}/{config.epochs}: {meter.line()}"
        console.print(line + (f"  val AUC {validation.auc:.4f} loss {validation.loss:.3f}" if validation else ""), markup=False)
        position.epoch, position.step_in_epoch = done, 0
        self._checkpoint()
        self._pause(save=False)

    def _validate(self) -> Validation | None:
        if self.validation is None:
            return None
        result = validate(self.model, self.validation, self.device, self.config.precision)
        if result is None:
            console.print("validation: not one face could be read", style="yellow")
            return None
        for failure in result.failures:
            console.print(f"validation, left out: {failure}", style="yellow", markup=False)
        if result.better_than(self.position.best):
            with atomic_write(self.best) as file:
                file.write(tensors_to_bytes({name: x.contiguous() for name, x in self.model.state_dict().items()}))
            self.position.best = {"auc": result.auc, "loss": result.loss, "epoch": self.position.epoch, "step": self.position.step}
        return result

    def _validation_batches(self, pairs: int, workers: int) -> Remembered | None:
        if not self.val_faces.entries:
            console.print(
                "validation: no real faces in split val; nothing is validated, and the last weights become the final ones", style="yellow"
            )
            return None
        dataset = self._validation_pairs()
        keys = [(0, sample) for sample in range(len(self.val_faces))]
        batches = [keys[start : start + pairs] for start in range(0, len(keys), pairs)]
        size = len(keys) * 10 * self.config.model.image_size**2 * 4
        return Remembered(loader(dataset, batches, workers), size)

    def _validation_pairs(self) -> PairDataset:
        return PairDataset(self.val_faces, self.config.augment, self.config.model.image_size, self.config.seed, "val")

    def _examples(self) -> tuple[Batch, list[str]] | None:
        """A fixed batch for the picture grid: validation faces, or training faces where there are none; spread over the people."""
        if not self.config.pictures:
            return None
        faces = self.val_faces if self.val_faces.entries else self.faces
        dataset = PairDataset(faces, self.config.augment, self.config.model.image_size, self.config.seed, "picture")
        chosen = np.unique(np.linspace(0, len(faces) - 1, self.config.pictures).astype(int))
        batch = collate([dataset[0, int(sample)] for sample in chosen])
        if not batch["samples"]:
            return None
        return cast(Batch, batch), [faces.entries[sample].name for sample in batch["samples"]]

    def _picture(self, step: int) -> None:
        if self.examples is None:
            return
        batch, names = self.examples
        split = "validation" if self.val_faces.entries else "training"
        title = f"After epoch {self.position.epoch + 1}: {split} faces, and what guidance makes of their forgeries"
        image = picture_grid(self.model, batch, names, self.config, title, self.device)
        save_picture(self.out / "pictures" / f"epoch_{self.position.epoch:03d}.png", image)
        self.log.picture("pairs", step, image)

    def _log_step(self, result: StepResult | None, meter: Meter) -> None:
        position = self.position
        if result is None:
            self.log.line("step", position.step, epoch=position.epoch, updated=False, pairs=0)
            return
        share = result.refined / result.pairs
        values = {
            "lr": self.optimizer.param_groups[0]["lr"],
            **result.losses,
            "refined": share,
            "images_per_s": meter.rate,
            "data_wait": meter.wait,
        }
        counts = {"pairs": result.pairs, "selected": result.selected, "kept_unrefined": result.kept_unrefined, "updated": result.updated}
        self.log.line("step", position.step, epoch=position.epoch, **values, **counts)
        self.log.scalars("train", position.step, values)

    def _write_config(self) -> None:
        with atomic_write(self.out / "config.yaml", "w") as file:
            yaml.safe_dump(self.config.as_dict(), file, sort_keys=False)
        self.provenance = {
            **environment(self.device),
            "seed": self.config.seed,
            "method": "FPG (ACM MM 2024)" if self.config.guidance.shape or self.config.guidance.magnitude else "self-blended images",
            "quality": {"name": self.quality.name, "description": self.quality.description},
            "data": {
                "fingerprint": self.fingerprint,
                "folders": self.config.data,
                "train_faces": len(self.faces),
                "train_videos": self.faces.videos,
            }
            | {"val_faces": len(self.val_faces), "val_videos": self.val_faces.videos},
        }
        if not self.position.step:
            write_json(self.out / "environment.json", self.provenance)

    def _announce(self) -> None:
        self.log.line("start", self.position.step, **self.provenance)
        parameters = sum(p.numel() for p in self.model.parameters()) / 1e6
        console.print(
            f"{self.config.model.backbone} at {self.config.model.image_size} px, {parameters:.1f} M parameters, on {self.device}; "
            f"{len(self.faces)} faces of {self.faces.videos} videos, validation {len(self.val_faces)} of {self.val_faces.videos}; "
            f"{self.config.epochs} epochs of {self.schedule.steps} steps; quality target: {self.quality.name}",
            markup=False,
        )
        if self.position.step:
            console.print(f"resumed at epoch {self.position.epoch + 1}, step {self.position.step}")

    def _finish(self) -> Path:
        position, best = self.position, self.position.best
        if best is not None:
            self.model.load_state_dict(load_file(str(self.best)))
        what = f"best validation AUC, epoch {int(best['epoch']) + 1}" if best else "last epoch, nothing was validated"
        path = self.out / "model.safetensors"
        provenance = {
            **self.provenance,
            "weights": what,
            "validation": best,
            "epochs": position.epoch,
            "steps": position.step,
            "counts": position.counts,
            "how_to_use": f"fpg-detect {path.name} INPUT...; fpg-eval {path.name} --data DIR; or fpg.models.load_detector('{path.name}')",
        }
        save_detector(path, cast(Detector, self.model), provenance=provenance)
        self.log.line("end", position.step, weights=what, **position.counts)
        counts = position.counts
        console.print(
            f"{path} ({what}): {counts['pairs']} pairs, {counts['refined']} refined in shape, {counts['kept_unrefined']} kept as their "
            f"mask would be empty, {counts['no_update']} steps without a pair, {counts['unreadable']} unreadable faces left out",
            markup=False,
        )
        return path


def _claim(out: Path, resume: bool) -> None:
    used = out.is_dir() and any(not path.match(".*.part") for path in out.iterdir())
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out: expected a folder, {out} is a file")
    if used and not resume:
        raise UsageError(f"--out: {out} is not empty; go on with --resume, or choose another folder")
    if resume and not (out / "config.yaml").is_file():
        raise UsageError(f"--resume: {out} holds no run (no config.yaml)")
    if out.is_dir():
        remove_unfinished(out)


def _device(name: str) -> torch.device:
    """`auto` is a GPU when there is one.

    Raises:
        UsageError: a GPU is asked for and none is there, or the name means nothing.
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device: expected auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("device: no CUDA GPU can be used on this machine (see fpg-doctor)")
    return device
