"""Validation on self-blended frames of people that are not trained on: the same forgeries in every epoch (METHOD 4.6)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from fpg.common.errors import FpgError
from fpg.models.detector import Detector
from fpg.train.config import TrainConfig
from fpg.train.distributed import ALONE, World
from fpg.train.learner import autocast, memory_format
from fpg.train.pairs import Batch, Loaded, open_batches


@dataclass(frozen=True)
class Validation:
    """Result of a pass over the validation pairs."""

    auc: float
    """Area under the ROC curve over single frames, in [0, 1]."""
    loss: float
    """Mean cross-entropy."""
    images: int
    failures: list[str]

    def better_than(self, best: dict[str, float] | None) -> bool:
        """By AUC, then by loss: on few faces the AUC soon stands at 1."""
        return best is None or (self.auc, -self.loss) > (best["auc"], -best["loss"])


class CachedBatches:
    """Batches of pairs; what the loader gives is kept in memory after the first pass when it is small: validation pairs never change.

    Args:
        loader: gives batches.
        finish: makes the pairs of what it gives.
        size_bytes: of all batches.
        limit_bytes: that may be kept.
    """

    def __init__(self, loader: Iterable[Loaded], finish: Callable[[Loaded], Batch], size_bytes: int, limit_bytes: int = 1 << 28) -> None:
        self.loader, self.finish, self.keep = loader, finish, size_bytes <= limit_bytes
        self.batches: list[Loaded] | None = None

    def __iter__(self) -> Generator[Batch, None, None]:
        if self.batches is not None:
            yield from map(self.finish, self.batches)
            return
        seen = []
        with open_batches(self.loader) as batches:
            for batch in batches:
                if self.keep:
                    seen.append(batch)
                yield self.finish(batch)
        if self.keep:
            self.batches = seen


def validate(model: Detector, batches: CachedBatches, device: torch.device, config: TrainConfig, world: World = ALONE) -> Validation | None:
    """AUC and loss over the pairs of the validation frames, in evaluation mode; None when not one pair could be read.

    Each process judges its part; the result is that of all, in all.

    Raises:
        FpgError: an answer of the network is NaN or infinite.
    """
    logits: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    failures: list[str] = []
    model.eval()
    with torch.inference_mode(), autocast(config.precision, device), closing(iter(batches)) as opened:
        for batch in opened:
            failures += batch.failures
            if not len(batch):
                continue
            images = batch.pairs.images().to(device).contiguous(memory_format=memory_format(config))
            logits.append(model(images).logits.float().cpu())
            labels.append(torch.arange(2).repeat_interleave(len(batch)))
    gathered = world.gather((logits, labels, failures))
    logits, labels, failures = (list(chain(*parts)) for parts in zip(*gathered, strict=True))
    if not logits:
        return None
    y, truth = torch.cat(logits), torch.cat(labels)
    if broken := int((~torch.isfinite(y)).any(1).sum()):
        world.fail(
            FpgError(f"validation: the network's answer is not finite for {broken} of {len(y)} images; the last checkpoint is as it was")
        )
    scores = y.softmax(1)[:, 1].double().numpy()
    return Validation(float(roc_auc_score(truth.numpy(), scores)), float(F.cross_entropy(y.double(), truth)), len(truth), failures)
