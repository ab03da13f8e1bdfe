"""Encoding frames to a video file, atomically and reproducibly."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from fpg.common.codec import X264_REPRODUCIBLE
from fpg.common.errors import InputError
from fpg.common.files import atomic_write

CODECS = ("libx264", "mpeg4")
"""Encoders in order of preference; PyAV's own builds carry the first."""


def write_video(path: str | os.PathLike[str], frames: Iterable[np.ndarray], *, fps: float, crf: int = 20) -> int:
    """Write an MP4 (H.264 where the encoder is there, else MPEG-4 part 2), one encoder thread, so that bytes are reproducible.

    Args:
        path: the final name; missing parent folders are created.
        frames: uint8 [H, W, 3] RGB, all of one size, H and W even.
        fps: frames per second.
        crf: H.264's constant rate factor (the lower the better); MPEG-4 uses a fixed quantiser.

    Returns:
        The number of frames written.

    Raises:
        ValueError: no frames, or frames of odd or unequal size.
        InputError: the file cannot be written.
    """
    images = iter(frames)
    first = next(images, None)
    if first is None:
        raise ValueError("frames: expected at least one")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"frames: expected even height and width, got {height} x {width}")
    count = 0
    with atomic_write(path) as file:
        try:
            with av.open(file, "w", format="mp4") as container:
                stream = add_stream(container, width, height, fps, crf)
                for image in itertools.chain([first], images):
                    if image.shape != (height, width, 3) or image.dtype != np.uint8:
                        raise ValueError(f"frames: expected uint8 [{height}, {width}, 3], got {image.dtype} {list(image.shape)}")
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
                    count += 1
                container.mux(stream.encode(None))
        except av.FFmpegError as error:
            raise InputError(path, f"cannot be encoded: {error}") from error
    return count


def add_stream(container: OutputContainer, width: int, height: int, fps: float, crf: int) -> VideoStream:
    """A video stream as `write_video` encodes it: H.264 where the encoder is there, reproducible; sizes are even."""
    codec = next(name for name in CODECS if name in av.codecs_available)
    stream = cast(VideoStream, container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001)))
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.thread_count = 1
    options: dict[str, object] = {"qscale": "4", "flags": "+qscale"}
    if codec == "libx264":
        options = {"crf": str(crf), "preset": "veryfast", "x264-params": X264_REPRODUCIBLE}
    stream.options = options
    return stream
