"""What is exported: a network with one input, named outputs and a free batch; height and width are fixed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fpg.common.spec import DETECTOR, OUTPUTS
from fpg.models.detector import Detector, ExportModule

INPUT = "images"


@dataclass(frozen=True)
class ExportNetwork:
    """A module in evaluation mode on the CPU that takes `INPUT`, float32 [B, 3, size, size] in [0, 1]."""

    module: nn.Module
    size: int
    kind: str = DETECTOR
    """One of `fpg.common.spec.OUTPUTS`."""
    has_map: bool = True
    """Whether a detector has its second output."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names, in order."""
        return OUTPUTS[self.kind] if self.has_map else OUTPUTS[self.kind][:1]

    def example(self) -> Tensor:
        """A batch of two (a batch of one would be taken for a constant)."""
        return torch.rand(2, 3, self.size, self.size, generator=torch.Generator().manual_seed(0))


def of_detector(detector: Detector) -> ExportNetwork:
    """The forgery detector with its logits and, where it has one, its activation map."""
    return ExportNetwork(ExportModule(detector).cpu().eval(), detector.config.image_size, has_map=detector.config.has_map)


def free_batch() -> dict[str, dict[int, torch.export.Dim]]:
    """The dynamic shapes of `torch.export`: the first dimension of the images."""
    return {INPUT: {0: torch.export.Dim("batch", min=1)}}
