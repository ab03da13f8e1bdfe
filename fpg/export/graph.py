"""The one way a detector becomes a graph: two outputs, the batch free, height and width fixed."""

from __future__ import annotations

import torch
from torch import Tensor

from fpg.models.detector import Detector, ExportModule

INPUT = "images"
OUTPUTS = ("logits", "activation_map")


def module_and_example(detector: Detector) -> tuple[ExportModule, Tensor]:
    """The module to export, in evaluation mode on the CPU, and an example batch of two (a batch of one would be taken for a constant)."""
    size = detector.config.image_size
    return ExportModule(detector).cpu().eval(), torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def free_batch() -> dict[str, dict[int, torch.export.Dim]]:
    """The dynamic shapes of `torch.export`: the first dimension of the images."""
    return {INPUT: {0: torch.export.Dim("batch", min=1)}}
