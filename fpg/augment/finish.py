"""What is done to a finished pair, at the size of the network's input: `retexture`, then `degrade`, where they are drawn."""

from __future__ import annotations

import numpy as np

from fpg.augment.degrade import degrade
from fpg.augment.params import PairParams
from fpg.augment.retexture import retexture


def finish_pair(
    fake: np.ndarray, real: np.ndarray, source: np.ndarray, mask: np.ndarray, params: PairParams
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finish one pair.

    Args:
        fake, real, source: float32 [3, S, S] in [0, 1], whole multiples of 1/255.
        mask: float32 [1, S, S].
        params: of the pair.

    Returns:
        Forgery, real face and source, float32 [3, S, S].
    """
    if not params.finishing:
        return fake, real, source
    f, r, s = (np.ascontiguousarray(np.rint(image * 255).astype(np.uint8).transpose(1, 2, 0)) for image in (fake, real, source))
    if params.retexture is not None:
        f, s = retexture(f, s, mask[0], params.retexture)
    if params.degradation is not None:
        f, r, s = degrade([f, r, s], params.degradation)
    f, r, s = (np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / 255 for image in (f, r, s))
    return f, r, s
