"""What a detector is made of, as one dataclass: saved next to every weight file and enough to build the network again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from fpg.common.errors import UsageError
from fpg.common.spec import LARGEST_SIDE

DEFAULT_BACKBONE = "tf_efficientnet_b4.ap_in1k"
"""EfficientNet-B4 with AdvProp ImageNet weights, TensorFlow "same" padding, batch normalisation with eps 1e-3 (FPG, ACM MM 2024)."""

POOLED = ("linear", "linear-norm")
"""Heads on the vector that the backbone pools itself."""


@dataclass(frozen=True)
class DetectorConfig:
    """The detector of FPG (ACM MM 2024, section on the architecture); the defaults are the released ones."""

    backbone: str = DEFAULT_BACKBONE
    """Any timm model name, with or without a tag of pretrained weights."""
    image_size: int = 380
    """Side of the square input, pixels."""
    heads: Literal["fpg", "plain", "linear", "linear-norm"] = "fpg"
    """`fpg`: class branch with channel attention, and the quality branch. `plain`: global pooling and one linear layer (the network
    of SBI, CVPR 2022); its quality output is zeros without gradient, so train it with a quality weight of 0. `linear`: one linear
    layer on the backbone's own pooled output (a class token, attention pooling); `linear-norm`: on that vector, L2-normalised (GenD, WACV
    2026). Neither has an activation map, as the score is not a mean over positions, or guidance."""
    global_pool: str | None = None
    """How the backbone pools for `linear` and `linear-norm`, in timm's terms (`token`, `map`, `avg`); None is the backbone's default."""
    dropout: float = 0.4
    """Dropout before the last linear layer of the class branch."""
    drop_connect: float = 0.2
    """Stochastic depth: chance of dropping the last block's residual branch, growing linearly from 0 over the blocks."""
    bn_momentum: float | None = 0.01
    """Momentum of the backbone's batch normalisations (weight of the new batch); None keeps the backbone's own."""
    bn_eps: float | None = None
    """Epsilon of the backbone's batch normalisations; None keeps the backbone's own (1e-3 for tf_efficientnet models)."""
    quality_width: int = 512
    """Channels of the quality branch, the size of z."""
    attention_width: int = 256
    """Hidden width of the channel attention."""
    normalization: Literal["auto", "none", "given"] = "auto"
    """Normalisation inside the model; images outside are always in [0, 1]. `auto`: none for tf_efficientnet_b4 (as FPG was
    released), otherwise what the backbone's pretrained weights expect; `none`; `given`: `mean` and `std` below. `auto` is
    resolved to one of the others when the network is built."""
    mean: tuple[float, float, float] | None = None
    """Per channel (RGB); only with `given`."""
    std: tuple[float, float, float] | None = None
    """Per channel (RGB); only with `given`."""
    padding: Literal["backbone", "deepfakebench"] = "backbone"
    """Padding of an EfficientNet's strided convolutions. `deepfakebench`: as that benchmark's EfficientNet-B4 pads them, whatever the
    image size (the stem not at all, the others as a 380 px image needs it); its weights give the published output only with it."""

    def __post_init__(self) -> None:
        """Refuse values that build no network.

        Raises:
            UsageError: naming the field, what was expected and what came.
        """
        if not isinstance(self.backbone, str):
            raise UsageError(f"backbone: expected a name, got {self.backbone!r}")
        for name, low in (("image_size", 32), ("quality_width", 1), ("attention_width", 1)):
            if getattr(self, name) < low:
                raise UsageError(f"{name}: expected at least {low}, got {getattr(self, name)}")
        if self.image_size > LARGEST_SIDE:
            raise UsageError(f"image_size: expected at most {LARGEST_SIDE}, got {self.image_size}")
        for name in ("dropout", "drop_connect"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise UsageError(f"{name}: expected within [0, 1), got {getattr(self, name)}")
        if self.global_pool is not None and (self.has_map or not isinstance(self.global_pool, str)):
            raise UsageError(f"global_pool: expected a name, and heads=linear or linear-norm, got {self.global_pool!r} with {self.heads}")
        choices = {"heads": ("fpg", "plain", *POOLED), "normalization": ("auto", "none", "given"), "padding": ("backbone", "deepfakebench")}
        for name, values in choices.items():
            if getattr(self, name) not in values:
                raise UsageError(f"{name}: expected one of {', '.join(values)}, got {getattr(self, name)}")
        given = self.mean is not None and self.std is not None and len(self.mean) == len(self.std) == 3
        if given != (self.normalization == "given") or (not given and (self.mean or self.std)):
            raise UsageError(
                f"mean, std: expected three values each with normalization=given and none otherwise, got {self.mean}, {self.std}"
            )

    @property
    def has_map(self) -> bool:
        """Whether the score is a mean over places, so that there is an activation map."""
        return self.heads not in POOLED

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: tuples become lists."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DetectorConfig:
        """The inverse of `to_dict`.

        Raises:
            UsageError: unknown keys, or values that build no network.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise UsageError(f"detector: unknown fields {', '.join(unknown)}")
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        try:
            return cls(**values)
        except TypeError as error:
            raise UsageError(f"detector: fields of another type ({error})") from error
