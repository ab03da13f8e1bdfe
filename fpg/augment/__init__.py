"""Self-blended pairs: `params` draws everything random, `self_blend` applies it to one face, `batch` to many.

`SelfBlend` and what belongs to it can be imported from here; they are loaded when they are first asked for, because they need torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fpg.augment.batch import PairBatch, PreparedBatch, PreparedPair, SelfBlend, collate_pairs, prepare_pair
    from fpg.augment.dataset import Faces, SelfBlendDataset
    from fpg.augment.params import AugmentConfig, PairParams, draw_pair
    from fpg.augment.self_blend import Pair, make_pair

_MODULES = {
    "batch": ("PairBatch", "PreparedBatch", "PreparedPair", "SelfBlend", "collate_pairs", "prepare_pair"),
    "dataset": ("Faces", "SelfBlendDataset"),
    "params": ("AugmentConfig", "PairParams", "draw_pair"),
    "self_blend": ("Pair", "make_pair"),
}

__all__ = [
    "AugmentConfig",
    "Faces",
    "Pair",
    "PairBatch",
    "PairParams",
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
            return getattr(importlib.import_module(f"fpg.augment.{module}"), name)
    raise AttributeError(f"module 'fpg.augment' has no attribute {name!r}")
