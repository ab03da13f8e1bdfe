"""Photometric changes of one image in torch: tables and whole-image expressions, independent of `csrc/`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def change_color(image: Tensor, fields: Sequence[float]) -> Tensor:
    """RGB shift, HSV shift, contrast; uint8 [H, W, 3] and a row of `fpg.pairs.operations.color_fields`."""
    levels = image.long()
    if any(fields[0:3]):
        levels = (levels + torch.tensor(fields[0:3], device=image.device).long()).clamp(0, 255)
    if fields[3]:
        h, s, v = rgb_to_hsv(levels).unbind(-1)
        hue, saturation, value = (int(f) for f in fields[4:7])
        levels = hsv_to_rgb(torch.stack([(h + hue) % 180, (s + saturation).clamp(0, 255), (v + value).clamp(0, 255)], -1))
    if fields[7] != 1 or fields[8] != 0:
        a, b = torch.tensor(fields[7:9], dtype=torch.float32, device=image.device)
        table = (torch.arange(256, device=image.device).float() * a + b).clamp(0, 255).long()
        levels = table[levels]
    return levels.to(torch.uint8)


def rgb_to_hsv(levels: Tensor) -> Tensor:
    """OpenCV's 8-bit HSV: int64 [..., 3] in 0..255 -> hue 0..179, saturation and value 0..255; 12-bit tables of quotients."""
    r, g, b = levels.unbind(-1)
    divisors = torch.arange(256, device=levels.device, dtype=torch.float64).clamp(min=1)
    of_255, of_180 = ((n / divisors).round().long() for n in (255 << 12, (180 << 12) / 6))
    value = levels.amax(-1)
    chroma = value - levels.amin(-1)
    saturation = (chroma * of_255[value] + 2048) >> 12
    position = torch.where(value == g, b - r + 2 * chroma, r - g + 4 * chroma)
    position = torch.where(value == r, g - b, position)
    hue = (position * of_180[chroma] + 2048) >> 12
    return torch.stack([torch.where(hue < 0, hue + 180, hue), saturation, value], -1)


def hsv_to_rgb(hsv: Tensor) -> Tensor:
    """Back, truncating, in float32 as OpenCV does for 8-bit images."""
    h, s, v = hsv.float().unbind(-1)
    s, v = s * torch.tensor(1 / 255).float(), v * torch.tensor(1 / 255).float()
    turn = h * torch.tensor(6 / 180).float()
    sector = turn.floor()
    fraction = turn - sector
    corners = torch.stack([v, v * (1 - s), v * (1 - s * fraction), v * (1 - s * (1 - fraction))], -1)
    order = torch.tensor([[0, 3, 1], [2, 0, 1], [1, 0, 3], [1, 2, 0], [3, 1, 0], [0, 1, 2]], device=hsv.device)
    return (corners.gather(-1, order[sector.long()]) * 255).long()


def resample(image: Tensor, window: Sequence[int], size: tuple[int, int], out_window: Sequence[int], fields: Sequence[float]) -> Tensor:
    """One item: uint8 [h, w, 3] at `window` of its full image -> uint8 [*size, 3] at `out_window`."""
    rows = torch.arange(size[0], device=image.device) + out_window[0]
    columns = torch.arange(size[1], device=image.device) + out_window[1]
    if fields[0]:
        return _down_and_up(image, window, rows, columns, int(fields[0]))
    if fields[1]:
        return _sharpen(image, window, rows, columns, fields[1], fields[2])
    return _look_up(image, window, rows, columns).to(torch.uint8)


def _look_up(image: Tensor, window: Sequence[int], rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels of the full image, the nearest of the window where it does not reach: int64 [rows, columns, 3]."""
    rows = (rows - window[0]).clamp(0, image.shape[0] - 1)
    columns = (columns - window[1]).clamp(0, image.shape[1] - 1)
    return image.long()[rows][:, columns]


def _down_and_up(image: Tensor, window: Sequence[int], rows: Tensor, columns: Tensor, factor: int) -> Tensor:
    first, second, weights = [], [], []
    for pixels, full in ((rows, window[2]), (columns, window[3])):
        small = max(1, full // factor)
        low, high, weight = linear_taps(pixels, full, small)
        pick = ((torch.arange(small, device=image.device).double() * (full / small)).floor().long()).clamp(max=full - 1)
        first.append(pick[low])
        second.append(pick[high])
        weights.append(weight)
    return blend_taps(lambda y, x: _look_up(image, window, y, x), first, second, weights)


def linear_taps(pixels: Tensor, out_count: int, in_count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Both neighbours of each output pixel and the second one's weight of 2048, as OpenCV resizes: float32 positions."""
    position = ((pixels.double() + 0.5) * (1 / (out_count / in_count)) - 0.5).float()
    low = position.floor()
    weight = ((position - low) * 2048).round().long()
    low = low.long()
    return low.clamp(0, in_count - 1), (low + 1).clamp(0, in_count - 1), weight


def blend_taps(pixel_at, first: Sequence[Tensor], second: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:  # type: ignore[no-untyped-def]
    """OpenCV's 8-bit bilinear: columns with 11-bit weights, 4 bits dropped, rows with 16 bits dropped from each product, rounded."""
    wy, wx = weights[0][:, None, None], weights[1][None, :, None]
    top, bottom = ((pixel_at(y, first[1]) * (2048 - wx) + pixel_at(y, second[1]) * wx) >> 4 for y in (first[0], second[0]))
    return (((top * (2048 - wy) >> 16) + (bottom * wy >> 16) + 2) >> 2).to(torch.uint8)


def _sharpen(image: Tensor, window: Sequence[int], rows: Tensor, columns: Tensor, side: float, centre: float) -> Tensor:
    def mirrored(index: Tensor, full: int) -> Tensor:
        index = index.abs()
        return torch.where(index >= full, 2 * full - 2 - index, index).clamp(0, full - 1)

    total = torch.zeros(len(rows), len(columns), 3, dtype=torch.float64, device=image.device)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            pixels = _look_up(image, window, mirrored(rows + dy, window[2]), mirrored(columns + dx, window[3]))
            total += pixels * (centre if dx == dy == 0 else side)
    return total.clamp(0, 255).round().to(torch.uint8)
