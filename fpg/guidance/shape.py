"""Shape refinement: take away the forged region that the detector finds too easily (FPG, ACM MM 2024)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fpg.augment.feathering import Erosion, RefeatherParams, refeather
from fpg.ops.masks import refeather as refeather_batch
from fpg.ops.perception import perception_statistics

Feathering = Callable[[Tensor, Tensor], Tensor]
"""feather': hard regions uint8 [M, H, W] and the indices int64 [M] of their samples in the batch -> soft masks [M, 1, H, W] in [0, 1]."""


class ShapeRefinement(NamedTuple):
    """Result of `shape_refinement`; N forgeries."""

    fake: Tensor
    """[N, 3, H, W]: (1 - m') b + m' f where refined, f elsewhere."""
    mask: Tensor
    """[N, 1, H, W]: m' where refined, m elsewhere; it belongs to both halves of a pair."""
    refined: Tensor
    """bool [N]."""
    emptied: Tensor
    """bool [N]: would have been refined, but nothing was left of the mask after feathering; kept as it was."""
    share: Tensor
    """r = |D| / (|{m > 0}| + 1e-12), float64 [N]: how much of the mask the dominant region D covers."""


def shape_refinement(
    background: Tensor,
    fake: Tensor,
    mask: Tensor,
    maps: Tensor,
    probability: Tensor,
    refine_u: Tensor,
    feathering: Feathering,
    *,
    threshold: float = 0.2,
    certainty: float = 0.5,
) -> ShapeRefinement:
    """Remove from each mask the dominant region D = {c > mean of c over c > 0} within {m > 0}, and blend again.

    A forgery is a candidate if r < t, p > 0.5 and |{m > 0}| > 1, and a candidate is refined with probability p. A map
    without response has an empty D, hence r = 0: such a candidate is feathered anew with nothing taken away.

    Args:
        background: b, float32 [N, 3, H, W] in [0, 1]: the real faces.
        fake: f, float32 [N, 3, H, W].
        mask: m, float32 [N, 1, H, W] in [0, 1].
        maps: response maps of the forgeries, float32 [N, H, W], >= 0; divided by their maxima here.
        probability: p, probability of "fake", [N].
        refine_u: one uniform draw in [0, 1) per forgery, [N]; it refines if it is below p.
        feathering: feather', called once with the regions of the refined forgeries alone, and not at all if there are none.
        threshold: t.
        certainty: the bound on p.

    Raises:
        ValueError: shapes that do not fit.
    """
    _check_shapes(background, fake, mask, maps, probability, refine_u)
    peaks = maps.amax(dim=(1, 2), keepdim=True)
    statistics = perception_statistics(maps / torch.where(peaks > 0, peaks, 1), mask)
    share = statistics.dominant.double() / (statistics.masked.double() + 1e-12)
    candidate = (share < threshold) & (probability > certainty) & (statistics.masked > 1)
    chosen = candidate & (refine_u.to(probability.device) < probability)

    refined, emptied = torch.zeros_like(chosen), torch.zeros_like(chosen)
    rows = chosen.nonzero()[:, 0]
    if len(rows):
        soft = feathering(statistics.remaining[rows], rows).to(mask)
        alive = (soft > 0).flatten(1).any(dim=1)
        emptied[rows] = ~alive
        refined[rows] = alive
        rows, soft = rows[alive], soft[alive]
        fake = fake.index_copy(0, rows, (1 - soft) * background[rows] + soft * fake[rows])
        mask = mask.index_copy(0, rows, soft)
    return ShapeRefinement(fake, mask, refined, emptied, share)


def opencv_feathering(params: Sequence[RefeatherParams], erosion: Erosion = "released") -> Feathering:
    """feather' with OpenCV on the host, one region after the other.

    Args:
        params: one set of draws for every sample of the batch.
        erosion: see `GuidanceConfig.erosion`.
    """

    def feathering(regions: Tensor, samples: Tensor) -> Tensor:
        hard = regions.cpu().numpy().astype(np.float32)
        soft = [_feather_one(region, params[index], erosion) for region, index in zip(hard, samples.tolist(), strict=True)]
        return torch.from_numpy(np.stack(soft)[:, None]).to(regions.device)

    return feathering


def kernel_feathering(params: Sequence[RefeatherParams], erosion: Erosion = "released") -> Feathering:
    """feather' with the compiled kernels, all regions at once on their device; `opencv_feathering` is its yardstick.

    Args:
        params: one set of draws for every sample of the batch.
        erosion: see `GuidanceConfig.erosion`.
    """

    def feathering(regions: Tensor, samples: Tensor) -> Tensor:
        chosen = [params[index] for index in samples.tolist()]
        return refeather_batch(regions, [(p.k_erode, p.height, p.width, p.k1, p.k2, p.sigma) for p in chosen], erosion)

    return feathering


def _feather_one(region: np.ndarray, draw: RefeatherParams, erosion: Erosion) -> np.ndarray:
    return refeather(region, draw.k_erode, draw.height, draw.width, draw.k1, draw.k2, draw.sigma, erosion=erosion)


def _check_shapes(background: Tensor, fake: Tensor, mask: Tensor, maps: Tensor, probability: Tensor, refine_u: Tensor) -> None:
    if fake.ndim != 4 or fake.shape[1] != 3:
        raise ValueError(f"fake: expected [N, 3, H, W], got {list(fake.shape)}")
    n, _, height, width = fake.shape
    for name, tensor, expected in (
        ("background", background, (n, 3, height, width)),
        ("mask", mask, (n, 1, height, width)),
        ("maps", maps, (n, height, width)),
        ("probability", probability, (n,)),
        ("refine_u", refine_u, (n,)),
    ):
        if tensor.shape != expected:
            raise ValueError(f"{name}: expected {list(expected)}, got {list(tensor.shape)}")
