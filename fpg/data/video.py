"""Decoding videos, forward and once, to uint8 RGB (images: `fpg.data.images`, offered here too).

A file that cannot be read whole is an `InputError` with its reason (empty, not a video, audio only, no frames, truncated,
damaged, too large); it is never half used. Frames are counted from the packets in the file, not from what its header
claims. Colour matrix and range are the stream's own (swscale; untagged streams count as BT.601, limited range), rotation
metadata and EXIF orientation are applied, time stamps are the stream's, so a variable frame rate is kept.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import av
import numpy as np

from fpg.common.errors import InputError
from fpg.common.kinds import SUFFIXES
from fpg.data.images import IMAGE_SUFFIXES, check_file, check_pixels, read_image

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "FrameCountError",
    "Frames",
    "VideoInfo",
    "decodable",
    "map_frames",
    "opened",
    "probe",
    "raw_frames",
    "read_frames",
    "read_image",
    "read_stream",
    "sample_indices",
    "to_rgb",
]

VIDEO_SUFFIXES = SUFFIXES["video"]
MAX_VIDEO_PIXELS = 40_000_000
"""Per frame (8K is 33 million); decoders keep many frames at once."""

# Only containers that hold their own data: no playlists or scripts that name other files.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,mxf,gif,yuv4mpegpipe,h264,hevc,m4v,ivf,"
    "mp3,wav,flac,aac,w64,aiff"
)
_NETWORK = "http,https,tls,tcp,udp,rtp,rtsp,rtmp"
# A URL is opened, and nothing that it names: no playlists (HLS, DASH, SDP files), no redirects.
_STREAMS = _CONTAINERS + ",rtsp,rtp,mpjpeg,mjpeg"
STREAM_PATIENCE_S = 10.0
"""How long a stream from the network may answer nothing."""
# Formats whose header states the true length, so that packets ending well before it mean a truncated file.
_LENGTH_STATED = ("matroska", "avi")
_T = TypeVar("_T")
Frames = Iterator[tuple[int, float, np.ndarray]]
"""(index, time in seconds, uint8 [H, W, 3] RGB), in order of time."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds; width and height as displayed (after rotation)."""

    frames: int
    """Packets that carry a frame: what decodes, but for the few codecs with hidden frames (see `map_frames`)."""
    fps: float
    """Average frames per second."""
    width: int
    height: int
    duration_s: float


class FrameCountError(InputError):
    """The stream decodes cleanly but holds fewer frames than it has packets (hidden or unreferenced frames)."""

    def __init__(self, path: str | os.PathLike[str], reason: str, decoded: int = 0) -> None:
        super().__init__(path, reason, "truncated")
        self.decoded = decoded


def sample_indices(n_frames: int, count: int) -> list[int]:
    """Up to `count` frame indices evenly over `n_frames`: linspace(0, n - 1, count) truncated, each once (METHOD, evaluation)."""
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    if n_frames < 1:
        return []
    if count > n_frames:  # steps below one reach every frame
        return list(range(n_frames))
    return [int(i) for i in np.unique(np.linspace(0, n_frames - 1, count).astype(np.int64))]


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Count a video's frames by reading its packets (no decoding but of the first frame).

    Raises:
        InputError: missing, empty, not a video, audio only, without frames, truncated, damaged or too large.
    """
    with opened(path) as (container, stream):
        first = next(_frames(path, container, stream), None)
    if first is None:
        raise InputError(path, "holds a video stream but no frame", "no_frame")
    with opened(path) as (container, stream):
        count, start, end = _scan_packets(path, container, stream)
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    if count == 0:
        raise InputError(path, "holds a video stream but no frame", "no_frame")
    fps = float(rate) if rate else 0.0
    duration = end - start if end > start else (count / fps if fps else 0.0)
    fps = fps or (count / duration if duration else 0.0)
    height, width = (first.width, first.height) if _quarter_turns(first) % 2 else (first.height, first.width)
    return VideoInfo(count, fps, width, height, duration)


def read_frames(path: str | os.PathLike[str], indices: Sequence[int], *, threads: int = 0) -> Frames:
    """Decode forward once and give the wanted frames in order of index; the others are decoded but not converted.

    Args:
        path: a video.
        indices: 0-based positions in presentation order; duplicates are given once.
        threads: of the decoder, 0 chooses by the number of CPUs.

    Yields:
        (index, seconds from the first frame, uint8 [H, W, 3] RGB).

    Raises:
        InputError: the video cannot be opened, or is damaged at or before the last wanted frame.
        FrameCountError: it ends, undamaged, before the last wanted frame.
    """
    wanted = sorted(set(indices))
    if wanted and wanted[0] < 0:
        raise ValueError(f"indices: expected >= 0, got {wanted[0]}")
    position, decoded = 0, 0
    start: float | None = None
    with opened(path, threads) as (container, stream):
        fps = float(stream.average_rate or stream.guessed_rate or 25)
        for index, frame in enumerate(_frames(path, container, stream)):
            if position == len(wanted):
                return
            if start is None:
                start = frame.time or 0.0
            if index == wanted[position]:
                time_s = frame.time - start if frame.time is not None else index / fps
                yield index, float(time_s), to_rgb(path, frame)
                position += 1
            decoded = index + 1
    if position < len(wanted):
        raise FrameCountError(path, f"ends after {decoded} frames, frame {wanted[-1]} was asked for", decoded)


def read_stream(url: str | os.PathLike[str], every: int, *, threads: int = 0) -> Frames:
    """One in `every` frames of a stream from the network, as `read_frames` gives them, until it ends.

    Args:
        url: http, https, rtsp, rtmp, udp or tcp; a file is not opened this way.

    Raises:
        InputError: it cannot be opened, answers nothing for `STREAM_PATIENCE_S` seconds, or is damaged.
    """
    start: float | None = None
    with _opened_url(url, threads) as (container, stream):
        fps = float(stream.average_rate or stream.guessed_rate or 25)
        for index, frame in enumerate(_frames(url, container, stream)):
            start = frame.time or 0.0 if start is None else start
            if index % every == 0:
                yield index, float(frame.time - start if frame.time is not None else index / fps), to_rgb(url, frame)


def raw_frames(path: str | os.PathLike[str], *, threads: int = 0) -> Iterator[Any]:
    """Every decoded frame as it is in the stream (`av.VideoFrame`: its own pixel format, not rotated), for re-encoding.

    Raises:
        InputError: the video cannot be opened, or is damaged.
    """
    with opened(path, threads) as (container, stream):
        yield from _frames(path, container, stream)


def map_frames(path: str | os.PathLike[str], count: int, visit: Callable[[int, float, np.ndarray], _T], *, threads: int = 0) -> list[_T]:
    """Call `visit(index, time_s, image)` for `count` frames evenly over those that decode, and collect what it returns.

    Usually one forward pass. Where a codec hides frames (VP8's alternate references, packed B-frames), packets count
    too many; then the pass is repeated over the number that did decode, and the results of the first are dropped.

    Raises:
        InputError: as `probe` and `read_frames`; also when over a tenth of the frames is missing.
    """
    packets = probe(path).frames
    try:
        return [visit(*frame) for frame in read_frames(path, sample_indices(packets, count), threads=threads)]
    except FrameCountError as error:
        total = decodable(path, error, packets)
    return [visit(*frame) for frame in read_frames(path, sample_indices(total, count), threads=threads)]


def decodable(path: str | os.PathLike[str], error: FrameCountError, packets: int) -> int:
    """How many frames of a video to count on, after a pass that met fewer than it has packets.

    Raises:
        InputError: over a tenth is missing, which no hidden frames explain.
    """
    if error.decoded < max(1, int(0.9 * packets)):
        raise InputError(path, f"is truncated or damaged: only {error.decoded} of {packets} frames decode", "truncated") from error
    return error.decoded


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], threads: int = 0) -> Iterator[tuple[Any, Any]]:
    """PyAV's container and video stream of a file that has one.

    Raises:
        InputError: the file cannot be opened as a video.
    """
    check_file(path)
    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS, "max_pixels": str(MAX_VIDEO_PIXELS)}
    with _stream_of(path, f"file:{os.path.abspath(os.fspath(path))}", threads, options=options) as opened:
        yield opened


@contextlib.contextmanager
def _opened_url(url: str | os.PathLike[str], threads: int) -> Iterator[tuple[Any, Any]]:
    options = {
        "protocol_whitelist": _NETWORK,
        "format_whitelist": _STREAMS,
        "max_pixels": str(MAX_VIDEO_PIXELS),
        "rtsp_transport": "tcp",
        "max_redirects": "0",
    }
    with _stream_of(url, os.fspath(url), threads, options=options, timeout=STREAM_PATIENCE_S) as opened:
        yield opened


@contextlib.contextmanager
def _stream_of(path: str | os.PathLike[str], name: str, threads: int, **how: Any) -> Iterator[tuple[Any, Any]]:
    """The container that `av.open(name, **how)` gives, and its video stream; errors name `path`."""
    try:
        container = av.open(name, mode="r", metadata_errors="replace", **how)  # titles in Latin-1 are no damage
    except av.EOFError as error:
        raise InputError(path, "holds no frame: it ends after its header", "no_frame") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(path, f"is not a readable video (damaged, truncated or of another format): {reason}") from error
    with container:
        stream = next((s for s in container.streams.video if not _is_picture(s)), None)
        if stream is None:
            sound = bool(container.streams.audio)
            what = "holds sound but no video stream" if sound else "holds no video stream and no frame"
            raise InputError(path, what, "not_media" if sound else "no_frame")
        if stream.codec_context is None:
            raise InputError(path, "is encoded with a codec that this FFmpeg cannot decode", "unsupported")
        context = stream.codec_context
        check_pixels(path, context.width, context.height, MAX_VIDEO_PIXELS)
        context.options = {"max_pixels": str(MAX_VIDEO_PIXELS)}
        # Slices, not frames: with frame threads a damaged frame can come out before another thread has marked it as damaged.
        context.thread_type = "SLICE"
        context.thread_count = threads
        yield container, stream


def _is_picture(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _scan_packets(path: str | os.PathLike[str], container: Any, stream: Any) -> tuple[int, float, float]:
    """(frames, first time, last time) by demuxing everything; times in seconds."""
    count, start, end, reached = 0, float("inf"), float("-inf"), float("-inf")
    try:
        for packet in container.demux():
            if packet.size and packet.is_corrupt:
                raise InputError(path, f"is truncated or damaged after {count} frames", "truncated")
            until = float((packet.pts + (packet.duration or 0)) * packet.time_base) if packet.pts is not None else float("-inf")
            reached = max(reached, until)
            if packet.stream.index != stream.index or not packet.size or packet.is_discard:
                continue
            count += 1
            end = max(end, until)
            start = min(start, float(packet.pts * packet.time_base)) if packet.pts is not None else start
    except (av.FFmpegError, OSError) as error:
        what = f"is truncated or damaged after {count} frames: {getattr(error, 'strerror', error)}"
        raise InputError(path, what, "truncated") from error
    stated = (container.duration or 0) / 1e6
    if container.format.name.startswith(_LENGTH_STATED) and np.isfinite(reached) and reached + max(0.2, 0.02 * stated) < stated:
        raise InputError(path, f"is truncated or damaged: it ends at {reached:.2f} s of {stated:.2f} s", "truncated")
    return count, start, end


def _frames(path: str | os.PathLike[str], container: Any, stream: Any) -> Iterator[Any]:
    """Every decoded frame; a frame that had to be patched up by the decoder counts as damage."""
    index = -1
    try:
        for index, frame in enumerate(container.decode(stream)):
            if frame.is_corrupt:
                raise InputError(path, f"is damaged at frame {index}", "damaged")
            check_pixels(path, frame.width, frame.height, MAX_VIDEO_PIXELS)
            yield frame
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        what = f"cannot be decoded after frame {index}: {reason}" if index >= 0 else f"cannot be decoded: {reason}"
        raise InputError(path, what, "damaged" if index >= 0 else "unreadable") from error


def _quarter_turns(frame: Any) -> int:
    """Counter-clockwise quarter turns that bring the frame upright."""
    return round(frame.rotation / 90) % 4


def to_rgb(path: str | os.PathLike[str], frame: Any) -> np.ndarray:
    """A decoded frame as uint8 [H, W, 3] RGB, upright.

    Raises:
        InputError: its pixel format cannot be converted.
    """
    try:
        image = frame.reformat(format="rgb24").to_ndarray()
    except (av.FFmpegError, ValueError) as error:
        raise InputError(path, f"has pixels of format {frame.format.name} that cannot be converted: {error}", "unsupported") from error
    turns = _quarter_turns(frame)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else np.ascontiguousarray(image)
