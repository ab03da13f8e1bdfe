"""Colours of videos with more than 8 bits, of HDR, and of an odd height, as 8-bit RGB for an SDR screen.

The arithmetic is written out, here and in deploy/src/colour.cpp, so that both give the same pixels whatever the version of
FFmpeg. HDR: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67) to light relative to diffuse white, which is 203 cd/m2 in PQ and 75 % of
the signal in HLG (ITU-R BT.2408; HLG's system gamma is 1, as for a screen of some 330 cd/m2); BT.2020 to BT.709 primaries; light
above 80 % of white is rolled off, by the largest of R, G and B so that hues stay, to reach 1 at 1,000 cd/m2 or HLG's
maximum; gamma 2.2.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np

PQ, HLG = 16, 18
"""FFmpeg's numbers (ITU-T H.273) of transfer functions."""
TRANSFERS = {PQ: "PQ", HLG: "HLG"}
_BT2020, _UNKNOWN, _FULL_RANGE = 9, 2, 2
_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
"""H.273's number of a colour matrix -> fractions of red and blue in luma; others count as BT.601."""
_BT601 = (0.299, 0.114)
_PLANAR = re.compile(r"yuv(?:j|a)?(420|422|444)p(?:(9|10|12|14|16)le)?")
_TO_BT709 = np.array([[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32)
"""Linear BT.2020 to BT.709 (ITU-R BT.2087)."""
_STEPS = 65535
_GAMMA = 2.2
_KNEE = 0.8
_PEAK = {PQ: 1000 / 203, HLG: 3.773}
"""Of light relative to diffuse white: where the roll-off reaches 1."""


def planar(frame: Any) -> tuple[int, int, int] | None:
    """(bits, log2 of the horizontal, of the vertical subsampling of chroma) of a planar YUV frame; None for another format."""
    match = _PLANAR.fullmatch(frame.format.name)
    if match is None:
        return None
    across, down = {"420": (1, 1), "422": (1, 0), "444": (0, 0)}[match[1]]
    return int(match[2] or 8), across, down


def is_hdr(frame: Any) -> bool:
    """Whether the frame's transfer function is PQ or HLG."""
    return frame.color_trc in TRANSFERS


def is_wide(frame: Any) -> bool:
    """Whether its primaries are BT.2020's; those of HDR are unless stated."""
    return frame.color_primaries == _BT2020 or (is_hdr(frame) and frame.color_primaries in (0, _UNKNOWN))


def rgb(frame: Any, layout: tuple[int, int, int]) -> np.ndarray:
    """A frame of `planar` layout as float32 [H, W, 3] in [0, 1], R'G'B' of the stream's own transfer function and primaries.

    Chroma lies with the left luma sample and between rows, and is interpolated linearly.
    """
    bits, across, down = layout
    y, *chroma = (_plane(plane, bits) for plane in frame.planes[:3])
    u, v = (_as_large(part, y.shape, across, down) for part in chroma)
    unit, whole = float(1 << (bits - 8)), float((1 << bits) - 1)
    full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    black, luma_span, chroma_span = (0.0, whole, whole) if full else (16 * unit, 219 * unit, 224 * unit)
    luma, blue, red = (y - black) / luma_span, (u - 128 * unit) / chroma_span, (v - 128 * unit) / chroma_span
    matrix = frame.colorspace
    if matrix in (0, _UNKNOWN) and is_wide(frame):
        matrix = _BT2020
    kr, kb = (np.float32(k) for k in _WEIGHTS.get(matrix, _BT601))
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([r, g, b], -1), 0, 1)


def for_sdr(image: np.ndarray, transfer: int, wide: bool) -> np.ndarray:
    """R'G'B' float32 [H, W, 3] in [0, 1] as uint8 [H, W, 3] for an SDR screen; see the module."""
    if transfer not in TRANSFERS and not wide:
        return np.rint(image * 255).astype(np.uint8)
    light = _light(transfer)[np.rint(image * _STEPS).astype(np.uint16)]
    if wide:
        light = np.maximum(light @ _TO_BT709.T, 0)
    if transfer in TRANSFERS:
        largest = light.max(-1, keepdims=True)
        light = light * (_rolled_off(largest, np.float32(_PEAK[transfer])) / np.maximum(largest, np.float32(1e-6)))
    return _codes()[np.rint(np.minimum(light, 1) * _STEPS).astype(np.uint16)]


def _plane(plane: Any, bits: int) -> np.ndarray:
    kind = np.dtype(np.uint8 if bits == 8 else "<u2")
    rows = np.frombuffer(plane, kind, plane.height * plane.line_size // kind.itemsize)
    return rows.reshape(plane.height, -1)[:, : plane.width].astype(np.float32)


def _as_large(chroma: np.ndarray, size: tuple[int, ...], across: int, down: int) -> np.ndarray:
    height, width = size
    if across:
        after = np.concatenate([chroma[:, 1:], chroma[:, -1:]], 1)
        chroma = np.stack([chroma, (chroma + after) / 2], 2).reshape(len(chroma), -1)[:, :width]
    if down:
        before, after = np.concatenate([chroma[:1], chroma[:-1]]), np.concatenate([chroma[1:], chroma[-1:]])
        pairs = np.stack([0.75 * chroma + 0.25 * before, 0.75 * chroma + 0.25 * after], 1)
        chroma = pairs.reshape(-1, chroma.shape[1])[:height]
    return chroma


def _rolled_off(light: np.ndarray, peak: np.float32) -> np.ndarray:
    """The identity up to the knee; from there a hyperbola of the same slope that reaches 1 at the peak."""
    slope = (peak - _KNEE) / (1 - _KNEE)
    beyond = np.clip((light - _KNEE) / (peak - _KNEE), 0, 1)
    return np.where(light <= _KNEE, light, _KNEE + (1 - _KNEE) * slope * beyond / (1 + (slope - 1) * beyond)).astype(np.float32)


@functools.cache
def _light(transfer: int) -> np.ndarray:
    """float32 [65536]: light relative to diffuse white, by the signal in steps of 1 / 65535."""
    signal = np.arange(_STEPS + 1) / _STEPS
    if transfer == PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = signal ** (1 / m2)
        light = 10000 / 203 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    elif transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        light = light / ((np.exp((0.75 - c) / a) + b) / 12)
    else:
        light = signal**_GAMMA
    return light.astype(np.float32)


@functools.cache
def _codes() -> np.ndarray:
    """uint8 [65536]: the 8-bit value of light in steps of 1 / 65535."""
    return np.rint(255 * (np.arange(_STEPS + 1) / _STEPS) ** (1 / _GAMMA)).astype(np.uint8)
