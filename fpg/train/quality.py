"""The target of the quality head: the published face quality network when its weights are given, else the analytic measure."""

from __future__ import annotations

import torch

from fpg.common.errors import InputError
from fpg.guidance.quality import AnalyticQuality, FiqaQuality, QualityTarget
from fpg.models.checkpoints import import_checkpoint
from fpg.models.fiqa import Fiqa


def quality_target(quality: str, device: torch.device) -> QualityTarget:
    """The target that `TrainConfig.quality` names.

    Args:
        quality: `analytic`, or the path of SDD-FIQA weights.
        device: where the network runs.

    Raises:
        InputError: the file cannot be read, or holds another network.
    """
    if quality == "analytic":
        return AnalyticQuality()
    model = import_checkpoint(quality)[0]
    if not isinstance(model, Fiqa):
        raise InputError(quality, f"expected the weights of a face quality network (SDD-FIQA), got those of a {type(model).__name__}")
    return FiqaQuality(model.eval().to(device))
