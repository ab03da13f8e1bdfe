"""Self-blended pairs: `draws` draws everything random, `plan` says which pixels a pair needs, `batch` makes pairs of many faces.

`native` makes them with the compiled kernels, `opencv` one by one with OpenCV: the reference, and what runs without kernels. Names that
can be imported from here are loaded when they are first asked for, because most need torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpg.common.lazy import lazy

if TYPE_CHECKING:
    from fpg.pairs.batch import PreparedBatch, PreparedPair, SelfBlend, collate_pairs, prepare_pair
    from fpg.pairs.dataset import FaceSource, SelfBlendDataset
    from fpg.pairs.draws import AugmentConfig, PairParams, draw_pair
    from fpg.pairs.opencv import make_pair
    from fpg.pairs.pairs import Pairs

__all__ = [
    "AugmentConfig",
    "FaceSource",
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

__getattr__, __dir__ = lazy(
    __name__,
    {
        "AugmentConfig": "draws",
        "FaceSource": "dataset",
        "PairParams": "draws",
        "Pairs": "pairs",
        "PreparedBatch": "batch",
        "PreparedPair": "batch",
        "SelfBlend": "batch",
        "SelfBlendDataset": "dataset",
        "collate_pairs": "batch",
        "draw_pair": "draws",
        "make_pair": "opencv",
        "prepare_pair": "batch",
    },
)
