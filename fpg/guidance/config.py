"""Constants of guidance, as the method was released with them (FPG, ACM MM 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fpg.common.errors import UsageError
from fpg.pairs.draws import FEATHER_SIZE


@dataclass(frozen=True)
class GuidanceConfig:
    """What is done to the forgeries of a batch before the detector learns from them.

    Raises:
        UsageError: a value out of its range.
    """

    shape: bool = True
    """Shape refinement: remove the forged region that the detector already finds too easily."""
    threshold: float = 0.2
    """t: a forgery is a candidate while the dominant region covers less than this fraction of its mask."""
    certainty: float = 0.5
    """A forgery is a candidate only when its probability of fake is above this."""
    erosion: Literal["released", "intended"] = "released"
    """How feather' erodes: `released` (one row goes, as in the released code) or `intended` (k x k, an ablation)."""
    erosion_kernel: tuple[int, int] = (10, 14)
    """Smallest and largest k of the intended erosion, even, pixels."""
    feather_size: tuple[int, int] = FEATHER_SIZE
    """Smallest and largest height and width at which feather' blurs, pixels."""
    feather_kernel: tuple[int, int] = (17, 25)
    """Smallest and largest blur kernel of feather', odd."""
    feather_sigma: tuple[int, int] = (15, 45)
    """Smallest and largest standard deviation of the second blur of feather', integer pixels at the blurred size."""
    magnitude: bool = True
    """Magnitude refinement: make the blend a little stronger or weaker, in the direction that raises the loss."""
    eps: float = 0.01
    """Relative change of the mask in a magnitude step."""
    step_probability: float = 0.5
    """Probability that a magnitude step is taken, decided by one coin flip per batch."""

    def __post_init__(self) -> None:
        for name in ("threshold", "certainty", "eps", "step_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"guidance.{name}: expected 0 to 1, got {getattr(self, name)}")
        for name, parity in (("erosion_kernel", 0), ("feather_size", None), ("feather_kernel", 1), ("feather_sigma", None)):
            low, high = getattr(self, name)
            if not 1 <= low <= high or (parity is not None and not low % 2 == high % 2 == parity):
                kind = {0: "even ", 1: "odd ", None: ""}[parity]
                raise UsageError(f"guidance.{name}: expected two {kind}numbers >= 1, the smaller first, got {(low, high)}")
        if self.erosion not in ("released", "intended"):
            raise UsageError(f"guidance.erosion: expected released or intended, got {self.erosion!r}")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses; the classification loss has weight 1.

    Raises:
        UsageError: a negative weight, or class weights that are not positive.
    """

    similarity: float = 0.075
    """Weight of L_sim: features of a real face and its forgery, inside the forged region, are pushed apart."""
    quality: float = 1.0
    """Weight of L_q: mean squared error of the quality head."""
    over: Literal["selected", "all"] = "selected"
    """The images that the classification loss is a mean over: FPG's, those of pairs whose mask is not empty on the grid of the features, or
    `all`, as SBI has it."""
    class_weights: tuple[float, float] = (1.0, 1.0)
    """Weights of real and fake images in the cross-entropy, a weighted mean: only their ratio counts."""

    def __post_init__(self) -> None:
        if not (len(self.class_weights) == 2 and all(0 < weight < float("inf") for weight in self.class_weights)):
            raise UsageError(f"loss.class_weights: expected two numbers > 0 (real, fake), got {list(self.class_weights)}")
        if self.similarity < 0 or self.quality < 0:
            raise UsageError(f"loss weights: expected >= 0, got similarity {self.similarity}, quality {self.quality}")
