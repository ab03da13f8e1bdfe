"""Plans as the kernels read them: a record per pair, and its row of the mask table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fpg.ops.mask_table import MaskTable
from fpg.pairs.draws import ColorParams
from fpg.pairs.operations import COLOR_FIELDS, RESAMPLE_FIELDS, color_fields, resample_fields
from fpg.pairs.plan import PairPlan

PAIR_RECORD = np.dtype(
    [
        ("affine", "f8", 4),
        ("pixels", "i8"),
        ("size", "i4", 2),
        ("window", "i4", 4),
        ("warped", "i4", 4),
        ("coded", "i4", 4),
        ("crop", "i4", 4),
        ("recolors_source", "i4"),
        ("quality", "i4"),
        ("color", "f4", COLOR_FIELDS),
        ("resample", "f4", RESAMPLE_FIELDS),
        ("shared", "f4", COLOR_FIELDS),
        ("reserved", "i4"),
    ]
)
"""What a pair needs besides its row of the mask table (`SelfBlendItem`, csrc/self_blend/self_blend.h).

`size` is (height, width) of the full image; `window`, `warped` and `coded` are crops of it, `crop` one of `coded`; `pixels` is where the
window starts in its batch. `color` and `shared` are rows of `operations.color_fields`, `resample` of `operations.resample_fields`, `affine`
of `geometry.affine_fields`.
"""


def pair_records(plans: Sequence[PairPlan], starts: Sequence[int]) -> np.ndarray:
    """Records [N] of `PAIR_RECORD`.

    Args:
        plans: one per pair.
        starts: where each window starts in its batch, in bytes.
    """
    records = np.zeros(len(plans), PAIR_RECORD)
    for index, (plan, start) in enumerate(zip(plans, starts, strict=True)):
        params = plan.params
        records[index] = (
            plan.affine,
            start,
            plan.size,
            plan.window,
            plan.warped,
            plan.coded,
            plan.crop,
            params.recolored == "source",
            0 if params.jpeg_quality is None else max(1, params.jpeg_quality),  # libjpeg takes 0 for 1
            _color(params.color),
            resample_fields(params.resample.down_scale, params.resample.sharpen),
            _color(params.photometric),
            0,
        )
    return records


def mask_table(plans: Sequence[PairPlan]) -> MaskTable:
    """The masks of the pairs, all set; their windows are `PairPlan.coded`."""
    table, params = MaskTable([plan.size for plan in plans]), [plan.params for plan in plans]
    table.set_hulls([plan.outline for plan in plans], [p.family for p in params], [p.points for p in params])
    table.set_warp([p.geometry.scale for p in params], [p.geometry.translate for p in params], [p.geometry.noise_key for p in params])
    feather = [(p.feather.height, p.feather.width, p.feather.k1, p.feather.k2, p.feather.sigma) for p in params]
    table.set_feather(feather, [p.ratio for p in params])
    table.set_windows([(plan.coded.y0, plan.coded.x0, plan.coded.height, plan.coded.width) for plan in plans])
    return table


def _color(params: ColorParams) -> tuple[float, ...]:
    return color_fields(params.rgb_shift, params.hsv_shift, params.contrast)
