"""Pairs by the batch, on the CPU or a GPU: `self_blend.make_pair` for many faces at once (METHOD 2; SBI, CVPR 2022, as FPG uses it).

Preparing (`prepare_pair`, `collate_pairs`) cuts what a pair needs out of its image; that is a data loader's work. `SelfBlend` makes the
pairs of a prepared batch with operations whose number does not depend on the size of the batch, without waiting for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fpg.augment.donor import DonorFace
from fpg.augment.finish import finish_pair
from fpg.augment.params import AugmentConfig, ColorParams, PairParams, draw_pair
from fpg.augment.plan import PairPlan, cut_window, plan_pair
from fpg.augment.self_blend import make_planned
from fpg.common.crops import Crop
from fpg.ops.backend import backend
from fpg.ops.mask_table import MaskTable
from fpg.ops.photometry import color_fields, resample_fields
from fpg.ops.ragged import RaggedBatch
from fpg.ops.self_blend import PAIR_RECORD, self_blend


class PairBatch(NamedTuple):
    """N pairs as the detector sees them: RGB in [0, 1]. forgery = mask x source + (1 - mask) x real, up to step 8."""

    fake: Tensor
    """float32 [N, 3, S, S]: the forgeries."""
    real: Tensor
    """float32 [N, 3, S, S]: the backgrounds, which are the real faces."""
    source: Tensor
    """float32 [N, 3, S, S]: the copies that were blended in."""
    mask: Tensor
    """float32 [N, 1, S, S]: the soft masks. One that is zero everywhere leaves its forgery equal to the background."""


class PreparedPair(NamedTuple):
    """What a pair needs of its image, cut out of it."""

    plan: PairPlan
    pixels: np.ndarray
    """uint8 [h, w, 3] of `plan.window`."""
    donor: DonorFace | None = None
    """The other face, where the draws want one."""


@dataclass(frozen=True)
class PreparedBatch:
    """Prepared pairs in one buffer, on the CPU; can be pickled."""

    plans: tuple[PairPlan, ...]
    windows: RaggedBatch
    """uint8, 3 channels: `PreparedPair.pixels` of each."""
    records: np.ndarray
    """[N] of `fpg.ops.self_blend.PAIR_RECORD`."""
    masks: MaskTable
    donors: tuple[DonorFace | None, ...] = ()
    """`PreparedPair.donor` of each; empty for none at all."""

    def donor(self, index: int) -> DonorFace | None:
        """The other face of a pair."""
        return self.donors[index] if self.donors else None

    def __len__(self) -> int:
        return len(self.plans)

    def pin_memory(self) -> PreparedBatch:
        """The same with its pixels in page-locked memory, from which a GPU copies in the background (a DataLoader calls this)."""
        return replace(self, windows=replace(self.windows, data=self.windows.data.pin_memory()))


def prepare_pair(
    image: np.ndarray, landmarks: np.ndarray, box: np.ndarray, params: PairParams, donor: DonorFace | None = None
) -> PreparedPair:
    """Plan a pair and cut out what it needs; the arguments and errors of `plan_pair`, and the other face where the draws want one."""
    plan = plan_pair(image, landmarks, box, params)
    return PreparedPair(plan, cut_window(image, plan), donor)


def collate_pairs(pairs: Sequence[PreparedPair]) -> PreparedBatch:
    """A batch of prepared pairs, at least one."""
    prepared = _prepared([pair.plan for pair in pairs], RaggedBatch.from_list([pair.pixels for pair in pairs]))
    return replace(prepared, donors=tuple(pair.donor for pair in pairs)) if any(pair.donor for pair in pairs) else prepared


class SelfBlend:
    """Makes pairs of batches of real faces.

    The same draws give the same pair on the CPU and on a GPU, whatever else is in the batch. Where `FPG_BACKEND` says reference for the
    device, `make_pair` makes them one by one on the CPU and they are moved.

    Args:
        config: the method's constants by default.
        size: S, side of the results in pixels.
        device: where pairs are made and stay.
    """

    def __init__(self, config: AugmentConfig | None = None, size: int = 380, device: torch.device | str = "cpu") -> None:
        if size < 1:
            raise ValueError(f"size: expected at least 1 pixel, got {size}")
        self.config, self.size, self.device = config or AugmentConfig(), size, torch.device(device)

    @property
    def native(self) -> bool:
        """Whether compiled kernels make the pairs, as `FPG_BACKEND` says; otherwise OpenCV does, one by one."""
        return backend(self.device.type) == "native"

    def __call__(
        self,
        faces: PreparedBatch | Sequence[np.ndarray],
        landmarks: Sequence[np.ndarray] | None = None,
        boxes: Sequence[np.ndarray] | None = None,
        draws: np.random.Generator | Sequence[PairParams] | None = None,
    ) -> PairBatch:
        """Make pairs of a prepared batch, or directly of images.

        Args:
            faces: from `collate_pairs`, without the other arguments; or images, uint8 [H, W, 3] each, RGB.
            landmarks: [68 or 81, 2] of each image, (x, y) in its pixels.
            boxes: face box (x0, y0, x1, y1) of each image, in its pixels.
            draws: a generator to draw from, face after face, or the draws of each.

        Raises:
            ValueError: lists of different lengths, none at all, or an image, landmarks or box that cannot be used; the message says
                which and why.
        """
        if not isinstance(faces, PreparedBatch):
            if landmarks is None or boxes is None or draws is None:
                raise ValueError("landmarks, boxes, draws: expected with images, got None")
            faces = self.prepare(faces, landmarks, boxes, draws)
        return self._finished(faces, self._native(faces)) if self.native else self._reference(faces)

    def prepare(
        self,
        images: Sequence[np.ndarray],
        landmarks: Sequence[np.ndarray],
        boxes: Sequence[np.ndarray],
        draws: np.random.Generator | Sequence[PairParams],
    ) -> PreparedBatch:
        """Plan pairs and cut what they need; arguments and errors as of a call."""
        params = [draw_pair(draws, self.config) for _ in images] if isinstance(draws, np.random.Generator) else draws
        counts = {"landmarks": len(landmarks), "boxes": len(boxes), "draws": len(params)}
        for name, count in counts.items():
            if count != len(images):
                raise ValueError(f"{name}: expected {len(images)}, one per image, got {count}")
        if not len(images):
            raise ValueError("images: expected at least one, got none")
        plans = []
        for index, face in enumerate(zip(images, landmarks, boxes, params, strict=True)):
            try:
                plans.append(plan_pair(*face))
            except ValueError as error:
                raise ValueError(f"face {index}: {error}") from error
        windows = RaggedBatch.empty([_region(plan.window)[2:] for plan in plans], 3)
        for index, (image, plan) in enumerate(zip(images, plans, strict=True)):
            cut_window(image, plan, windows.item(index).numpy())
        return _prepared(plans, windows)

    def _reference(self, batch: PreparedBatch) -> PairBatch:
        pairs = []
        for index, plan in enumerate(batch.plans):
            context = np.zeros((*plan.size, 3), np.uint8)
            y0, y1, x0, x1 = plan.window
            context[y0:y1, x0:x1] = batch.windows.item(index).numpy()
            pairs.append(make_planned(context, plan, self.config, self.size, batch.donor(index)))
        stacked = (torch.from_numpy(np.stack([getattr(pair, name) for pair in pairs])) for name in PairBatch._fields)
        return PairBatch(*(x.to(self.device) for x in stacked))

    def _native(self, batch: PreparedBatch) -> PairBatch:
        windows = batch.windows.to(self.device)
        constants = {"alpha": self.config.elastic_alpha, "sigma": self.config.elastic_sigma}
        return PairBatch(*self_blend(windows, batch.records, batch.masks, self.size, **constants))

    def _finished(self, batch: PreparedBatch, pairs: PairBatch) -> PairBatch:
        """The pairs with what `finish_pair` does to them, on the CPU: encoders are there."""
        for index, plan in enumerate(batch.plans):
            if plan.params.finishing:
                images = [x[index] for x in (pairs.fake, pairs.real, pairs.source)]
                fake, real, source, mask = (x.cpu().numpy() for x in (*images, pairs.mask[index]))
                arrays = finish_pair(fake, real, source, mask, plan, batch.donor(index))
                for image, array in zip(images, arrays, strict=True):
                    image.copy_(torch.from_numpy(array))
        return pairs


def _prepared(plans: Sequence[PairPlan], windows: RaggedBatch) -> PreparedBatch:
    return PreparedBatch(tuple(plans), windows, _records(plans, windows), _masks(plans))


def _records(plans: Sequence[PairPlan], windows: RaggedBatch) -> np.ndarray:
    """The plans as `fpg.ops.self_blend` reads them."""
    records = np.zeros(len(plans), PAIR_RECORD)
    for index, (plan, start) in enumerate(zip(plans, windows.offsets.tolist(), strict=True)):
        params, regions = plan.params, (_region(crop) for crop in (plan.window, plan.warped, plan.coded))
        records[index] = (
            plan.affine,
            start,
            plan.size,
            *regions,
            plan.crop,
            params.recolored == "source",
            0 if params.jpeg_quality is None else max(1, params.jpeg_quality),  # libjpeg takes 0 for 1
            _color(params.color),
            resample_fields(params.resample.down_scale, params.resample.sharpen),
            _color(params.photometric),
            0,
        )
    return records


def _masks(plans: Sequence[PairPlan]) -> MaskTable:
    table, params = MaskTable([plan.size for plan in plans]), [plan.params for plan in plans]
    table.set_hulls([plan.landmarks for plan in plans], [p.family for p in params], [p.points for p in params])
    table.set_warp([p.geometry.scale for p in params], [p.geometry.translate for p in params], [p.geometry.noise_key for p in params])
    feather = [(p.feather.height, p.feather.width, p.feather.k1, p.feather.k2, p.feather.sigma) for p in params]
    table.set_feather(feather, [p.ratio for p in params])
    table.set_windows([_region(plan.coded) for plan in plans])
    return table


def _region(crop: Crop) -> tuple[int, int, int, int]:
    """(y0, y1, x0, x1) as (y0, x0, height, width)."""
    return crop[0], crop[2], crop[1] - crop[0], crop[3] - crop[2]


def _color(params: ColorParams) -> tuple[float, ...]:
    return color_fields(params.rgb_shift, params.hsv_shift, params.contrast)
