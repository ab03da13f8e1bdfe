"""The detection crop of one image or mask in torch, independent of `csrc/`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from oracles.photometry import blend_taps, linear_taps


def crop_resize(item: Tensor, crop: Sequence[int], size: int) -> Tensor:
    """uint8 [h, w, 3] -> float32 [3, size, size] in [0, 1], or float32 [h, w, 1] -> [1, size, size]; `crop` = (y0, y1, x0, x1)."""
    y0, y1, x0, x1 = crop
    y0, x0 = min(max(y0, 0), item.shape[0] - 1), min(max(x0, 0), item.shape[1] - 1)
    part = item[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    if item.dtype != torch.uint8:
        planes = part.permute(2, 0, 1)[None]
        return interpolate(planes.double(), size=(size, size), mode="bilinear", align_corners=False)[0].clamp(0, 1).float()
    levels = part.long()
    pixels = torch.arange(size, device=item.device)
    taps = [linear_taps(pixels, size, n) for n in part.shape[:2]]
    first, second, weights = ([t[i] for t in taps] for i in range(3))
    resized = blend_taps(lambda y, x: levels[y][:, x], first, second, weights)
    return resized.permute(2, 0, 1).float() / 255
