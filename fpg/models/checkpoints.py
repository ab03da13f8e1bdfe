"""Import of published weights by their key names: FPG (ACM MM 2024), SBI (CVPR 2022), DeepfakeBench's EfficientNet-B4, SDD-FIQA.

One table (`LAYOUTS`) says what each kind of file calls its tensors and what its network expects of an image. Files are read with
`weights_only=True`: nothing in them runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import safetensors.torch
import torch
from torch import Tensor

from fpg.common.errors import InputError, UsageError
from fpg.common.files import atomic_write, sha256
from fpg.models.detector import Detector, DetectorConfig, save_detector
from fpg.models.efficientnet_keys import foreign_names
from fpg.models.fiqa import Fiqa
from fpg.models.weights import KeyReport, KeysError, compare_keys, read_state

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_COUNTER = "num_batches_tracked"
"""Counts training steps and takes no part in any answer: old files lack it."""


def _classifier(theirs: str) -> dict[str, str]:
    return {f"{theirs}.{tensor}": f"classifier.{tensor}" for tensor in ("weight", "bias")}


_FPG_HEADS = {
    "irr_block.0.conv1.weight": "quality_features.0.weight",
    "irr_block.0.pointwise.weight": "quality_features.1.weight",
    **{f"irr_block.1.{name}": f"quality_features.2.{name}" for name in _NORM},
    "fc.weight": "quality.weight",
    "fc.bias": "quality.bias",
    "c_attn.0.weight": "attention.0.weight",
    "c_attn.2.weight": "attention.2.weight",
    **_classifier("_fc"),
}
_PLAIN = DetectorConfig(heads="plain")
_HALF = (0.5, 0.5, 0.5)
_DEEPFAKEBENCH = DetectorConfig(
    heads="plain", image_size=256, dropout=0.0, normalization="given", mean=_HALF, std=_HALF, padding="deepfakebench"
)
_AS_HERE = "RGB in [0, 1] at 380 px, no mean or standard deviation, cropped as fpg crops; published with the face boxes of RetinaFace"
_ALIGNED = (
    "mean and standard deviation 0.5 at 256 px, inside the network, as the benchmark's efficientnetb4.yaml has them (the file does not "
    "say, and others of its configurations differ); it was trained on faces aligned by five landmarks (dlib, scale 1.3), fpg crops the "
    "face box without turning it: scores differ from those of DeepfakeBench's own pipeline"
)


@dataclass(frozen=True)
class CheckpointFormat:
    """What one kind of published file looks like, and the network in it."""

    kind: str
    """The name that `fpg-import --kind` takes; a kind may have several layouts."""
    title: str
    marks: tuple[str, ...]
    """Names of tensors that tell it from the others."""
    config: DetectorConfig | None
    """Of the detector; None for the face quality network."""
    preprocessing: str
    """What the network expects of an image, and where fpg gives it something else."""
    prefix: str = ""
    """Before the backbone's names, which are those of `efficientnet_pytorch`."""
    heads: Mapping[str, str] = field(default_factory=dict)
    """Everything but the backbone: the file's name -> ours."""

    def build(self) -> Detector | Fiqa:
        """The network with the weights of a fixed seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Fiqa() if self.config is None else Detector(self.config)

    def names(self, model: Detector | Fiqa) -> dict[str, str]:
        """The file's name -> ours, for every tensor of the network."""
        if isinstance(model, Fiqa):
            return {name: name for name in model.state_dict()}
        backbone = foreign_names(model.backbone.net).items()
        return {f"{self.prefix}{theirs}": f"backbone.net.{ours}" for theirs, ours in backbone} | dict(self.heads)


LAYOUTS = (
    CheckpointFormat(
        "fiqa", "SDD-FIQA (CVPR 2021)", ("input_layer.0.weight", "quality.3.weight"), None, "RGB in [0, 1], resized to 112 px inside"
    ),
    CheckpointFormat("fpg", "FPG (ACM MM 2024)", ("net._conv_stem.weight", "_fc.weight"), DetectorConfig(), _AS_HERE, "net.", _FPG_HEADS),
    CheckpointFormat(
        "sbi", "SBI (CVPR 2022)", ("net._conv_stem.weight", "net._fc.weight"), _PLAIN, _AS_HERE, "net.", _classifier("net._fc")
    ),
    CheckpointFormat(
        "sbi",
        "a bare EfficientNet-B4 of efficientnet_pytorch, taken for one trained as SBI (CVPR 2022) was",
        ("_conv_stem.weight", "_fc.weight"),
        _PLAIN,
        "RGB in [0, 1] at 380 px without mean or standard deviation is assumed: the file does not say",
        heads=_classifier("_fc"),
    ),
    CheckpointFormat(
        "deepfakebench",
        "DeepfakeBench EfficientNet-B4",
        ("backbone.efficientnet._conv_stem.weight", "backbone.last_layer.weight"),
        _DEEPFAKEBENCH,
        _ALIGNED,
        "backbone.efficientnet.",
        _classifier("backbone.last_layer"),
    ),
)
KINDS = tuple(dict.fromkeys(layout.kind for layout in LAYOUTS))


def import_checkpoint(
    path: str | os.PathLike[str], kind: str | None = None, *, allow_missing: bool = False
) -> tuple[Detector | Fiqa, KeyReport]:
    """The network of a published file, on the CPU in evaluation mode.

    Args:
        path: a `.pth`, `.tar`, `.pt` or `.safetensors` file with the published key names.
        kind: one of `KINDS`; None tells it by the key names.
        allow_missing: let tensors that the file lacks keep the random numbers of a fixed seed.

    Returns:
        A `Detector` (FPG with both branches, the others with `heads="plain"`) or a `Fiqa`, and the account of the file's keys.

    Raises:
        InputError: unreadable, holding code, none of the known networks, or with keys missing or of another shape (all counted,
            the first named).
        UsageError: no such kind.
    """
    state = read_state(path)
    return load_tensors(identify(state, path, kind), state, path, allow_missing=allow_missing)


def identify(state: Mapping[str, Tensor], path: str | os.PathLike[str], kind: str | None = None) -> CheckpointFormat:
    """The layout that a file's names are in; of a given kind, the one with the most of its marks.

    Raises:
        InputError: none of them.
        UsageError: no such kind.
    """
    if kind is not None:
        if kind not in KINDS:
            raise UsageError(f"kind: expected one of {', '.join(KINDS)}, got {kind}")
        return max((layout for layout in LAYOUTS if layout.kind == kind), key=lambda layout: sum(mark in state for mark in layout.marks))
    for layout in LAYOUTS:
        if all(mark in state for mark in layout.marks):
            return layout
    if "classifier.weight" in state and any(name.startswith("backbone.net.") for name in state):
        raise InputError(path, "holds a detector of fpg already: use its .safetensors file with the .spec.json next to it as it is")
    first = ", ".join(list(state)[:3])
    raise InputError(path, f"holds none of the published networks {', '.join(map(str.upper, KINDS))} (first keys: {first})")


def load_tensors(
    layout: CheckpointFormat, state: Mapping[str, Tensor], path: str | os.PathLike[str], *, allow_missing: bool = False
) -> tuple[Detector | Fiqa, KeyReport]:
    """Put a file's tensors into its network; arguments, results and errors as in `import_checkpoint`."""
    model = layout.build()
    names = layout.names(model)
    own = model.state_dict()
    report = compare_keys({theirs: own[ours] for theirs, ours in names.items()}, state)
    vital = [name for name in report.missing if not name.endswith(_COUNTER)]
    if report.mismatched or (vital and not allow_missing):
        raise KeysError(path, f"does not fit the network of {layout.title}: {report}", report.lines())
    if len(report.missing) == len(names):
        raise InputError(path, f"has no tensor of the network of {layout.title} (first keys: {', '.join(list(state)[:3])})")
    model.load_state_dict({ours: state.get(theirs, own[ours]) for theirs, ours in names.items()})
    return model.eval(), report


def save_imported(
    out: str | os.PathLike[str], model: Detector | Fiqa, layout: CheckpointFormat, report: KeyReport, source: str | os.PathLike[str]
) -> None:
    """Write what `load_tensors` made as `STEM.safetensors`, a detector with its sidecar (see `save_detector`), each file atomically.

    Raises:
        InputError: it cannot be written, or the network answers with NaN or infinity.
    """
    file, digest = os.path.basename(source), sha256(source)
    if isinstance(model, Fiqa):
        metadata = {"format": "pt", "network": layout.title, "source": file, "source_sha256": digest}
        with atomic_write(out) as stream:
            stream.write(safetensors.torch.save(model.state_dict(), metadata=metadata))
        return
    origin = {"file": file, "sha256": digest, "kind": layout.kind, "missing": report.missing, "extra": report.extra}
    provenance = {"method": layout.title, "imported": origin, "preprocessing": layout.preprocessing}
    try:
        save_detector(out, model, provenance=provenance)
    except ValueError as error:
        raise InputError(source, f"cannot be used: {error}") from error
