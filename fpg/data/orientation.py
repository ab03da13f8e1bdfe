"""How stored pixels are turned and mirrored to be upright: EXIF's eight orientations, and display matrices of videos.

One strict rule for EXIF: the orientation in the first directory counts where it is one number from 1 to 8, SHORT (as the
standard has it) or LONG (as some write), and is ignored otherwise. XMP is not looked at. In HEIF and AVIF the container's
own transformations count, and EXIF is ignored, as their standard asks.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import cv2
import numpy as np

UPRIGHT = 1
TAG = 0x0112
INTEGERS = {3: "H", 4: "I"}
"""TIFF's types SHORT and LONG."""
_FLAGS = {1: (0, 0, 0), 2: (0, 1, 0), 3: (0, 1, 1), 4: (0, 0, 1), 5: (1, 0, 0), 6: (1, 1, 0), 7: (1, 1, 1), 8: (1, 0, 1)}
"""EXIF's number -> (rows and columns exchanged, then mirrored left-right, then top-bottom)."""
_NUMBERS = {flags: number for number, flags in _FLAGS.items()}
_SNAP_DEGREES = 1.0
"""Matrices this close to a quarter turn are one."""


def exif_orientation(block: bytes) -> int:
    """The orientation (1 to 8) that an EXIF block states, 1 where it states none.

    Args:
        block: TIFF structure, with or without the prefix `Exif\\0\\0`.
    """
    while block.startswith(b"Exif\0\0"):  # some write it twice
        block = block[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return UPRIGHT
    (directory,) = struct.unpack_from(f"{order}I", block, 4)
    if directory + 2 > len(block):
        return UPRIGHT
    (entries,) = struct.unpack_from(f"{order}H", block, directory)
    for entry in range(directory + 2, min(directory + 2 + 12 * entries, len(block) - 11), 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", block, entry)
        if tag == TAG:
            form = INTEGERS.get(kind) if count == 1 else None
            return valid_orientation(struct.unpack_from(order + form, block, entry + 8)[0]) if form else UPRIGHT
    return UPRIGHT


def valid_orientation(value: object) -> int:
    """The value where it is an orientation, else 1."""
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """[H, W, ...] stored pixels, turned and mirrored as EXIF's number says; contiguous."""
    swap, across, down = _FLAGS[orientation]
    if swap:
        image = image.swapaxes(0, 1)
    return np.ascontiguousarray(image[:: -1 if down else 1, :: -1 if across else 1])


def undone(orientation: int) -> int:
    """The orientation that takes `upright` back."""
    return {6: 8, 8: 6}.get(orientation, orientation)


def matrix_turn(matrix: Sequence[int]) -> tuple[int | None, tuple[float, float, float, float]]:
    """What a display matrix (nine numbers, ISO/IEC 14496-12) does, but for scale and place.

    Returns:
        EXIF's number, or None for an angle between quarter turns; and (a, b, c, d) of length one each way, for which the pixel
        (x, y) is shown at (a x + c y, b x + d y). A matrix that flattens the picture does nothing.
    """
    a, b, c, d = (float(matrix[i]) for i in (0, 1, 3, 4))
    first, second = math.hypot(a, b), math.hypot(c, d)
    if not (first and second) or abs(a * d - b * c) < 1e-3 * first * second:
        return UPRIGHT, (1.0, 0.0, 0.0, 1.0)
    a, b, c, d = a / first, b / first, c / second, d / second
    least = math.cos(math.radians(_SNAP_DEGREES))
    if abs(a) >= least and abs(d) >= least:
        return _NUMBERS[(0, int(a < 0), int(d < 0))], (a, b, c, d)
    if abs(b) >= least and abs(c) >= least:
        return _NUMBERS[(1, int(c < 0), int(b < 0))], (a, b, c, d)
    return None, (a, b, c, d)


def turned(image: np.ndarray, part: tuple[float, float, float, float]) -> np.ndarray:
    """uint8 [H, W, 3] shown through (a, b, c, d) of `matrix_turn`, on a black ground that holds all of it."""
    a, b, c, d = part
    height, width = image.shape[:2]
    shown_w, shown_h = turned_size(height, width, part)[::-1]
    forward = np.array([[a, c], [b, d]])
    # Centres of pixels lie at integers: the middle of the one is shown in the middle of the other.
    inverse = np.linalg.inv(forward)
    offset = np.array([(width - 1) / 2, (height - 1) / 2]) - inverse @ np.array([(shown_w - 1) / 2, (shown_h - 1) / 2])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, np.column_stack([inverse, offset]), (shown_w, shown_h), flags=flags, borderMode=cv2.BORDER_CONSTANT)


def turned_size(height: int, width: int, part: tuple[float, float, float, float]) -> tuple[int, int]:
    """(height, width) of what `turned` gives."""
    a, b, c, d = (abs(v) for v in part)
    return max(1, round(b * width + d * height)), max(1, round(a * width + c * height))
