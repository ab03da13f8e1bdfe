"""What is done to a finished pair, at the size of the network's input, where it is drawn: `draws.FINISHING`."""

from __future__ import annotations

import cv2
import numpy as np

from fpg.pairs.degrade import degrade
from fpg.pairs.distract import distract
from fpg.pairs.donor import DonorFace, blend_donor
from fpg.pairs.plan import PairPlan
from fpg.pairs.poisson import blend_poisson
from fpg.pairs.retexture import retexture


def finish_pair(
    fake: np.ndarray, real: np.ndarray, source: np.ndarray, mask: np.ndarray, plan: PairPlan, donor: DonorFace | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Finish one pair.

    Args:
        fake, real, source: float32 [3, S, S] in [0, 1], whole multiples of 1/255.
        mask: float32 [1, S, S].
        plan: of the pair.
        donor: the other face, where the draws want one; None for none that fits.

    Returns:
        Forgery, real face and source, float32 [3, S, S], and the mask.
    """
    params = plan.params
    if not params.finishing:
        return fake, real, source, mask
    f, r, s = (np.ascontiguousarray(np.rint(image * 255).astype(np.uint8).transpose(1, 2, 0)) for image in (fake, real, source))
    m, landmarks = mask[0], _in_crop(plan, real.shape[1])
    if params.donor is not None and donor is not None:
        f, s = blend_donor(r, m, landmarks, donor, params.donor)
    if params.retexture is not None:
        f, s = retexture(f, s, m, params.retexture)
    if params.poisson:
        f, m = blend_poisson(r, s, m)
        s = f
    if params.distractors is not None:
        f, r, s = distract([f, r, s], _face(landmarks, m), params.distractors)
    if params.degradation is not None:
        f, r, s = degrade([f, r, s], params.degradation)
    f, r, s = (np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / 255 for image in (f, r, s))
    return f, r, s, m[None]


def _in_crop(plan: PairPlan, size: int) -> np.ndarray:
    """Landmarks of the real face in pixels of the network's input."""
    crop, coded = plan.crop, plan.coded
    shifted = plan.landmarks - (coded.x0 + crop.x0, coded.y0 + crop.y0)
    return (shifted + 0.5) * (size / crop.width, size / crop.height) - 0.5


def _face(landmarks: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Where the face or its mask is: bool [S, S]."""
    face = (mask > 0).astype(np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(np.rint(landmarks).astype(np.int32)), 1)
    return face.astype(bool)
