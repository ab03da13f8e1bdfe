"""Forgery Perception Guidance (FPG, ACM MM 2024): how the detector perceives a forgery decides what is done to it.

`refine` guides a batch of pairs (response map, shape refinement, magnitude refinement), `fpg_loss` states the targets,
`draw_guidance` makes all draws beforehand, a `QualityTarget` scores image quality.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fpg.guidance.config import GuidanceConfig as GuidanceConfig
    from fpg.guidance.draws import GuidanceDraws as GuidanceDraws
    from fpg.guidance.draws import draw_guidance as draw_guidance
    from fpg.guidance.guide import Pairs as Pairs
    from fpg.guidance.guide import Refined as Refined
    from fpg.guidance.guide import refine as refine
    from fpg.guidance.losses import LossConfig as LossConfig
    from fpg.guidance.losses import Losses as Losses
    from fpg.guidance.losses import fpg_loss as fpg_loss
    from fpg.guidance.quality import AnalyticQuality as AnalyticQuality
    from fpg.guidance.quality import FiqaQuality as FiqaQuality
    from fpg.guidance.quality import QualityTarget as QualityTarget

_HOMES = {
    "GuidanceConfig": "config",
    "GuidanceDraws": "draws",
    "draw_guidance": "draws",
    "Pairs": "guide",
    "Refined": "guide",
    "refine": "guide",
    "LossConfig": "losses",
    "Losses": "losses",
    "fpg_loss": "losses",
    "AnalyticQuality": "quality",
    "FiqaQuality": "quality",
    "QualityTarget": "quality",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
