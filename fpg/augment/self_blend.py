"""Making the pair: a real face and a forgery blended from two copies of it (METHOD 2; SBI, CVPR 2022, as FPG uses it).

Images stay uint8 from step to step, as in the released method; the mask is uint8 {0, 1} up to its feathering and float32 after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fpg.augment.donor import DonorFace
from fpg.augment.feathering import feather
from fpg.augment.finish import finish_pair
from fpg.augment.hulls import face_mask
from fpg.augment.params import AugmentConfig, PairParams
from fpg.augment.photometry import change_color, compress_jpeg, resample
from fpg.augment.plan import PairPlan, cut_context, plan_pair
from fpg.augment.warp import affine_matrix, deform_mask, warp_image, warp_mask
from fpg.common.crops import network_input


@dataclass(frozen=True)
class Pair:
    """A pair as the detector sees it: S x S, RGB, float32 in [0, 1]. forgery = mask x source + (1 - mask) x real, up to step 8."""

    fake: np.ndarray
    """[3, S, S]: the forgery."""
    real: np.ndarray
    """[3, S, S]: the background, which is the real face."""
    source: np.ndarray
    """[3, S, S]: the copy that was blended in."""
    mask: np.ndarray
    """[1, S, S]: the soft mask. Zero everywhere if no mask was left; the forgery then equals the background."""


def make_pair(
    image: np.ndarray, landmarks: np.ndarray, box: np.ndarray, params: PairParams, config: AugmentConfig | None = None, size: int = 380
) -> Pair:
    """Make the pair that `params` describe.

    Args:
        image: uint8 [H, W, 3], RGB: a frame, or the context crop that preparation stored. Mirroring happens inside it. The context crop is
            taken again; of a stored crop that is the crop itself, up to a pixel where its bounds are whole numbers.
        landmarks: [68 or 81, 2], (x, y) in pixels of `image`.
        box: face box (x0, y0, x1, y1) in pixels of `image`.
        params: from `draw_pair`.
        config: the method's constants by default; only the elastic field's two are used here.
        size: S, in pixels.

    Raises:
        ValueError: not such an image, landmarks or box; the message says which and why.
    """
    if size < 1:
        raise ValueError(f"size: expected at least 1 pixel, got {size}")
    plan = plan_pair(image, landmarks, box, params)
    return make_planned(cut_context(image, plan), plan, config or AugmentConfig(), size)


def make_planned(image: np.ndarray, plan: PairPlan, config: AugmentConfig, size: int, donor: DonorFace | None = None) -> Pair:
    """Steps 3 to 9 of a planned pair.

    Args:
        image: uint8 [H, W, 3], the context crop as `cut_context` gives it. Pixels outside `plan.window` may have any value.
        config: only the elastic field's two constants are used.
        size: S, in pixels.
        donor: the other face, where the draws want one.
    """
    source, background, mask = make_copies(image, plan.landmarks, plan.params, config)  # 3 to 6
    y0, y1, x0, x1 = plan.coded
    source, background, mask = source[y0:y1, x0:x1], background[y0:y1, x0:x1], mask[y0:y1, x0:x1]
    fake, real, copy = (  # 7 and 8, of which only the surroundings of the detection crop are computed
        network_input(change_photometry(part, plan.params), plan.crop, size)
        for part in (blend(source, background, mask), background, source)
    )
    y0, y1, x0, x1 = plan.crop
    soft = cv2.resize(mask[y0:y1, x0:x1], (size, size), interpolation=cv2.INTER_LINEAR)  # 9
    soft = np.clip(soft, 0, 1)[None]
    return Pair(*finish_pair(fake, real, copy, soft, plan, donor), soft)


def make_copies(
    image: np.ndarray, landmarks: np.ndarray, params: PairParams, config: AugmentConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps 3 to 6 on a context crop: mask, colour, geometry, feathering.

    Args:
        image: uint8 [H, W, 3].
        landmarks: [68 or 81, 2], in its pixels.

    Returns:
        source and background, uint8 [H, W, 3]; soft mask, float32 [H, W] in [0, 1].
    """
    height, width = image.shape[:2]
    mask = face_mask(landmarks, params.family, height, width, params.points)  # 3
    recolored = resample(change_color(image, params.color), params.resample)  # 4
    source, background = (recolored, image) if params.recolored == "source" else (image, recolored)
    matrix = affine_matrix(params.geometry, height, width)  # 5
    source, mask = warp_image(source, matrix), warp_mask(mask, matrix)
    mask = deform_mask(mask, params.geometry.noise_key, config.elastic_alpha, config.elastic_sigma)
    drawn = params.feather  # 6
    soft = feather(mask, drawn.height, drawn.width, drawn.k1, drawn.k2, drawn.sigma) * np.float32(params.ratio)
    return source, background, soft


def blend(source: np.ndarray, background: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Step 7: f = m s + (1 - m) b in float32, truncated to uint8. uint8 [H, W, 3] twice, float32 [H, W] -> uint8 [H, W, 3]."""
    weight = cv2.merge([mask, mask, mask])
    return (weight * source + (1 - weight) * background).astype(np.uint8)


def change_photometry(image: np.ndarray, params: PairParams) -> np.ndarray:
    """Step 8: the change that forgery, background and source share. uint8 [H, W, 3] -> uint8 [H, W, 3]."""
    changed = change_color(image, params.photometric)
    return changed if params.jpeg_quality is None else compress_jpeg(changed, params.jpeg_quality)
