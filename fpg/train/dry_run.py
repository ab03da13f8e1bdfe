"""What a run would need, from one of its batches: memory, time, disk. Nothing is written."""

from __future__ import annotations

import dataclasses
import math
import resource
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fpg.common.errors import FpgError
from fpg.guidance.quality import QualityTarget
from fpg.train.config import TrainConfig
from fpg.train.distributed import ALONE, World
from fpg.train.inputs import TrainingData
from fpg.train.learner import Learner
from fpg.train.pairs import Batch
from fpg.train.quality import quality_target
from fpg.train.setup import build_learner, choose_training_device
from fpg.train.step import train_step
from fpg.train.validate import CachedBatches, validate


@dataclass(frozen=True)
class RunEstimate:
    """What one process of the run would need. Seconds of a step are measured with real pairs."""

    steps: int
    """Of an epoch."""
    epochs: int
    processes: int
    batch: int
    """Images of an update, over all processes."""
    plain_s: float
    """A step in which the coin of magnitude refinement falls on no."""
    magnitude_s: float
    """A step in which it falls on yes; the same where there is no such refinement."""
    magnitude_share: float
    """How often it does, in [0, 1]."""
    read_s: float
    """What workers do for a step, in one process: reading faces and, where the training process does not, making pairs."""
    make_s: float
    """Making the pairs of a step in the training process."""
    workers: int
    """Processes that read; 0 reads in the training process."""
    validation_s: float
    """Of an epoch; 0 without validation."""
    memory: int
    """Peak bytes: of the GPU's memory, or of this process's on a CPU."""
    memory_total: int | None
    """What the GPU has; None on a CPU."""
    checkpoint: int
    """Bytes of `last.pt`."""
    weights: int
    """Bytes of one file of weights."""
    disk: int
    """Bytes of all that the run keeps, and of the checkpoint being written next to the last one."""
    disk_free: int
    trained: int
    """Parameters that are trained ..."""
    parameters: int
    """... of those there are."""

    @property
    def step_s(self) -> float:
        """Seconds of a step, both sides of the coin in their shares, waiting for workers included."""
        step = (1 - self.magnitude_share) * self.plain_s + self.magnitude_share * self.magnitude_s + self.make_s
        return max(step, self.read_s / self.workers) if self.workers else step + self.read_s

    @property
    def total_s(self) -> float:
        """Seconds of the whole run, start-up, pictures and checkpoints aside."""
        return self.epochs * (self.steps * self.step_s + self.validation_s)

    def lines(self) -> list[str]:
        """For people."""
        limit = f" of {_size(self.memory_total)}" if self.memory_total else ""
        where = "GPU memory" if self.memory_total else "memory"
        each = " in each process" if self.processes > 1 else ""
        slow = self.workers and self.read_s / self.workers >= self.step_s
        short = "" if self.disk <= self.disk_free else ": NOT ENOUGH"
        return [
            f"dry run: nothing was written; {self.epochs} epochs of {self.steps} steps of {self.batch} images"
            + (f" in {self.processes} processes (measured: one of them, without communication)" if self.processes > 1 else ""),
            f"step: {_time(self.step_s)} ({_time(self.plain_s)} without, {_time(self.magnitude_s)} with magnitude refinement, "
            f"which {self.magnitude_share:.0%} of the steps have); {self.batch / self.step_s:.1f} images/s",
            f"pairs of a step: {_time(self.read_s)} to read, for {self.workers} workers"
            + (" (slower than the step: use more --workers)" if slow else "")
            + f"; {_time(self.make_s)} to make in the training process",
            f"parameters: {_millions(self.trained)} of {_millions(self.parameters)} million are trained",
            f"{where}: {_size(self.memory)}{limit} at the peak{each}",
            f"disk: {_size(self.disk)} (checkpoint {_size(self.checkpoint)}, weights {_size(self.weights)}), "
            f"{_size(self.disk_free)} free{short}",
            f"whole run: about {_time(self.total_s)}, including {_time(self.epochs * self.validation_s)} of validation; "
            "start-up, pictures and checkpoints come on top",
        ]


def dry_run(config: TrainConfig, processes: int = 1) -> RunEstimate:
    """Set a run up, take steps with its first batch on both sides of the coin, and say what all of it would need.

    Args:
        config: resolved and checked.
        processes: that would divide each batch; one of them is measured, without their communication.

    Raises:
        UsageError, InputError: as of a run.
        FpgError: no face of the first batch can be read.
    """
    device = choose_training_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    inputs = TrainingData(dataclasses.replace(config, pictures=0), World(0, processes), device)
    learner = build_learner(config, device, ALONE)
    quality = quality_target(config.quality, device) if config.loss.quality else None
    batch, read_s, make_s = _one_batch(inputs, device)

    guided = config.guidance.magnitude and config.guidance.eps > 0
    sides = [_seconds(learner, quality, batch, _with_coin(config, side), device) for side in (True, False)]
    checkpoint, weights = _bytes(learner.state_dict()), _bytes(learner.eval_model.state_dict())
    folder = next(path for path in (Path(config.out).absolute(), *Path(config.out).absolute().parents) if path.exists())
    return RunEstimate(
        steps=inputs.schedule((0, 0)).steps,
        epochs=config.epochs,
        processes=processes,
        batch=config.batch,
        magnitude_s=sides[0],
        plain_s=sides[1],
        magnitude_share=config.guidance.step_probability if guided else 0.0,
        read_s=read_s,
        make_s=make_s,
        workers=inputs.workers,
        validation_s=_validation(learner, inputs, batch, config, device, processes),
        memory=_peak(device),
        memory_total=torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None,
        checkpoint=checkpoint,
        weights=weights,
        disk=2 * checkpoint + (2 + config.keep_top + bool(config.keep_top)) * weights,
        disk_free=shutil.disk_usage(folder).free,
        trained=sum(parameter.numel() for parameter in learner.model.parameters() if parameter.requires_grad),
        parameters=sum(parameter.numel() for parameter in learner.model.parameters()),
    )


def _one_batch(inputs: TrainingData, device: torch.device) -> tuple[Batch, float, float]:
    """This process's part of the first batch; the seconds of reading it in one process, and of making its pairs afterwards."""
    keys = inputs.world.shard(inputs.schedule((0, 0)).batch(0, 0))
    dataset = inputs.dataset(inputs.faces, "pair")
    started = time.perf_counter()
    read = inputs.maker.collate([dataset[key] for key in keys])
    reading = time.perf_counter() - started
    if not len(read):
        raise FpgError(f"no face of the first batch could be used; the first: {read.failures[0]}")
    for _ in range(2):
        started = time.perf_counter()
        batch = inputs.maker.finish(read)
        making = _since(started, device)
    return batch, reading, making


def _with_coin(config: TrainConfig, side: bool) -> TrainConfig:
    """The config with the coin of magnitude refinement always on one side."""
    return dataclasses.replace(config, guidance=dataclasses.replace(config.guidance, step_probability=float(side)))


def _seconds(learner: Learner, quality: QualityTarget | None, batch: Batch, config: TrainConfig, device: torch.device) -> float:
    """Of a step, after one that is not counted."""
    seconds = math.inf
    for step in range(2):
        started = time.perf_counter()
        train_step(learner, quality, batch, config, 0, step, None)
        seconds = _since(started, device)
    return seconds


def _since(started: float, device: torch.device) -> float:
    """Seconds, what the GPU still has to do included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _validation(learner: Learner, inputs: TrainingData, batch: Batch, config: TrainConfig, device: torch.device, processes: int) -> float:
    """Seconds of a validation, from one over the training batch."""
    if not inputs.val_faces.entries:
        return 0.0
    started = time.perf_counter()
    validate(learner.eval_model, CachedBatches([batch], inputs.maker.finish, 0), device, config)
    per_pair = (time.perf_counter() - started) / len(batch)
    return per_pair * math.ceil(len(inputs.val_faces) / processes)


def _peak(device: torch.device) -> int:
    """Bytes; on a CPU of the whole process (Linux counts in KiB)."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _bytes(value: Any) -> int:
    """Of all tensors in nested containers."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(_bytes(item) for item in items)


def _millions(count: int) -> str:
    return f"{count / 1e6:.3g}"


def _size(value: int) -> str:
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.1f} MB"


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
