"""The face image quality network of SDD-FIQA (CVPR 2021): an IR-50 at 112 x 112 with one number as its answer.

Tensor names are those of the published weights. FPG (ACM MM 2024) regresses this network's answer / 50.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZE = 112
"""Side of the network's input, pixels."""
STAGES = ((3, 64), (4, 128), (14, 256), (3, 512))
"""Blocks and channels of IR-50; the first block of every stage halves the resolution."""


class ResidualBlock(nn.Module):
    """Normalise, 3 x 3, PReLU, 3 x 3 (with the stride), normalise, plus a shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, out, 3, padding=1, bias=False),
            nn.PReLU(out),
            nn.Conv2d(out, out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        if channels != out:
            self.shortcut_layer = nn.Sequential(nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, out, h / stride, w / stride]; where channels stay, the shortcut is plain subsampling."""
        shortcut = self.shortcut_layer(x) if hasattr(self, "shortcut_layer") else x[..., :: self.stride, :: self.stride]
        return self.res_layer(x) + shortcut


class Fiqa(nn.Module):
    """IR-50 with a quality head. Random weights until a published file is imported (`fpg.models.checkpoints`)."""

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        features = 512 * 7 * 7
        self.quality = nn.Sequential(nn.Flatten(), nn.PReLU(features), nn.Dropout(dropout), nn.Linear(features, 1))
        blocks, channels = [], 64
        for count, out in STAGES:
            blocks += [ResidualBlock(channels if i == 0 else out, out, 2 if i == 0 else 1) for i in range(count)]
            channels = out
        self.body = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        """Quality of images of any size.

        Args:
            images: RGB float32 [B, 3, H, W] in [0, 1].

        Returns:
            float32 [B], larger is better; roughly 0 to 100 with the published weights.
        """
        return self.score(preprocess(images))

    def score(self, inputs: Tensor) -> Tensor:
        """Preprocessed inputs float32 [B, 3, 112, 112] in [-1, 1] -> quality float32 [B]."""
        return self.quality(self.body(self.input_layer(inputs))).squeeze(1)


def preprocess(images: Tensor) -> Tensor:
    """What the network sees: cast to uint8, antialiased bilinear resize in float32, rounded to uint8, to [-1, 1].

    Args:
        images: RGB float32 [B, 3, H, W] in [0, 1].

    Returns:
        float32 [B, 3, 112, 112].

    Raises:
        ValueError: another shape or type.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"images: expected float [B, 3, H, W], got {images.dtype} {list(images.shape)}")
    with torch.autocast(images.device.type, enabled=False):  # what is rounded here must not depend on the caller's precision
        bytes_ = (images.float() * 255).clamp(0, 255).to(torch.uint8).float()
        small = functional.interpolate(bytes_, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
        return (small.round().clamp(0, 255) / 255 - 0.5) / 0.5
