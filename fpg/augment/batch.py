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

from fpg.augment.params import AugmentConfig, ColorParams, PairParams, draw_pair
from fpg.augment.plan import PairPlan, cut_window, plan_pair
from fpg.augment.self_blend import make_planned
from fpg.common.crops import Crop
from fpg.ops.backend import backend
from fpg.ops.blend import blend
from fpg.ops.crop import crop_resize
from fpg.ops.jpeg import jpeg_round_trip
from fpg.ops.mask_table import MaskTable
from fpg.ops.masks import soft_masks
from fpg.ops.photometry import change_color, color_fields, resample, resample_fields
from fpg.ops.ragged import RaggedBatch
from fpg.ops.warp import warp


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


@dataclass(frozen=True)
class PreparedBatch:
    """Prepared pairs in one buffer, on the CPU; can be pickled."""

    plans: tuple[PairPlan, ...]
    windows: RaggedBatch
    """uint8, 3 channels: `PreparedPair.pixels` of each."""

    def __len__(self) -> int:
        return len(self.plans)

    def pin_memory(self) -> PreparedBatch:
        """The same with its pixels in page-locked memory, from which a GPU copies in the background (a DataLoader calls this)."""
        return replace(self, windows=replace(self.windows, data=self.windows.data.pin_memory()))


def prepare_pair(image: np.ndarray, landmarks: np.ndarray, box: np.ndarray, params: PairParams) -> PreparedPair:
    """Plan a pair and cut out what it needs; the arguments and errors of `plan_pair`."""
    plan = plan_pair(image, landmarks, box, params)
    return PreparedPair(plan, cut_window(image, plan))


def collate_pairs(pairs: Sequence[PreparedPair]) -> PreparedBatch:
    """A batch of prepared pairs, at least one."""
    return PreparedBatch(tuple(pair.plan for pair in pairs), RaggedBatch.from_list([pair.pixels for pair in pairs]))


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
        return self._native(faces) if backend(self.device.type) == "native" else self._reference(faces)

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
        pairs = []
        for index, face in enumerate(zip(images, landmarks, boxes, params, strict=True)):
            try:
                pairs.append(prepare_pair(*face))
            except ValueError as error:
                raise ValueError(f"face {index}: {error}") from error
        return collate_pairs(pairs)

    def _reference(self, batch: PreparedBatch) -> PairBatch:
        pairs = []
        for index, plan in enumerate(batch.plans):
            context = np.zeros((*plan.size, 3), np.uint8)
            y0, y1, x0, x1 = plan.window
            context[y0:y1, x0:x1] = batch.windows.item(index).numpy()
            pairs.append(make_planned(context, plan, self.config, self.size))
        stacked = (torch.from_numpy(np.stack([getattr(pair, name) for pair in pairs])) for name in PairBatch._fields)
        return PairBatch(*(x.to(self.device) for x in stacked))

    def _native(self, batch: PreparedBatch) -> PairBatch:
        plans, params = batch.plans, [plan.params for plan in batch.plans]
        count = len(plans)
        windows = batch.windows.to(self.device)
        from_source = [p.recolored == "source" for p in params]
        frames = self._frames(plans, [p.window for p in plans])
        coded = [p.coded for p in plans]
        out = RaggedBatch.empty([_size(c) for c in coded], 3, torch.uint8, self.device)
        out_frames = self._frames(plans, coded)

        colored = change_color(windows, self._rows([_color(p.color) for p in params], torch.float32))
        regions = [p.warped if source else p.coded for p, source in zip(plans, from_source, strict=True)]
        region_frames = self._frames(plans, regions)
        layout = RaggedBatch.empty([_size(r) for r in regions], 3, torch.uint8, self.device)
        changes = self._rows([resample_fields(p.resample.down_scale, p.resample.sharpen) for p in params], torch.float32)
        changed = resample(colored, changes, windows=frames, out=layout, out_windows=region_frames)

        both = torch.cat([windows.data, changed.data])
        moved_offsets = changed.offsets + windows.data.numel()
        flags = self._rows(from_source, torch.bool)

        def select(first: torch.Tensor) -> tuple[RaggedBatch, Tensor]:
            sizes = tuple(b if pick else a for a, b, pick in zip(windows.host_sizes, changed.host_sizes, first.tolist(), strict=True))
            chosen = first.to(self.device)
            offsets = torch.where(chosen, moved_offsets, windows.offsets)
            batch = RaggedBatch(both, offsets, torch.where(chosen[:, None], changed.sizes, windows.sizes), 3, sizes)
            return batch, torch.where(chosen[:, None], region_frames, frames)

        source_in, source_frames = select(flags)
        affine = self._rows([p.affine for p in plans], torch.float64)
        source = warp(source_in, affine, windows=source_frames, out=out, out_windows=out_frames)
        background_in, background_frames = select(~flags)
        background = resample(background_in, torch.zeros_like(changes), windows=background_frames, out=out, out_windows=out_frames)

        table = MaskTable([p.size for p in plans])
        table.set_hulls([p.landmarks for p in plans], [p.family for p in params], [p.points for p in params])
        table.set_warp([p.geometry.scale for p in params], [p.geometry.translate for p in params], [p.geometry.noise_key for p in params])
        feather = [(p.feather.height, p.feather.width, p.feather.k1, p.feather.k2, p.feather.sigma) for p in params]
        table.set_feather(feather, [p.ratio for p in params])
        table.set_windows([(c[0], c[2], c[1] - c[0], c[3] - c[2]) for c in coded])
        masks = soft_masks(table, alpha=self.config.elastic_alpha, sigma=self.config.elastic_sigma, device=self.device)
        fake = blend(source, background, masks)

        images = torch.cat([fake.data, background.data, source.data])
        step = fake.data.numel()
        every = RaggedBatch(
            images,
            torch.cat([out.offsets + k * step for k in range(3)]),
            out.sizes.repeat(3, 1),
            3,
            out.host_sizes * 3,
        )
        every = change_color(every, self._rows([_color(p.photometric) for p in params] * 3, torch.float32))
        every = jpeg_round_trip(every, torch.tensor([p.jpeg_quality or 0 for p in params] * 3, dtype=torch.int32))
        parts = [RaggedBatch(every.data, every.offsets[k * count : (k + 1) * count], out.sizes, 3, out.host_sizes) for k in range(3)]
        crops = crop_resize(parts, masks, self._rows([p.crop for p in plans], torch.int32), self.size)
        assert crops.masks is not None
        fake_crop, real_crop, source_crop = crops.images
        return PairBatch(fake_crop, real_crop, source_crop, crops.masks)

    def _frames(self, plans: Sequence[PairPlan], regions: Sequence[Crop]) -> Tensor:
        return self._rows([(r[0], r[2], *p.size) for p, r in zip(plans, regions, strict=True)], torch.int32)

    def _rows(self, rows: Sequence[object], dtype: torch.dtype) -> Tensor:
        return torch.tensor(rows, dtype=dtype).to(self.device, non_blocking=True)


def _size(crop: Crop) -> tuple[int, int]:
    return crop[1] - crop[0], crop[3] - crop[2]


def _color(params: ColorParams) -> tuple[float, ...]:
    return color_fields(params.rgb_shift, params.hsv_shift, params.contrast)
