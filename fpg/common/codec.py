"""A few frames through a video encoder and back, in memory: what H.264 or H.265 leaves of them; and pictures through JPEG."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, cast

import av
import cv2
import numpy as np
from av.container import InputContainer, OutputContainer

from fpg.common.errors import MissingDependencyError

H264, H265 = "libx264", "libx265"
X264_REPRODUCIBLE = "cpu-independent=1"
"""Without it x264's rate control answers differently from processor to processor, and with AVX-512 from one run to the next."""
_OPTIONS = {
    H264: {"preset": "veryfast", "x264-params": f"threads=1:log-level=error:{X264_REPRODUCIBLE}"},
    H265: {"preset": "ultrafast", "x265-params": "frame-threads=1:pools=none:log-level=none:bframes=0"},
}
_RATE = Fraction(25)


def available(codec: str) -> bool:
    """Whether PyAV's FFmpeg can encode with it; PyAV's own wheels can with both."""
    return codec in av.codecs_available


def through_encoder(codec: str, crf: int, frames: Iterable[np.ndarray], keep: Sequence[int]) -> list[np.ndarray]:
    """Encode frames, decode them, and give some of them back. One thread, so that the bytes are the same each time.

    Args:
        codec: `H264` or `H265`.
        crf: constant rate factor.
        frames: uint8 [H, W, 3] RGB, all of one size, H and W even.
        keep: indices of the frames that are wanted.

    Returns:
        uint8 [H, W, 3] RGB of each.

    Raises:
        MissingDependencyError: FFmpeg has no such encoder.
    """
    if not available(codec):
        raise MissingDependencyError(
            f"PyAV's FFmpeg has no encoder {codec}: install PyAV's wheel from PyPI (pip install --force-reinstall av)"
        )
    buffer = io.BytesIO()
    with cast(OutputContainer, av.open(buffer, "w", format="matroska")) as container:
        stream: Any = None
        for index, image in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=_RATE, options={"crf": str(crf), **_OPTIONS[codec]})
                stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], "yuv420p"
                stream.codec_context.thread_count = 1
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = index, 1 / _RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with cast(InputContainer, av.open(buffer, "r")) as opened:
        opened.streams.video[0].codec_context.thread_count = 1
        wanted = {index: frame.to_ndarray(format="rgb24") for index, frame in enumerate(opened.decode(video=0)) if index in keep}
    return [wanted[index] for index in keep]


def compress_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """uint8 [H, W, 3], RGB, through a baseline JPEG file at `quality` (0..100) and back, chroma subsampled 4:2:0.

    Raises:
        ValueError: an image that no JPEG file can hold.
    """
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
    if decoded is None:
        raise ValueError(f"image: cannot be compressed as JPEG, got {list(image.shape)}")
    return np.ascontiguousarray(decoded[..., ::-1])
