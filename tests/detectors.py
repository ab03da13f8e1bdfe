"""Detectors for tests, made in a moment."""

from __future__ import annotations

import torch
from torch import nn

from fpg.models.detector import Detector, DetectorConfig


def lively_detector(config: DetectorConfig) -> Detector:
    """Random weights whose probabilities spread, so that a comparison means something."""
    torch.manual_seed(11)
    model = Detector(config)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    with torch.no_grad():
        logits = model.eval()(torch.rand(4, 3, config.image_size, config.image_size)).logits
        model.classifier.weight.mul_(1.0 / (logits.std() + 1e-6))
    return model
