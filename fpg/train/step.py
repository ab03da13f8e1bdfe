"""One training step (FPG, ACM MM 2024; METHOD 4.1 to 4.6): perceive and refine, quality targets, forward, losses, update."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from fpg.common.errors import FpgError, InputError
from fpg.common.files import atomic_write
from fpg.common.rng import stream
from fpg.guidance.draws import draw_guidance
from fpg.guidance.guide import Pairs, Refined, refine
from fpg.guidance.losses import Losses, fpg_loss
from fpg.guidance.quality import QualityTarget
from fpg.models.detector import Detector, DetectorOutput
from fpg.train.config import TrainConfig
from fpg.train.pairs import Batch

LOSS_PARTS = ("loss", "classification", "similarity", "quality")


@dataclass(frozen=True)
class StepResult:
    """What a step did."""

    losses: dict[str, float]
    """`LOSS_PARTS`; empty when no pair was selected."""
    pairs: int
    selected: int
    refined: int
    kept_unrefined: int
    updated: bool
    guidance_s: float
    """Seconds spent in refinement (METHOD 4.1 to 4.3)."""
    quality_s: float
    """Seconds spent in quality targets (METHOD 4.4)."""


class NonFiniteLoss(FpgError):
    """The loss became NaN or infinite; the batch is saved for inspection."""


def seed_torch(seed: int, *keys: int | str) -> None:
    """Seed torch's generators for what happens next, from the run's seed and a position."""
    torch.manual_seed(int(stream(seed, "torch", *keys).integers(2**63)))


def to_pairs(batch: Batch, device: torch.device) -> Pairs:
    """The images of a batch on a device, channels last."""

    def move(x: Tensor) -> Tensor:
        return x.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)

    return Pairs(real=move(batch["real"]), fake=move(batch["fake"]), source=move(batch["source"]), mask=move(batch["mask"]))


def train_step(
    model: Detector,
    optimizer: torch.optim.Optimizer,
    quality: QualityTarget,
    batch: Batch,
    config: TrainConfig,
    epoch: int,
    step: int,
    device: torch.device,
    dump: Path,
) -> StepResult:
    """Refine the forgeries of a batch, learn from it.

    Args:
        quality: target of the quality head for images [2N, 3, S, S] in [0, 1] and what is known of the faces.
        epoch, step: position of the run, from which guidance and dropout draw; the learning rate is the optimiser's.
        dump: where the batch goes when the loss is not finite.

    Raises:
        NonFiniteLoss: after saving the batch; the weights are those before the step.
    """
    clock = _Clock(device)
    pairs = to_pairs(batch, device)
    draws = draw_guidance(config.seed, epoch, step, batch["samples"], config.guidance)
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")
    clock.lap()
    with autocast:
        refined = refine(model, pairs, draws, config.guidance)
    guidance_s = clock.lap()
    images = refined.pairs.images()
    target = quality(images, *(torch.cat([known, known]).to(device) for known in (batch["pose"], batch["face_size"])))
    quality_s = clock.lap()

    model.train()
    seed_torch(config.seed, "step", step)
    with autocast:
        output = model(images)
    losses = fpg_loss(output, refined.pairs.mask, target, config.loss)
    values = _values(losses)
    if losses.total is not None:
        if not all(math.isfinite(value) for value in values.values()):
            kept = _save_batch(dump, refined, target, output)
            parts = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise NonFiniteLoss(f"step {step} (epoch {epoch}): the loss is not finite ({parts}); {kept}, the last checkpoint is as it was")
        optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        optimizer.step()
    selected = int(losses.selected.sum())
    return StepResult(
        values,
        len(batch["samples"]),
        selected,
        int(refined.refined.sum()),
        int(refined.kept_unrefined),
        bool(selected),
        guidance_s,
        quality_s,
    )


def _values(losses: Losses) -> dict[str, float]:
    parts = (losses.total, losses.classification, losses.similarity, losses.quality)
    return {name: float(part.detach()) for name, part in zip(LOSS_PARTS, parts, strict=True) if part is not None}


def _save_batch(path: Path, refined: Refined, target: Tensor, output: DetectorOutput) -> str:
    """Save for inspection; says where the batch is, or why it could not be saved."""
    pairs = refined.pairs
    tensors = {"real": pairs.real, "fake": pairs.fake, "source": pairs.source, "mask": pairs.mask, "quality_target": target}
    tensors |= {"logits": output.logits, "quality": output.quality}
    try:
        with atomic_write(path) as file:
            file.write(tensors_to_bytes({name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}))
    except InputError as error:
        return f"the batch could not be saved ({error})"
    return f"the batch is in {path}"


class _Clock:
    """Seconds between laps, with the device's work done."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.last = time.perf_counter()

    def lap(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        seconds, self.last = now - self.last, now
        return seconds
