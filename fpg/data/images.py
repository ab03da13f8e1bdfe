"""Images as uint8 RGB, upright. The header is looked at before anything is decoded; what holds less than it claims is refused."""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageCms, features

from fpg.common.constants import CONSTANTS
from fpg.common.errors import InputError
from fpg.common.kinds import SUFFIXES, foreign_kind, media_kind
from fpg.common.packages import install_extra
from fpg.data.jpeg_scans import MAX_SCANS, scans
from fpg.data.notes import Notes
from fpg.data.orientation import INTEGERS, TAG, UPRIGHT, exif_orientation, undone, upright, valid_orientation

IMAGE_SUFFIXES = SUFFIXES["image"]

MAX_IMAGE_PIXELS: int = CONSTANTS["reading"]["max_image_pixels"]
"""Images that claim more are refused before anything is decoded."""

IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "GIF")
_HEIF_BRANDS = frozenset(brand.encode() for brand in CONSTANTS["reading"]["heif_brands"])
"""Of ISO/IEC 23008-12: pictures in the container that MP4 uses, too."""
_HEIF_HEAD = 1 << 16
"""Bytes that hold a HEIF file's boxes in practice."""
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, OverflowError, RuntimeError, struct.error, zlib.error)
"""What Pillow's decoders raise at damage."""
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""PNG interlacing (ISO/IEC 15948, 8.2): x and y of the first pixel, x and y step of each pass."""
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def read_image(path: str | os.PathLike[str], notes: Notes | None = None) -> np.ndarray:
    """Read an image as uint8 [H, W, 3] RGB: upright (`fpg.data.orientation`), alpha dropped, 16 bits to 8, grey, CMYK and LAB to RGB; of
    several pictures the main or first one.

    Args:
        path: the file.
        notes: told what there is to say about it.

    Raises:
        InputError: missing, empty, not an image, truncated, damaged, too large, or of floating-point pixels.
    """
    check_file(path)
    formats = heif_format(path) if is_heif(path) else IMAGE_FORMATS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size and broken metadata: refused below, or of no consequence
            with open_image(path, formats) as image:
                check_pixels(path, *image.size, MAX_IMAGE_PIXELS)
                if image.format in ("JPEG", "MPO") and scans(Path(path).read_bytes()) > MAX_SCANS:
                    raise InputError(path, f"is a JPEG of more than {MAX_SCANS} scans", "too_large")
                notes = notes or Notes()
                _note(image, notes)
                if image.format in ("HEIF", "AVIF") and _is_hdr_heif(path):
                    notes.warn("has the colours of HDR, which were not converted")
                return _decoded(image, path, lambda: _check_complete(path, image))
    except Image.UnidentifiedImageError as error:
        if (what := media_kind(path)).startswith("a video"):
            raise InputError(path, f"is {what}, and its name is that of a picture", "unsupported") from error
        raise InputError(path, "is not a readable image (damaged, or of another format)") from error
    except Image.DecompressionBombError as error:
        raise InputError(path, f"is too large: the limit is {MAX_IMAGE_PIXELS / 1e6:.0f} megapixels", "too_large") from error
    except DAMAGE as error:
        raise InputError(path, f"is damaged or truncated: {error}", "damaged") from error


class _WithinFile(io.BufferedReader):
    """Never asks for more than the file holds: Pillow asks for as much as a damaged header claims, and Python makes room for that first."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(io.FileIO(path))
        self._bytes = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._bytes - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


@contextmanager
def open_image(path: str | os.PathLike[str], formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """A picture as Pillow opens it, nothing decoded yet.

    Args:
        path: the file.
        formats: those that may be read, by Pillow's names.
    """
    with _WithinFile(path) as file, Image.open(file, formats=formats) as image:
        yield image


def from_pillow(image: Image.Image, name: str, notes: Notes | None = None) -> np.ndarray:
    """The pixels of a picture that Pillow opened or made, as `read_image` gives them: uint8 [H, W, 3] RGB, upright.

    Args:
        image: left as it is, but for being loaded.
        name: to call it in errors.
        notes: told what there is to say about it.

    Raises:
        InputError: it does not decode, is too large, or has floating-point pixels.
    """
    check_pixels(name, *image.size, MAX_IMAGE_PIXELS)
    try:
        _note(image, notes or Notes())
        return _decoded(image, name)
    except DAMAGE as error:
        raise InputError(name, f"is damaged or truncated: {error}", "damaged") from error


def _decoded(image: Image.Image, path: str | os.PathLike[str], check: Callable[[], None] = lambda: None) -> np.ndarray:
    """Upright RGB; `check` is called between loading and that."""
    turns = _tiff_turns(image) if image.format == "TIFF" else None
    image.load()
    check()
    pixels = _to_rgb(path, image)
    for orientation in turns or [_orientation(image)]:
        pixels = upright(pixels, orientation)
    return pixels


def is_heif(path: str | os.PathLike[str]) -> bool:
    """Whether a file says that it holds HEIF or AVIF pictures."""
    return is_heif_start(_start(path))


def is_heif_start(start: bytes) -> bool:
    """The same of the first 512 bytes of a file."""
    return not _HEIF_BRANDS.isdisjoint(_brands(start)[:1])


def _start(path: str | os.PathLike[str]) -> bytes:
    with open(path, "rb") as file:
        return file.read(512)


def _brands(start: bytes) -> list[bytes]:
    """Of the beginning of an ISO base media file: its major brand, then the compatible ones; none of another."""
    if start[4:8] != b"ftyp":
        return []
    end = min(struct.unpack(">I", start[:4])[0], len(start) // 4 * 4)
    return [start[at : at + 4] for at in (8, *range(16, end, 4))]


def heif_format(path: str | os.PathLike[str]) -> tuple[str]:
    """Pillow's name for the format of a HEIF or AVIF file, which it can read from now on.

    Raises:
        InputError: what is needed for it is not installed.
    """
    brands = _brands(_start(path))
    if b"avif" in brands or b"avis" in brands:
        if not features.check("avif"):
            raise InputError(
                path, "is an AVIF picture, and the Pillow that is installed reads none: pip install 'pillow>=11.3'", "unsupported"
            )
        return ("AVIF",)
    try:
        import pillow_heif
    except ImportError as error:
        what = f"is a HEIC picture, and reading one needs pillow-heif ({error}): {install_extra('heif')}"
        raise InputError(path, what, "unsupported") from error
    pillow_heif.register_heif_opener()
    return ("HEIF",)


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


def _orientation(image: Image.Image) -> int:
    """EXIF's number of a loaded image by the strict rule; HEIF's and AVIF's own transformations."""
    if image.format == "HEIF":
        return UPRIGHT  # turned when it was read
    if image.format == "AVIF":  # Pillow puts the container's there, whatever EXIF says
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        return valid_orientation(exif.get(TAG))
    return exif_orientation(image.info.get("exif", b""))


def _tiff_turns(image: Any) -> list[int]:
    """What takes back how Pillow turns a TIFF on its own as it loads it, less strictly; what its tag says."""
    directory = image.tag_v2
    stated = directory.get(TAG) if directory.tagtype.get(TAG) in INTEGERS else None
    return [undone(valid_orientation(image.getexif().get(TAG))), valid_orientation(stated)]


def _note(image: Image.Image, notes: Notes) -> None:
    if getattr(image, "n_frames", 1) > 1:
        notes.warn(CONSTANTS["reading"]["several_images"])
    if image.mode == "CMYK":
        notes.warn(CONSTANTS["reading"]["cmyk"])


def _is_hdr_heif(path: str | os.PathLike[str]) -> bool:
    """Whether a colour box before the pixels names PQ or HLG."""
    with open(path, "rb") as file:
        start = file.read(_HEIF_HEAD)
    return any(start[m.end() + 2 : m.end() + 4] in (b"\0\x10", b"\0\x12") for m in re.finditer(b"colrnclx", start))


def _to_rgb(path: str | os.PathLike[str], image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        raise InputError(path, "has floating-point pixels: expected 8 or 16 bits", "unsupported")
    if image.mode == "LAB":
        return np.array(ImageCms.profileToProfile(image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"))
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
        missing = image.format in ("JPEG", "MPO") and not _decodes_strictly(path)
    if missing:
        what = f"is damaged or truncated: it holds less than the {image.width} x {image.height} pixels that it claims"
        raise InputError(path, what, "damaged")


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
