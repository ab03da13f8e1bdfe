"""Where everything of a pair lies, decided before a pixel is touched (METHOD 2.1, 2.2, 2.5 and 2.9; SBI, CVPR 2022, as FPG uses it).

A plan says which window of the image its pair depends on, so that whoever reads the image can cut that window and forget the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fpg.common.crops import context_crop, detection_crop
from fpg.common.landmarks import COORDINATE_LIMIT, integer_landmarks
from fpg.common.rectangles import Box, Crop
from fpg.pairs.draws import PairParams, ResampleParams
from fpg.pairs.geometry import Affine, affine_fields, mirror_box, mirror_landmarks
from fpg.pairs.part import part_outline

_BLOCK = 16
"""Side of a JPEG coding unit with 4:2:0 chroma, in pixels."""


@dataclass(frozen=True, eq=False)
class PairPlan:
    """The geometry of one pair. What is said to lie "in the context crop" is relative to its first pixel, mirrored if the pair is."""

    params: PairParams
    context: Crop
    """The context crop in the image, or in the mirrored image."""
    landmarks: np.ndarray
    """float64 [68 or 81, 2] in the context crop."""
    outline: np.ndarray
    """float64 [68 or 81, 2] in the context crop: the points of the mask; the landmarks, or a part of them."""
    affine: Affine
    """Of source and mask, in pixels of the context crop."""
    coded: Crop
    """What steps 7 and 8 compute, in the context crop."""
    warped: Crop
    """What the affine change reads for `coded`, in the context crop."""
    window: Crop
    """What the whole pair reads, in the context crop."""
    crop: Crop
    """The detection crop, in `coded`."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the context crop."""
        return self.context.height, self.context.width


def plan_pair(image: np.ndarray, landmarks: np.ndarray, box: np.ndarray, params: PairParams) -> PairPlan:
    """Plan the pair that `params` describe.

    Args:
        image: uint8 [H, W, 3]; only its type and shape are looked at.
        landmarks: [68 or 81, 2], (x, y) in its pixels.
        box: face box (x0, y0, x1, y1) in its pixels.
        params: from `draw_pair`.

    Raises:
        ValueError: not such an image, landmarks or box; the message says which and why.
    """
    _check(image, landmarks, box)
    landmarks, face = np.array(landmarks, np.float64), Box(*(float(v) for v in box))
    if params.mirror:
        landmarks, face = mirror_landmarks(landmarks, image.shape[1]), mirror_box(face, image.shape[1])
    context = context_crop(landmarks, *image.shape[:2])
    landmarks = landmarks - (context.x0, context.y0)
    face = Box(face.x0 - context.x0, face.y0 - context.y0, face.x1 - context.x0, face.y1 - context.y0)
    height, width = context.height, context.width
    crop = detection_crop(face, height, width, params.crop)
    coded = crop if params.jpeg_quality is None else coded_region(crop, height, width)
    affine = affine_fields(params.geometry, height, width)
    warped = warp_region(affine, coded, height, width)
    recolored, untouched = (warped, coded) if params.recolored == "source" else (coded, warped)
    around = resample_region(params.resample, recolored, height, width)
    return PairPlan(
        params=params,
        context=context,
        landmarks=landmarks,
        outline=landmarks if params.part is None else part_outline(landmarks, params.part),
        affine=affine,
        coded=coded,
        warped=warped,
        window=around.union(untouched),
        crop=crop.moved(-coded.y0, -coded.x0),
    )


def cut_context(image: np.ndarray, plan: PairPlan) -> np.ndarray:
    """The context crop, mirrored if the pair is: uint8 [H, W, 3], contiguous."""
    return _cut(image, plan.context, plan.params.mirror)


def cut_window(image: np.ndarray, plan: PairPlan, out: np.ndarray | None = None) -> np.ndarray:
    """All that the pair needs of the image, mirrored if the pair is: uint8 [h, w, 3] of `plan.window`, contiguous; into `out` if given."""
    return _cut(image, plan.window.moved(plan.context.y0, plan.context.x0), plan.params.mirror, out)


def coded_region(crop: Crop, height: int, width: int) -> Crop:
    """The part of the image that has to be compressed as JPEG for the pixels of `crop`.

    It consists of whole coding units of the image (16 x 16 with 4:2:0 chroma), those of the crop and of the chroma samples next to it,
    with which decoders smooth its own; clipped to the image. Compressing this part gives the pixels of the crop that compressing
    everything gives.
    """

    def widen(low: int, high: int, limit: int) -> tuple[int, int]:
        low = min(low - 2, limit - 5)  # decoders do not smooth chroma of two samples
        return max(0, low // _BLOCK) * _BLOCK, min(limit, -(-(high + 3) // _BLOCK) * _BLOCK)

    return Crop(*widen(crop.y0, crop.y1, height), *widen(crop.x0, crop.x1, width))


def warp_region(affine: Affine, region: Crop, height: int, width: int) -> Crop:
    """The part of the image that its affine change reads for the pixels of `region`; never empty."""

    def reach(low: int, high: int, scale: float, shift: float, limit: int) -> tuple[int, int]:
        first = min(max(math.floor((low - shift) / scale) - 1, 0), limit - 1)
        last = min(max(math.floor((high - 1 - shift) / scale) + 3, 0), limit)
        return first, max(last, first + 1)

    rows = reach(region.y0, region.y1, affine.scale_y, affine.shift_y, height)
    return Crop(*rows, *reach(region.x0, region.x1, affine.scale_x, affine.shift_x, width))


def resample_region(params: ResampleParams, region: Crop, height: int, width: int) -> Crop:
    """The part of the image that resampling or sharpening reads for the pixels of `region`."""

    def reach(low: int, high: int, limit: int) -> tuple[int, int]:
        factor = params.down_scale
        around = 1 if factor is None else 2 * factor if limit >= 4 * factor else limit
        return max(0, low - around), min(limit, high + around)

    return Crop(*reach(region.y0, region.y1, height), *reach(region.x0, region.x1, width))


def _cut(image: np.ndarray, crop: Crop, mirror: bool, out: np.ndarray | None = None) -> np.ndarray:
    out = np.empty((crop.height, crop.width, 3), np.uint8) if out is None else out
    if mirror:
        width = image.shape[1]
        cv2.flip(image[crop.y0 : crop.y1, width - crop.x1 : width - crop.x0], 1, dst=out)
    else:
        np.copyto(out, image[crop.slices])
    return out


def _check(image: np.ndarray, landmarks: np.ndarray, box: np.ndarray) -> None:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"image: expected uint8 [H, W, 3], not empty, got {getattr(image, 'dtype', type(image))} {list(np.shape(image))}")
    if max(image.shape) > COORDINATE_LIMIT:
        raise ValueError(f"image: expected sides up to {COORDINATE_LIMIT} pixels, got {list(image.shape)}")
    integer_landmarks(landmarks)
    if np.shape(box) != (4,):
        raise ValueError(f"box: expected [4], got {list(np.shape(box))}")
