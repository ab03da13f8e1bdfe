"""One training step (FPG, ACM MM 2024; METHOD 4.1 to 4.6): perceive and refine, quality targets, forward, losses, update.

Every loss is a mean over the selected pairs of the global batch: of all processes and all accumulated passes. Each pass divides its sums
by the nominal number of pairs P; when the number c of selected ones is known, losses and gradients are multiplied by P / c.
Running statistics of batch normalisation follow every image that is seen in training mode, also in a step without a selected pair, and
none that is only perceived.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import torch
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from fpg.common.errors import FpgError, InputError
from fpg.common.files import atomic_write
from fpg.common.rng import stream
from fpg.guidance.draws import draw_guidance
from fpg.guidance.guide import refine
from fpg.guidance.losses import loss_sums
from fpg.guidance.quality import QualityTarget
from fpg.pairs import Pairs
from fpg.train.clock import Clock
from fpg.train.config import TrainConfig
from fpg.train.distributed import ALONE, World
from fpg.train.learner import Learner, autocast, memory_format
from fpg.train.pairs import Batch
from fpg.train.sam import ascended

LOSS_PARTS = ("loss", "classification", "similarity", "quality")


@dataclass(frozen=True)
class StepResult:
    """What a step did, over all processes."""

    losses: dict[str, float]
    """`LOSS_PARTS`; empty when no pair was selected."""
    pairs: int
    """0 when no face could be read."""
    selected: int
    refined: int
    kept_unrefined: int
    updated: bool
    """False when no pair was selected, or when float16 gradients overflowed and the scaler left the step out."""
    guidance_s: float
    """Seconds that process 0 spent in refinement (METHOD 4.1 to 4.3)."""
    quality_s: float
    """Seconds that process 0 spent in quality targets (METHOD 4.4)."""


class NonFiniteLoss(FpgError):
    """The loss became NaN or infinite; the batch is saved for inspection."""


def seed_torch(seed: int, *keys: int | str) -> None:
    """Seed torch's generators for what happens next, from the run's seed and a position."""
    torch.manual_seed(int(stream(seed, "torch", *keys).integers(2**63)))


def to_pairs(batch: Batch, config: TrainConfig, device: torch.device, part: slice = slice(None)) -> Pairs:
    """The images of a batch, or of a part of it, on a device."""

    def move(x: Tensor) -> Tensor:
        return x[part].to(device, non_blocking=True).contiguous(memory_format=memory_format(config))

    return batch.pairs.map(move)


class MicroBatch(NamedTuple):
    """The pairs of one forward and backward pass; a batch is one part unless passes are accumulated."""

    pairs: Pairs
    samples: list[int]
    pose: Tensor
    """[N, 3]."""
    face_size: Tensor
    """[N]."""


def micro_batches(batch: Batch, config: TrainConfig, device: torch.device) -> Iterator[MicroBatch | None]:
    """The batch in `config.accumulate` parts, None for those that stay empty."""
    for indices in np.array_split(np.arange(len(batch)), config.accumulate):
        if not len(indices):
            yield None
            continue
        part = slice(int(indices[0]), int(indices[-1]) + 1)
        pairs = to_pairs(batch, config, device, part)
        known = (value[part].to(device, non_blocking=True) for value in (batch.pose, batch.face_size))
        yield MicroBatch(pairs, batch.samples[part], *known)


class PassRecord(NamedTuple):
    """What a pass looked at, kept until its losses are known to be finite; nothing carries a gradient."""

    pairs: Pairs
    quality_target: Tensor
    logits: Tensor
    quality: Tensor


def train_step(
    learner: Learner,
    quality: QualityTarget | None,
    batch: Batch,
    config: TrainConfig,
    epoch: int,
    step: int,
    dump: Path | None,
    world: World = ALONE,
) -> StepResult:
    """Refine the forgeries of a batch, learn from it; all processes of the run together.

    Args:
        quality: target of the quality head for images [2N, 3, S, S] in [0, 1] and what is known of the faces; None for no target, and then
            no loss and no gradient.
        batch: this process's part of the global batch, possibly without any pair.
        epoch, step: position of the run, from which guidance and dropout draw; the learning rate is the optimiser's.
        dump: where the batch goes when its loss is not finite; other processes than 0 append their rank to the name. None saves
            nothing.

    Raises:
        NonFiniteLoss: after the processes that saw it saved their batch; the weights are those before the step.
        PeerLost, RemoteFailure: another process is gone, or reports the error.
    """
    clock = Clock(learner.device, "guidance", "quality")
    model, optimizer = learner.model, learner.optimizer
    nominal = config.batch // 2
    optimizer.zero_grad(set_to_none=True)
    rows: list[Tensor] = []
    passes: list[PassRecord | None] = []
    for number, part in enumerate(micro_batches(batch, config, learner.device)):
        seed_torch(config.seed, "step", step, world.rank, number)
        if part is None:
            passes.append(None)
            if learner.synchronised:
                _take_part(learner, config)
            continue
        row, looked_at = forward_backward(learner, quality, part, config, epoch, step, nominal, clock)
        rows.append(row)
        passes.append(looked_at)
    seen = [looked_at for looked_at in passes if looked_at is not None]

    local = torch.stack(rows) if rows else torch.zeros(1, len(LOSS_PARTS) + 4, dtype=torch.float64, device=learner.device)
    *sums, selected, pairs, refined, kept = world.sum(local.sum(0)).tolist()
    factor = nominal / selected if selected else 0.0
    losses = dict(zip(LOSS_PARTS, (value * factor for value in sums), strict=True)) if selected else {}
    if not all(math.isfinite(value) for value in losses.values()):
        _stop(local, seen, losses, epoch, step, dump, world)
    updated = bool(selected)
    if updated:
        world.sum_gradients(model.parameters(), factor)
        if config.optim.sam:
            _sharpness_aware(learner, passes, config, step, nominal, factor, world)
    world.average_statistics(model)  # before the average of the weights follows them
    if updated:
        updated = _update(learner)
    return StepResult(losses, int(pairs), int(selected), int(refined), int(kept), updated, *clock.seconds())


def forward_backward(
    learner: Learner,
    quality: QualityTarget | None,
    part: MicroBatch,
    config: TrainConfig,
    epoch: int,
    step: int,
    nominal: int,
    clock: Clock,
) -> tuple[Tensor, PassRecord]:
    """Forward and backward pass for some pairs: (losses divided by `nominal`, pairs selected, seen, refined, kept unrefined; float64), and
    what it looked at.

    With float32 or bfloat16 nothing here waits for a GPU: it is asked once per step, for these numbers, when all of its work is queued.
    """
    precision = autocast(config.precision, learner.device)
    draws = draw_guidance(config.seed, epoch, step, part.samples, config.guidance)
    with clock.lap("guidance"), precision:
        refined = refine(learner.model, part.pairs, draws, config.guidance, learner.perception)
    images = refined.pairs.images()
    with clock.lap("quality"):
        target = None if quality is None else quality(images, *(torch.cat([known, known]) for known in (part.pose, part.face_size)))

    learner.train()
    with precision:
        output = learner(images)
    target = output.quality.detach() if target is None else target
    sums = loss_sums(output, _counting(refined.pairs.mask, config), target, config.loss.class_weights)
    losses = sums.means(config.loss, pairs=nominal)
    assert losses.total is not None
    learner.scaler.scale(losses.total).backward()
    seen = torch.full((), len(part.samples), device=learner.device)
    counts = (sums.selected.sum(), seen, refined.refined.sum(), refined.kept_unrefined)
    numbers = [value.detach().double() for value in (*losses[:4], *counts) if value is not None]
    return torch.stack(numbers), PassRecord(refined.pairs, target, output.logits.detach(), output.quality.detach())


def _counting(mask: Tensor, config: TrainConfig) -> Tensor:
    """The masks [N, 1, S, S] that say which pairs count in the losses: with `loss.over` all of them, whatever was forged."""
    return torch.ones_like(mask) if config.loss.over == "all" else mask


def _sharpness_aware(
    learner: Learner, passes: list[PassRecord | None], config: TrainConfig, step: int, nominal: int, factor: float, world: World
) -> None:
    """Replace the gradients by those at the weights of SAM, of the same images under the same dropout.

    Raises:
        NonFiniteLoss: the loss is not finite there; the weights are those before the step.
    """
    total = torch.zeros((), dtype=torch.float64, device=learner.device)
    with ascended(learner.model, config.optim.sam_rho):
        learner.optimizer.zero_grad(set_to_none=True)
        for number, seen in enumerate(passes):
            seed_torch(config.seed, "step", step, world.rank, number)
            if seen is None:
                if learner.synchronised:
                    _take_part(learner, config)
                continue
            with autocast(config.precision, learner.device):
                output = learner(seen.pairs.images())
            target = seen.quality_target if config.loss.quality else output.quality.detach()
            sums = loss_sums(output, _counting(seen.pairs.mask, config), target, config.loss.class_weights)
            loss = sums.means(config.loss, pairs=nominal).total
            assert loss is not None
            learner.scaler.scale(loss).backward()
            total += loss.detach().double()
        world.sum_gradients(learner.model.parameters(), factor)
    if not math.isfinite(value := float(world.sum(total))):
        world.fail(NonFiniteLoss(f"step {step}: the loss is not finite ({value:g}) at the weights of SAM; optim.sam_rho may be too large"))


def _take_part(learner: Learner, config: TrainConfig) -> None:
    """Training pass over no image: the other processes wait for this one in SyncBatchNorm, forwards and backwards.

    In float32, as the statistics that SyncBatchNorm exchanges for no image have the type of its input, and else are float32.
    """
    size = config.model.image_size
    learner.train()
    output = learner(torch.zeros(0, 3, size, size, device=learner.device))
    torch.stack([x.sum() for x in output]).sum().backward()


def _update(learner: Learner) -> bool:
    """One step of the optimiser, and of the average; whether it was taken."""
    scale = learner.scaler.get_scale()
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    if learner.scaler.get_scale() < scale:
        return False
    if learner.ema is not None:
        learner.ema.update(learner.model)
    return True


def _stop(
    local: Tensor, seen: list[PassRecord], losses: dict[str, float], epoch: int, step: int, dump: Path | None, world: World
) -> NoReturn:
    """Save what made the loss NaN or infinite, where it happened, and end the run."""
    broken = [looked_at for row, looked_at in zip(local.isfinite().all(1).tolist(), seen, strict=False) if not row]
    path = dump if dump is None or world.main else dump.with_stem(f"{dump.stem}_{world.rank}")
    kept = "; ".join(text for text in world.gather(_save_batch(path, broken[0]) if broken and path else "") if text) or "no batch is saved"
    values = ", ".join(f"{name} {value:g}" for name, value in losses.items())
    world.fail(NonFiniteLoss(f"step {step} (epoch {epoch}): the loss is not finite ({values}); {kept}, the last checkpoint is as it was"))


def _save_batch(path: Path, seen: PassRecord) -> str:
    """Save for inspection; says where the batch is, or why it could not be saved."""
    pairs = seen.pairs
    tensors = {"real": pairs.real, "fake": pairs.fake, "source": pairs.source, "mask": pairs.mask}
    tensors |= {"quality_target": seen.quality_target, "logits": seen.logits, "quality": seen.quality}
    try:
        with atomic_write(path) as file:
            file.write(tensors_to_bytes({name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}))
    except InputError as error:
        return f"the batch could not be saved ({error})"
    return f"the batch is in {path}"
