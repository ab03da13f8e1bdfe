"""Self-blended pairs: `draws` draws everything random, `plan` says which pixels a pair needs, `batch` makes pairs of many faces.

`native` makes them with the compiled kernels, `opencv` one by one with OpenCV: the reference, and what runs without kernels. Names that
can be imported from here are loaded when they are first asked for, because most need torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fpg.pairs.batch import PreparedBatch, PreparedPair, SelfBlend, collate_pairs, prepare_pair
    from fpg.pairs.dataset import Faces, SelfBlendDataset
    from fpg.pairs.draws import AugmentConfig, PairParams, draw_pair
    from fpg.pairs.opencv import make_pair
    from fpg.pairs.pairs import Pairs

_MODULES = {
    "batch": ("PreparedBatch", "PreparedPair", "SelfBlend", "collate_pairs", "prepare_pair"),
    "dataset": ("Faces", "SelfBlendDataset"),
    "draws": ("AugmentConfig", "PairParams", "draw_pair"),
    "opencv": ("make_pair",),
    "pairs": ("Pairs",),
}

__all__ = [
    "AugmentConfig",
    "Faces",
    "PairParams",
    "Pairs",
    "PreparedBatch",
    "PreparedPair",
    "SelfBlend",
    "SelfBlendDataset",
    "collate_pairs",
    "draw_pair",
    "make_pair",
    "prepare_pair",
]


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"fpg.pairs.{module}"), name)
    raise AttributeError(f"module 'fpg.pairs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
