"""Constants of guidance, as the method was released with them (FPG, ACM MM 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from fpg.augment.feathering import Erosion


@dataclass(frozen=True)
class GuidanceConfig:
    """What is done to the forgeries of a batch before the detector learns from them."""

    shape: bool = True
    """Shape refinement: take away the forged region that the detector already finds too easily."""
    threshold: float = 0.2
    """t: a forgery is a candidate while the dominant region covers less than this share of its mask."""
    certainty: float = 0.5
    """A forgery is a candidate only when its probability of fake is above this."""
    erosion: Erosion = "released"
    """How feather' erodes: `released` (one row goes, as in the released code) or `intended` (k x k, an ablation)."""
    magnitude: bool = True
    """Magnitude refinement: make the blend a little stronger or weaker, in the direction that raises the loss."""
    eps: float = 0.01
    """Relative change of the mask in a magnitude step."""
    step_probability: float = 0.5
    """Probability of the coin, one per batch, that a magnitude step is taken."""

    def __post_init__(self) -> None:
        for name, low, high in (("threshold", 0.0, 1.0), ("certainty", 0.0, 1.0), ("eps", 0.0, 1.0), ("step_probability", 0.0, 1.0)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"guidance.{name}: expected {low:g} to {high:g}, got {value}")
        if self.erosion not in ("released", "intended"):
            raise ValueError(f"guidance.erosion: expected released or intended, got {self.erosion!r}")
