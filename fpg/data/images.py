"""Images as uint8 RGB. The header is looked at before anything is decoded; what holds less than it claims is refused."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from fpg.common.errors import InputError
from fpg.common.kinds import SUFFIXES, foreign_kind
from fpg.data.jpeg_scans import MAX_SCANS, scans

IMAGE_SUFFIXES = SUFFIXES["image"]

MAX_IMAGE_PIXELS = 100_000_000
"""Images that claim more are refused before anything is decoded."""

IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "GIF")
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""PNG interlacing (ISO/IEC 15948, 8.2): x and y of the first pixel, x and y step of each pass."""
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image as uint8 [H, W, 3] RGB: EXIF orientation applied, alpha dropped, 16 bits to 8, grey to RGB, first page.

    Raises:
        InputError: missing, empty, not an image, truncated, damaged, too large, or of floating-point pixels.
    """
    check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size and broken metadata: refused below, or of no consequence
            with Image.open(path, formats=IMAGE_FORMATS) as image:
                check_pixels(path, *image.size, MAX_IMAGE_PIXELS)
                if image.format in ("JPEG", "MPO") and scans(Path(path).read_bytes()) > MAX_SCANS:
                    raise InputError(path, f"is a JPEG of more than {MAX_SCANS} scans", "too_large")
                image.load()
                _check_complete(path, image)
                return _to_rgb(path, image)
    except Image.UnidentifiedImageError as error:
        raise InputError(path, "is not a readable image (damaged, or of another format)") from error
    except Image.DecompressionBombError as error:
        raise InputError(path, f"is too large: the limit is {MAX_IMAGE_PIXELS / 1e6:.0f} megapixels", "too_large") from error
    except (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, OverflowError, struct.error, zlib.error) as error:
        raise InputError(path, f"is damaged or truncated: {error}", "damaged") from error


def check_file(path: str | os.PathLike[str]) -> None:
    """Raises `InputError` unless `path` is a file with something in it that may be a picture or a video."""
    try:
        size = os.stat(path).st_size
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        if isinstance(error, FileNotFoundError):
            raise InputError(path, "no such file", "missing") from error
        raise InputError.of(path, error) from error
    if not Path(path).is_file():
        raise InputError(path, "is not a file", "not_a_file")
    if size == 0:
        raise InputError(path, "is empty (0 bytes)", "empty")
    try:
        what = foreign_kind(path)
    except OSError as error:
        raise InputError.of(path, error) from error
    if what:
        raise InputError(path, f"is {what}, and neither a picture nor a video", "not_media")


def check_pixels(path: str | os.PathLike[str], width: int, height: int, limit: int) -> None:
    """Raises `InputError` when width x height exceeds `limit`."""
    if width * height > limit:
        raise InputError(path, f"is too large: {width} x {height} pixels, the limit is {limit / 1e6:.0f} megapixels", "too_large")


def _to_rgb(path: str | os.PathLike[str], image: Image.Image) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        raise InputError(path, "has floating-point pixels: expected 8 or 16 bits", "unsupported")
    if "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa"):
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def _check_complete(path: str | os.PathLike[str], image: Image.Image) -> None:
    """PNG and JPEG decoders fill what is not there, and say nothing. Only a flat last row is worth the closer look."""
    last = np.asarray(image.crop((0, image.height - 1, image.width, image.height)))
    if (last != last[:, :1]).any():
        return
    if image.format == "PNG" and not last.any():
        missing = _png_lacks_pixels(Path(path).read_bytes())
    else:
        missing = image.format == "JPEG" and not _decodes_strictly(path)
    if missing:
        what = f"is damaged or truncated: it holds less than the {image.width} x {image.height} pixels that it claims"
        raise InputError(path, what, "truncated")


def _png_lacks_pixels(data: bytes) -> bool:
    """Whether a PNG's pixel data is shorter than its header says."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    expected = 0
    for x, y, dx, dy in passes:
        columns, rows = -(-(width - x) // dx), -(-(height - y) // dy)
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * depth * _PNG_CHANNELS[colour] + 7) // 8)
    inflate, position, got = zlib.decompressobj(), 8, 0
    while position + 8 <= len(data) and not inflate.eof:
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        if kind == b"IDAT":
            block = data[position + 8 : position + 8 + length]
            while block and got < expected:
                got += len(inflate.decompress(block, 1 << 20))
                block = inflate.unconsumed_tail
        position += length + 12
    return got < expected


def _decodes_strictly(path: str | os.PathLike[str]) -> bool:
    """Whether FFmpeg's JPEG decoder, told to stop at the first error, gets through."""
    try:
        with av.open(f"file:{os.path.abspath(os.fspath(path))}", options={"protocol_whitelist": "file"}) as container:
            container.streams.video[0].codec_context.options = {"err_detect": "explode"}
            return next(container.decode(video=0), None) is not None
    except (av.FFmpegError, IndexError):
        return False
