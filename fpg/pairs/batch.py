"""Pairs by the batch, on the CPU or a GPU (METHOD 2; SBI, CVPR 2022, as FPG uses it).

Preparing (`prepare_pair`, `collate_pairs`) cuts what a pair needs out of its image; that is a data loader's work. `SelfBlend` makes the
pairs of a prepared batch with operations whose number does not depend on the size of the batch, without waiting for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from fpg.ops.backend import backend
from fpg.ops.mask_table import MaskTable
from fpg.ops.ragged import RaggedBatch
from fpg.pairs.donor import DonorFace
from fpg.pairs.draws import AugmentConfig, PairParams, draw_pair
from fpg.pairs.finish import finish_pair
from fpg.pairs.native import self_blend
from fpg.pairs.opencv import make_planned
from fpg.pairs.pairs import Pairs
from fpg.pairs.plan import PairPlan, cut_window, plan_pair
from fpg.pairs.records import mask_table, pair_records


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
    """[N] of `fpg.pairs.records.PAIR_RECORD`."""
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
    """Makes pairs from batches of real faces.

    The same draws give the same pair on the CPU and on a GPU, whatever else is in the batch. If `FPG_BACKEND` selects the reference for the
    device, `opencv.make_planned` makes them one by one on the CPU, and they are then moved to the device.

    Args:
        config: the method's constants by default.
        size: S, side of the results in pixels.
        device: where pairs are made and kept.
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
    ) -> Pairs:
        """Make pairs from a prepared batch, or directly from images.

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
        """Plan pairs and cut out what they need; arguments and errors are those of `__call__`."""
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
        windows = RaggedBatch.empty([(plan.window.height, plan.window.width) for plan in plans], 3)
        for index, (image, plan) in enumerate(zip(images, plans, strict=True)):
            cut_window(image, plan, windows.item(index).numpy())
        return _prepared(plans, windows)

    def _reference(self, batch: PreparedBatch) -> Pairs:
        pairs = []
        for index, plan in enumerate(batch.plans):
            context = np.zeros((*plan.size, 3), np.uint8)
            context[plan.window.slices] = batch.windows.item(index).numpy()
            pairs.append(make_planned(context, plan, self.config, self.size, batch.donor(index)))
        return Pairs.cat(pairs).map(lambda tensor: tensor.to(self.device))

    def _native(self, batch: PreparedBatch) -> Pairs:
        return self_blend(
            batch.windows.to(self.device),
            batch.records,
            batch.masks,
            self.size,
            alpha=self.config.elastic_alpha,
            sigma=self.config.elastic_sigma,
            nearest=self.config.blend_rounding == "nearest",
        )

    def _finished(self, batch: PreparedBatch, pairs: Pairs) -> Pairs:
        """The pairs with what `finish_pair` does to them, on the CPU: encoders are there."""
        for index, plan in enumerate(batch.plans):
            if plan.params.finishing:
                tensors = [x[index] for x in pairs]
                fake, real, source, mask = (x.cpu().numpy() for x in tensors)
                arrays = finish_pair(fake, real, source, mask, plan, batch.donor(index))
                for tensor, array in zip(tensors, arrays, strict=True):
                    tensor.copy_(torch.from_numpy(array))
        return pairs


def _prepared(plans: Sequence[PairPlan], windows: RaggedBatch) -> PreparedBatch:
    return PreparedBatch(tuple(plans), windows, pair_records(plans, windows.offsets.tolist()), mask_table(plans))
