"""The files of face crops: lossless PNG, vouched for by a checksum in the manifest, each read on its own in any order.

PNG because every tool opens it. What it costs is decided by how it is written: run lengths over one filter are written and decoded almost
twice as fast as a compression level asked for, and of the filters the difference to the pixel above is the smallest and quickest on faces
(`docs/data.md`, storage).
"""

from __future__ import annotations

import errno
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from fpg.common.errors import InputError
from fpg.data.images import check_file, read_image
from fpg.data.manifest import CHANGED, FaceRow, is_inside

_RUN_LENGTHS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
PNG_OPTIONS = [*_RUN_LENGTHS, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP] if hasattr(cv2, "IMWRITE_PNG_FILTER") else []
"""How crops are written, lossless in any case; where OpenCV knows no filters, its defaults: run lengths over the difference to the left."""
_OVERHEAD = 1 << 20
"""Bytes of a crop's file beyond its pixels."""


class OutputError(InputError):
    """A crop cannot be written (full disk, no permission): no other video can be prepared either."""

    code = "not_written"


def write_crop(path: Path, image: np.ndarray) -> int:
    """Write a crop, uint8 [H, W, 3] RGB; the CRC-32 of its file.

    Raises:
        OutputError: it cannot be written.
    """
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), PNG_OPTIONS)
    if not ok:
        raise RuntimeError(f"OpenCV could not encode a crop of {image.shape[1]} x {image.shape[0]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # this input's fault, and no other's
            raise InputError(path, "cannot be written: its name is too long", "not_written") from error
        raise OutputError(path, f"cannot be written: {error.strerror or error}") from error
    return zlib.crc32(data)


def read_crop(root: Path, row: FaceRow) -> np.ndarray:
    """The crop of a row of the manifest in `root`: uint8 [H, W, 3] RGB.

    A file with the right checksum is what was written, and is decoded without a closer look.

    Raises:
        InputError: the file cannot be read, or is not the crop that the manifest describes.
    """
    path = root / row.path
    if not is_inside(row.path):
        raise InputError(path, "lies outside of the prepared folder", "refused")
    _check_header(path, row)
    image = _vouched(path, row)
    vouched = image is not None
    if image is None:
        image = read_image(path)
    if image.shape[:2] != tuple(row.size):
        expected, got = (f"{height} x {width}" for height, width in (row.size, image.shape[:2]))
        raise InputError(path, f"size: expected {expected} as in the manifest, got {got}", "invalid")
    if not vouched and row.crc32 is not None:
        raise InputError(path, CHANGED, "damaged")
    return image


def _check_header(path: Path, row: FaceRow) -> None:
    """Look at what a PNG claims before anything is decoded: a small file can hold a picture of any size.

    Raises:
        InputError: not a file, another size than the manifest's, or more bytes than a crop of that size can have.
    """
    check_file(path)
    height, width = row.size
    with open(path, "rb") as file:
        head = file.read(24)
    if head[:8] == b"\x89PNG\r\n\x1a\n" and head[16:24] != struct.pack(">II", width, height):
        got = "{1} x {0}".format(*struct.unpack(">II", head[16:24])) if len(head) == 24 else "nothing"
        raise InputError(path, f"size: expected {height} x {width} as in the manifest, got {got}", "invalid")
    if path.stat().st_size > 8 * height * width + _OVERHEAD:
        raise InputError(path, f"is larger than a crop of {width} x {height} pixels can be", "too_large")


def _vouched(path: Path, row: FaceRow) -> np.ndarray | None:
    """The picture in a file with the manifest's checksum; None without one, or where it does not agree."""
    if row.crc32 is None:
        return None
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if zlib.crc32(data) != row.crc32:
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
