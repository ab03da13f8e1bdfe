"""Decoded frames as a player shows them: colours for an SDR screen, fields woven without combs, square pixels, upright."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter

from fpg.common.constants import CONSTANTS
from fpg.common.errors import InputError
from fpg.data import colour
from fpg.data.images import check_pixels
from fpg.data.notes import Notes
from fpg.data.orientation import UPRIGHT, matrix_turn, turned, turned_size, upright

MAX_VIDEO_PIXELS: int = CONSTANTS["reading"]["max_video_pixels"]
"""Per frame (8K is 33 million); decoders keep many frames at once."""
_COMB = 36
"""Sum over R, G and B by which a line of the second field has to leave both its neighbours, in one direction, to be a comb's."""
_NO_TURN = (UPRIGHT, (1.0, 0.0, 0.0, 1.0))
_UNKNOWN = (0, 2)
_ONE_THREAD = {"threads": 1} if int(av.__version__.partition(".")[0]) >= 17 else {}
"""Of a conversion, for which PyAV 17 and later start a thread per CPU: more than a frame is worth."""
_ICTCP = 14


class Display:
    """Turns decoded frames of one stream into pictures.

    Args:
        path: names the input in errors.
        stream: PyAV's video stream.
        notes: told what was done to the frames.
    """

    def __init__(self, path: str | os.PathLike[str], stream: Any, notes: Notes | None = None) -> None:
        self._path, self._stream, self._notes = path, stream, notes or Notes()
        self._reformatter = VideoReformatter()

    def __call__(self, frame: Any) -> np.ndarray:
        """The frame as uint8 [H, W, 3] RGB.

        Raises:
            InputError: its pixel format cannot be converted, or it is too large when shown.
        """
        check_pixels(self._path, *self.size(frame)[::-1], MAX_VIDEO_PIXELS)
        image = self._rgb(frame)
        if frame.interlaced_frame:
            self._notes.warn("is interlaced: lines of the second field that stand out from their neighbours were interpolated")
            image = without_combs(image)
        height, width = square_size(frame.height, frame.width, self.aspect)
        if (height, width) != image.shape[:2]:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        orientation, part = _turn(frame)
        self._describe(frame, orientation)
        return turned(image, part) if orientation is None else upright(image, orientation)

    def size(self, frame: Any) -> tuple[int, int]:
        """(height, width) of the frame as shown."""
        height, width = square_size(frame.height, frame.width, self.aspect)
        orientation, part = _turn(frame)
        if orientation is None:
            return turned_size(height, width, part)
        return (width, height) if orientation > 4 else (height, width)

    def is_plain(self, frame: Any) -> bool:
        """Whether showing the frame takes no more than the stream's own colour matrix and quarter turns."""
        orientation, _ = _turn(frame)
        square = square_size(frame.height, frame.width, self.aspect) == (frame.height, frame.width)
        return square and orientation in (1, 3, 6, 8) and not (frame.interlaced_frame or _converted_here(frame))

    @property
    def aspect(self) -> Fraction:
        """Width over height of a pixel: the container's, else the codec's, else 1."""
        found = self._stream.sample_aspect_ratio or self._stream.codec_context.sample_aspect_ratio
        return found if found and found > 0 else Fraction(1)

    def _rgb(self, frame: Any) -> np.ndarray:
        layout = colour.planar(frame)
        self._warn_of_colours(frame, layout is not None)
        if layout is not None and _converted_here(frame):
            return colour.for_sdr(colour.rgb(frame, layout), frame.color_trc, colour.is_wide(frame))
        try:
            return np.ascontiguousarray(self._reformatter.reformat(frame, format="rgb24", **_ONE_THREAD).to_ndarray())
        except (av.FFmpegError, ValueError) as error:
            raise InputError(
                self._path, f"has pixels of format {frame.format.name} that cannot be converted: {error}", "unsupported"
            ) from error

    def _warn_of_colours(self, frame: Any, converted: bool) -> None:
        name = colour.TRANSFERS.get(frame.color_trc)
        if name and converted:
            self._notes.warn(f"is HDR ({name}): it was converted to SDR")
        elif name or (colour.is_wide(frame) and not converted):
            self._notes.warn(f"has the colours of {'HDR (' + name + ')' if name else 'BT.2020'}, which were not converted")
        elif colour.is_wide(frame) and frame.color_trc in _UNKNOWN:
            self._notes.warn("has the colours of BT.2020 without a transfer function: it was taken for SDR")
        if frame.colorspace == _ICTCP:
            self._notes.warn("has colours in ICtCp, which were not converted")
        elif not name and any(side.type == Type.DOVI_METADATA for side in frame.side_data):
            self._notes.warn("is Dolby Vision without a base that others can show: its colours were not converted")

    def _describe(self, frame: Any, orientation: int | None) -> None:
        if self._notes.stream is not None and "orientation" not in self._notes.stream:
            self._notes.stream["pixel_aspect"] = f"{self.aspect.numerator}:{self.aspect.denominator}"
            self._notes.stream["orientation"] = orientation
            self._notes.stream["transfer"] = colour.TRANSFERS.get(frame.color_trc, "SDR")


def square_size(height: int, width: int, aspect: Fraction) -> tuple[int, int]:
    """(height, width) with square pixels; the shorter way grows, so that nothing is lost."""
    if aspect > 1:
        return height, max(1, round(width * aspect))
    return max(1, round(height / aspect)), width


def without_combs(image: np.ndarray) -> np.ndarray:
    """A frame of two woven fields, uint8 [H, W, 3], without combs: where a pixel of an odd line is brighter, or darker, than
    both its neighbours above and below by more than a little, it becomes their mean. What rests stays sharp."""
    total = image.sum(-1, dtype=np.int32)
    above = np.arange(0, image.shape[0] - 1, 2)
    below = np.minimum(above + 2, image.shape[0] - 1 - (image.shape[0] - 1) % 2)
    odd = total[above + 1]
    comb = (odd - total[above]) * (odd - total[below]) > _COMB**2
    mean = ((image[above].astype(np.uint16) + image[below] + 1) >> 1).astype(np.uint8)
    result = image.copy()
    result[above + 1] = np.where(comb[..., None], mean, image[above + 1])
    return result


def _converted_here(frame: Any) -> bool:
    """Whether swscale does not convert the colours: it knows no HDR, and its versions differ where the height is odd."""
    layout = colour.planar(frame)
    return layout is not None and (layout[0] > 8 or colour.is_hdr(frame) or colour.is_wide(frame) or frame.height % 2 == 1)


def _turn(frame: Any) -> tuple[int | None, tuple[float, float, float, float]]:
    for side in frame.side_data:
        if side.type == Type.DISPLAYMATRIX:
            return matrix_turn(np.frombuffer(bytes(side), np.int32).tolist()) if len(bytes(side)) >= 36 else _NO_TURN
    return _NO_TURN
