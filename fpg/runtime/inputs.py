"""What there is to look at in an input: frames of a video, an image, a folder of frames, or a stream from the network."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fpg.common.errors import InputError
from fpg.data.images import check_file
from fpg.data.notes import Notes
from fpg.data.seek import read_frames_torchcodec, read_needed_frames
from fpg.data.sources import frame_files, frame_time
from fpg.data.video import (
    CAMERA,
    IMAGE_SUFFIXES,
    FrameCountError,
    Frames,
    decodable,
    probe,
    read_frames,
    read_image,
    read_stream,
    sample_indices,
)

URL_EVERY = 25
"""Of a URL every 25th frame is looked at unless told otherwise: about one a second."""


class Decoder(Protocol):
    """As `fpg.data.video.read_frames`."""

    def __call__(self, path: str | os.PathLike[str], indices: Sequence[int], *, notes: Notes | None = None) -> Frames:
        """(index, time, image) of the wanted frames."""
        ...


DECODERS: dict[str, Decoder] = {"whole": read_frames, "needed": read_needed_frames, "cuda": read_frames_torchcodec}
"""How videos are decoded: everything up to the last wanted frame, so that damage before it is seen; or what the wanted frames need, on the
CPU or on a GPU (`fpg.data.seek`)."""


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a name is a URL (`https://...`, `rtsp://...`) and not a file."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", os.fspath(path)) is not None


def open_frames(
    path: str | os.PathLike[str],
    frames: int | None,
    total: int | None = None,
    *,
    every: int = 1,
    urls: bool = False,
    decode: str = "whole",
    notes: Notes | None = None,
) -> tuple[int, Frames]:
    """Number of frames to look at, and an iterator over them that decodes forward once.

    Args:
        path: video, image or folder of frames (sorted by name, numbers by value).
        frames: how many, evenly spaced; None for one in `every`. Of a URL, whose length is not known, the first ones of one in `every`.
        total: frames of a video when known better than by its packets.
        every: step between frames where `frames` is None, and in URLs.
        urls: whether URLs are opened.
        decode: of `DECODERS`; URLs are decoded whole.
        notes: told, as frames are taken, what there is to say about the input.

    Raises:
        InputError: not there, not a video or image, without frames, or a URL that was not asked for; the iterator raises it where
            decoding fails, and `FrameCountError` where a video whose frames are to be evenly spaced has fewer than `total`.
    """
    if is_url(path) or os.fspath(path).startswith(CAMERA):
        if not urls:
            raise InputError(path, "is a URL, and URLs are opened only with --urls", "refused")
        return (frames or 1), _first(read_stream(path, every, notes=notes), frames)
    path = Path(path)
    if os.path.isdir(path):
        names = frame_files(path)
        if not names:
            raise InputError(path, "the folder holds no images", "empty")
        wanted = chosen_frames(len(names), frames, every)
        return len(wanted), ((i, frame_time(i), read_image(names[i], notes)) for i in wanted)
    check_file(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return 1, _picture(path, notes)
    packets = total
    if packets is None:
        info = probe(path)
        packets = info.frames
        if notes is not None:
            notes.bits_per_pixel = info.bits_per_pixel
    wanted = chosen_frames(packets, frames, every)
    images = DECODERS[decode](path, wanted, notes=notes)
    return len(wanted), images if frames is not None else _as_far_as_they_go(path, images, packets)


def _picture(path: Path, notes: Notes | None) -> Frames:
    image = read_image(path, notes)
    if notes is not None:
        notes.bits_per_pixel = 8 * path.stat().st_size / (image.shape[0] * image.shape[1])
    yield 0, 0.0, image


def _as_far_as_they_go(path: Path, images: Frames, packets: int) -> Frames:
    """Frames in steps do not depend on how many there are: one that was announced and stays hidden ends them, no more."""
    try:
        yield from images
    except FrameCountError as error:
        decodable(path, error, packets)


def _first(images: Frames, count: int | None) -> Frames:
    for number, image in enumerate(images, 1):
        yield image
        if number == count:
            return


def chosen_frames(available: int, frames: int | None, every: int) -> list[int]:
    """Which frames of so many are looked at: that many, evenly spaced, or one in `every`."""
    return list(range(0, available, every)) if frames is None else sample_indices(available, frames)
