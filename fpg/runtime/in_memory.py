"""Inputs that are not files: encoded bytes, pixels, Pillow images, frames in order."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from fpg.common.errors import InputError
from fpg.data.images import IMAGE_FORMATS, from_pillow, is_heif_start
from fpg.data.notes import Notes
from fpg.data.sources import frame_time
from fpg.faces.types import check_image
from fpg.runtime.inputs import Frames, chosen_frames

Picture: TypeAlias = np.ndarray | Image.Image
"""uint8 [H, W, 3] RGB, or a Pillow image."""
Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Picture | Iterable[Picture]
"""What can be judged: a path; the bytes of a picture's or video's file; a picture; frames in order, as an iterable or as uint8
[N, H, W, 3]. If the frames can be counted, as many are examined as of a folder of frames; otherwise one in `Options.every`."""


MemoryReader: TypeAlias = Callable[[int | None, Notes], tuple[int, Frames]]
"""Frames wanted (None: one in `Options.every`), and what to tell: gives what `fpg.runtime.inputs.open_frames` gives."""


class Opened(NamedTuple):
    """An input as the stages read it."""

    path: str | os.PathLike[str]
    name: str | None = None
    """What to call it instead of `path`."""
    reader: MemoryReader | None = None
    """Gives its frames; None: they are read from `path`."""


@contextlib.contextmanager
def opened(source: Source, every: int = 1) -> Iterator[Opened]:
    """Make any input readable for the length of the block; the bytes of a file lie in a temporary one meanwhile.

    Args:
        source: see `Source`.
        every: step between frames where their number is not known.

    Raises:
        TypeError: it is none of those.
        ValueError: an array of other pixels than `Picture`.
    """
    if isinstance(source, str | os.PathLike):
        yield Opened(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        with tempfile.NamedTemporaryFile(suffix=_suffix(source)) as file:
            file.write(source)
            file.flush()
            yield Opened(file.name, "bytes")
    elif isinstance(source, np.ndarray) and source.ndim != 4:
        check_image(source)
        yield Opened("array", reader=_reader("array", [source], every))
    elif isinstance(source, Image.Image):
        yield Opened("picture", reader=_reader("picture", [source], every))
    elif isinstance(source, np.ndarray | Iterable):
        yield Opened("frames", reader=_reader("frames", source, every))
    else:
        raise TypeError(f"source: expected a path, bytes, an array, a picture or frames, got {type(source).__name__}")


def _suffix(data: bytes | bytearray | memoryview) -> str:
    """Pictures are told from videos by their suffix; bytes have none, so that their content has to do."""
    if is_heif_start(bytes(data[:512])):
        return ".heic"
    stills = [name for name in IMAGE_FORMATS if name != "GIF"]
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data), formats=stills):  # whatever Pillow raises at something else
        return ".png"  # of any format: the reader looks at the content
    return ""


def _reader(name: str, pictures: Iterable[Picture], every: int) -> MemoryReader:
    def read(frames: int | None, notes: Notes) -> tuple[int, Frames]:
        if isinstance(pictures, Sequence | np.ndarray):
            if len(pictures) == 0:
                raise InputError(name, "holds no frames", "empty")
            wanted = chosen_frames(len(pictures), frames, every)
            return len(wanted), ((i, frame_time(i), _pixels(pictures[i], name, i, notes)) for i in wanted)
        return frames or 1, ((i, frame_time(i), _pixels(p, name, i, notes)) for i, p in enumerate(pictures) if i % every == 0)

    return read


def _pixels(picture: Picture, name: str, index: int, notes: Notes) -> np.ndarray:
    if isinstance(picture, Image.Image):
        return from_pillow(picture, name, notes)
    pixels = np.asarray(picture)
    try:
        check_image(pixels)
    except ValueError as error:
        raise InputError(name, f"frame {index}: {error}", "invalid") from error
    return np.ascontiguousarray(pixels)
