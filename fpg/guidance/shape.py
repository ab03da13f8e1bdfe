"""Shape refinement: take away the forged region that the detector finds too easily (FPG, ACM MM 2024)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fpg.guidance.draws import RefeatherParams
from fpg.ops.feathering import Erosion, refeather, refeather_reference
from fpg.ops.perception import perception_statistics

Feathering = Callable[[Tensor, Tensor], Tensor]
"""feather': hard regions uint8 [N, H, W] and which of them are wanted, bool [N] -> soft masks [N, 1, H, W] in [0, 1]; what it gives for the
others is not looked at."""


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
    fraction: Tensor
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
    without response has an empty D, hence r = 0: such a candidate is feathered anew with nothing taken away. Nothing here waits for
    the device: which samples are refined is decided and applied there.

    Args:
        background: b, float32 [N, 3, H, W] in [0, 1]: the real faces.
        fake: f, float32 [N, 3, H, W].
        mask: m, float32 [N, 1, H, W] in [0, 1].
        maps: response maps of the forgeries, float32 [N, H, W], >= 0; divided by their maxima here.
        probability: p, probability of "fake", [N].
        refine_u: one uniform draw in [0, 1) per forgery, [N]; it refines if it is below p.
        feathering: feather', called once.
        threshold: t.
        certainty: the bound on p.

    Raises:
        ValueError: shapes that do not fit.
    """
    _check_shapes(background, fake, mask, maps, probability, refine_u)
    peaks = maps.amax(dim=(1, 2), keepdim=True)
    statistics = perception_statistics(maps / torch.where(peaks > 0, peaks, 1), mask)
    fraction = statistics.dominant.double() / (statistics.masked.double() + 1e-12)
    candidate = (fraction < threshold) & (probability > certainty) & (statistics.masked > 1)
    chosen = candidate & (refine_u.to(probability.device) < probability)

    soft = feathering(statistics.remaining, chosen).to(mask)
    alive = (soft > 0).flatten(1).any(dim=1)
    refined, emptied = chosen & alive, chosen & ~alive
    where = refined.view(-1, 1, 1, 1)
    fake = torch.where(where, (1 - soft) * background + soft * fake, fake)
    mask = torch.where(where, soft, mask)
    return ShapeRefinement(fake, mask, refined, emptied, fraction)


def opencv_feathering(params: Sequence[RefeatherParams], erosion: Erosion = "released") -> Feathering:
    """feather' with OpenCV on the host, one wanted region after the other.

    Args:
        params: one set of draws for every sample of the batch.
        erosion: see `GuidanceConfig.erosion`.
    """

    def feathering(regions: Tensor, wanted: Tensor) -> Tensor:
        soft = np.zeros((len(regions), 1, *regions.shape[1:]), np.float32)
        for index in wanted.nonzero()[:, 0].tolist():
            hard = regions[index].cpu().numpy().astype(np.float32)
            soft[index, 0] = refeather_reference(hard, **params[index]._asdict(), erosion=erosion)
        return torch.from_numpy(soft).to(regions.device)

    return feathering


def kernel_feathering(params: Sequence[RefeatherParams], erosion: Erosion = "released", *, only_wanted: bool = True) -> Feathering:
    """feather' with the compiled kernels on the device of the regions; `opencv_feathering` is their reference.

    Args:
        params: one set of draws for every sample of the batch.
        erosion: see `GuidanceConfig.erosion`.
        only_wanted: spare what is not wanted. On a GPU that is a loss: a kernel over regions that nobody wants costs less than
            asking the GPU which ones are.
    """

    def feathering(regions: Tensor, wanted: Tensor) -> Tensor:
        if not only_wanted:
            return refeather(regions, params, erosion)
        rows = wanted.nonzero()[:, 0]
        soft = regions.new_zeros(len(regions), 1, *regions.shape[1:], dtype=torch.float32)
        if len(rows):
            soft[rows] = refeather(regions[rows], [params[index] for index in rows.tolist()], erosion)
        return soft

    return feathering


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
