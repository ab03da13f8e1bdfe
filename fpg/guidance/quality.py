"""Targets of the quality head, about 0 to 2 (FPG, ACM MM 2024): a face-image-quality network, or a stated analytic measure.

The analytic measure follows the capture-related quality components of ISO/IEC 29794-5 (sharpness, exposure, contrast, pose,
size of the face). Mappings and constants are fpg's own and are written down below; its values are no standard's scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from fpg.ops.memory import to_device

FIQA_SCALE = 50.0
"""The FIQA network's output divided by this is the target, as released."""


class QualityTarget(Protocol):
    """Scores image quality; higher is better."""

    @property
    def name(self) -> str:
        """One word for logs and the run's config."""
        ...

    @property
    def description(self) -> str:
        """One sentence for the run's config."""
        ...

    def __call__(self, images: Tensor, pose: Tensor | None = None, face_size: Tensor | None = None) -> Tensor:
        """Quality of a batch, without gradient.

        Args:
            images: float32 [B, 3, S, S] in [0, 1], RGB.
            pose: float32 [B, 3], (yaw, pitch, roll) in degrees, 0 is frontal; NaN where unknown; None if unknown for all.
            face_size: float32 [B], side of the face box in the original frame in pixels, sqrt(width x height); NaN or None as above.

        Returns:
            float32 [B], about 0 to 2.
        """
        ...


class FiqaQuality:
    """Output of a face-image-quality network / 50 (SDD-FIQA: Ou et al., CVPR 2021). Pose and size are not looked at.

    Args:
        score: images float32 [B, 3, S, S] in [0, 1] -> the network's output [B] or [B, 1], pre-processing included; the caller
            puts the network into evaluation mode.
        precision: of the network, whatever the caller's: `bf16` autocast, `fp32`, or `auto`: bf16 on a GPU, fp32 on a CPU (many have no
            instructions for bf16 and are far slower with it).

    Raises:
        ValueError: another precision.
    """

    name = "fiqa"
    description = "SDD-FIQA (IR-50, 112 x 112), output / 50"

    def __init__(self, score: Callable[[Tensor], Tensor], precision: Literal["auto", "fp32", "bf16"] = "auto") -> None:
        if precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f"precision: expected auto, fp32 or bf16, got {precision!r}")
        self._score, self.precision = score, precision

    @torch.no_grad()
    def __call__(self, images: Tensor, pose: Tensor | None = None, face_size: Tensor | None = None) -> Tensor:
        """See `QualityTarget`."""
        device = images.device.type
        low = self.precision == "bf16" or (self.precision == "auto" and device == "cuda")
        with torch.autocast(device, dtype=torch.bfloat16, enabled=low):
            scores = self._score(images).float()
        if scores.numel() != len(images):
            raise ValueError(f"scores: expected [{len(images)}] from the quality network, got {list(scores.shape)}")
        return scores.reshape(len(images)) / FIQA_SCALE


@dataclass(frozen=True)
class AnalyticConstants:
    """Constants of `AnalyticQuality`. Luminance Y is Rec. 601, in [0, 1]."""

    size: int = 224
    """Images are resized (bilinear, antialiased) to this side first, so that sharpness means the same at every input size."""
    sharpness: tuple[float, float] = (0.005, 0.12)
    """Mean |Laplacian| of Y (4-neighbour) at which sharpness is 0 and 1, logarithmic in between."""
    under: float = 25 / 255
    over: float = 247 / 255
    """Pixels with Y at or below `under`, at or above `over`, are badly exposed."""
    mean_luminance: tuple[float, float] = (0.35, 0.7)
    """Between these means of Y exposure is not reduced; it falls linearly to 0 at black and at white."""
    contrast: float = 0.2
    """Standard deviation of Y from which contrast is 1, linear below."""
    face_size: tuple[float, float] = (24.0, 256.0)
    """Side of the face in pixels at which the size component is 0 and 1, logarithmic in between."""
    floor: float = 0.01
    """Smallest value of a component, so that one of them cannot erase the others from the geometric mean."""


class Components(NamedTuple):
    """Quality components in [0, 1], each float32 [B]; NaN where pose or size is unknown."""

    sharpness: Tensor
    exposure: Tensor
    contrast: Tensor
    pose: Tensor
    face_size: Tensor


class AnalyticQuality:
    """Quality from the image itself, its pose and its size: 2 x the geometric mean of the components that are known.

    - sharpness: mean |Laplacian| of the luminance on a logarithmic scale;
    - exposure: fraction of well exposed pixels, times a factor for a mean luminance that is too low or too high;
    - contrast: standard deviation of the luminance;
    - pose: cos^2(yaw) x cos^2(pitch) x cos^2(roll / 2), 0 beyond a quarter turn (roll counts half: the face stays visible);
    - face size: side of the face in the original frame, on a logarithmic scale.

    Args:
        constants: see `AnalyticConstants`.
    """

    name = "analytic"
    description = (
        "geometric mean of sharpness, exposure, contrast, pose and face size, x 2 (after the capture-related components of ISO/IEC 29794-5)"
    )

    def __init__(self, constants: AnalyticConstants | None = None) -> None:
        self.constants = constants or AnalyticConstants()

    @torch.no_grad()
    def __call__(self, images: Tensor, pose: Tensor | None = None, face_size: Tensor | None = None) -> Tensor:
        """See `QualityTarget`. An unknown pose or size is left out of that image's mean."""
        parts = torch.stack(self.components(images, pose, face_size))
        known = ~parts.isnan()
        logs = torch.where(known, parts.clamp(min=self.constants.floor).log(), 0)
        return 2 * (logs.sum(dim=0) / known.sum(dim=0)).exp()

    @torch.no_grad()
    def components(self, images: Tensor, pose: Tensor | None = None, face_size: Tensor | None = None) -> Components:
        """The components on their own; arguments as in `QualityTarget`."""
        b = len(images)
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images: expected [B, 3, S, S], got {list(images.shape)}")
        pose = images.new_full((b, 3), torch.nan) if pose is None else pose.to(images)
        face_size = images.new_full((b,), torch.nan) if face_size is None else face_size.to(images)
        if pose.shape != (b, 3) or face_size.shape != (b,):
            raise ValueError(f"pose, face_size: expected [{b}, 3] and [{b}], got {list(pose.shape)} and {list(face_size.shape)}")
        luminance = self._luminance(images)
        return Components(
            self._sharpness(luminance),
            self._exposure(luminance),
            (luminance.flatten(1).std(dim=1) / self.constants.contrast).clamp(0, 1),
            self._pose(pose),
            _log_ramp(face_size, self.constants.face_size),
        )

    def _luminance(self, images: Tensor) -> Tensor:
        """Rec. 601 luminance at the fixed size, [B, size, size]."""
        weights = to_device(torch.tensor([0.299, 0.587, 0.114], dtype=images.dtype, device="cpu"), images.device)
        luminance = (images * weights.view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        side = (self.constants.size, self.constants.size)
        if luminance.shape[-2:] != side:
            luminance = F.interpolate(luminance, size=side, mode="bilinear", align_corners=False, antialias=True)
        return luminance[:, 0]

    def _sharpness(self, luminance: Tensor) -> Tensor:
        inner = luminance[:, 1:-1, 1:-1]
        neighbours = luminance[:, :-2, 1:-1] + luminance[:, 2:, 1:-1] + luminance[:, 1:-1, :-2] + luminance[:, 1:-1, 2:]
        return _log_ramp((4 * inner - neighbours).abs().mean(dim=(1, 2)), self.constants.sharpness)

    def _exposure(self, luminance: Tensor) -> Tensor:
        c = self.constants
        well = ((luminance > c.under) & (luminance < c.over)).to(luminance.dtype).mean(dim=(1, 2))
        mean = luminance.mean(dim=(1, 2))
        low, high = c.mean_luminance
        return well * torch.minimum(mean / low, (1 - mean) / (1 - high)).clamp(0, 1)

    def _pose(self, pose: Tensor) -> Tensor:
        yaw, pitch, roll = torch.deg2rad(pose).unbind(dim=1)
        return (yaw.cos().clamp(min=0) * pitch.cos().clamp(min=0) * (roll / 2).cos().clamp(min=0)).square()


def _log_ramp(value: Tensor, ends: tuple[float, float]) -> Tensor:
    """0 at the first end, 1 at the second, linear in the logarithm in between; NaN stays NaN."""
    low, high = ends
    whole = torch.log(torch.tensor(high / low, dtype=value.dtype, device="cpu"))  # one number: a GPU gets it with the division
    ratio = torch.log(value.clamp(min=low) / low) / whole
    return ratio.clamp(max=1)
