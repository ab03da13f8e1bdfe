"""Decoding videos, forward and once, to uint8 RGB (images: `fpg.data.images`, offered here too).

A file that cannot be read whole is an `InputError` with its reason (empty, not a video, audio only, no frames, truncated,
damaged, too large); it is never half used. Frames are counted from the packets in the file, not from what its header
claims. Colour matrix and range are the stream's own (swscale; untagged streams count as BT.601, limited range), what else a
player does to show a frame is in `fpg.data.display`; time stamps are the stream's, so a variable frame rate is kept.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import av
import numpy as np

from fpg.common.constants import CONSTANTS
from fpg.common.errors import InputError
from fpg.common.kinds import SUFFIXES
from fpg.data.containers import CAMERA, opened, opened_camera, opened_url
from fpg.data.display import MAX_VIDEO_PIXELS, Display
from fpg.data.ends import lacks_ogg_end
from fpg.data.images import IMAGE_SUFFIXES, check_pixels, read_image
from fpg.data.notes import Notes

__all__ = [
    "CAMERA",
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
]

VIDEO_SUFFIXES = SUFFIXES["video"]
# Formats whose header states the true length, so that packets ending well before it mean a truncated file.
_LENGTH_STATED = ("matroska", "avi")
_T = TypeVar("_T")
Frames = Iterator[tuple[int, float, np.ndarray]]
"""(index, time in seconds, uint8 [H, W, 3] RGB), in order of time."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds; width and height as shown (square pixels, upright)."""

    frames: int
    """Packets that carry a frame: what decodes, but for the few codecs with hidden frames (see `map_frames`)."""
    fps: float
    """Average frames per second."""
    width: int
    height: int
    duration_s: float
    bits_per_pixel: float = 0.0
    """Bits of the stream's packets over the pixels of its frames, as stored."""


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
        packets = container.demux()
        seen: list[Any] = []
        first, _ = next(_frames(path, container, stream, packets=_kept(packets, seen)), (None, 0.0))
        if first is None:
            raise InputError(path, "holds a video stream but no frame", "no_frame")
        height, width = Display(path, stream).size(first)
        count, size, start, end = _scan_packets(path, container, stream, itertools.chain(seen, packets))
        pixels = stream.codec_context.width * stream.codec_context.height
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    if count == 0:
        raise InputError(path, "holds a video stream but no frame", "no_frame")
    fps = float(rate) if rate else 0.0
    duration = end - start if end > start else (count / fps if fps else 0.0)
    fps = fps or (count / duration if duration else 0.0)
    return VideoInfo(count, fps, width, height, duration, 8 * size / (count * pixels) if pixels else 0.0)


def read_frames(path: str | os.PathLike[str], indices: Sequence[int], *, threads: int = 0, notes: Notes | None = None) -> Frames:
    """Decode forward once and give the wanted frames in order of index; the others are decoded but not converted.

    Args:
        path: a video.
        indices: 0-based positions in presentation order; duplicates are given once.
        threads: of the decoder, 0 chooses by the number of CPUs.
        notes: told what there is to say about the video.

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
    with opened(path, threads, notes) as (container, stream):
        display = Display(path, stream, notes)
        for index, (frame, time_s) in enumerate(_frames(path, container, stream, notes)):
            if position == len(wanted):
                return
            if index == wanted[position]:
                yield index, time_s, display(frame)
                position += 1
            decoded = index + 1
    if position < len(wanted):
        raise FrameCountError(path, f"ends after {decoded} frames, frame {wanted[-1]} was asked for", decoded)


def read_stream(url: str | os.PathLike[str], every: int, *, threads: int = 0, notes: Notes | None = None) -> Frames:
    """One in `every` frames of a stream from the network, as `read_frames` gives them, until it ends.

    Args:
        url: http, https, rtsp, rtmp, udp or tcp; a file is not opened this way. `camera:N` is this machine's camera number N.

    Raises:
        InputError: it cannot be opened, answers nothing for `fpg.data.containers.STREAM_PATIENCE_S` seconds, or is damaged.
    """
    opening = opened_camera if os.fspath(url).startswith(CAMERA) else opened_url
    with opening(url, threads, notes) as (container, stream):
        display = Display(url, stream, notes)
        for index, (frame, time_s) in enumerate(_frames(url, container, stream, notes)):
            if index % every == 0:
                yield index, time_s, display(frame)


def raw_frames(path: str | os.PathLike[str], *, threads: int = 0) -> Iterator[Any]:
    """Every decoded frame (`av.VideoFrame`) for re-encoding: as it is in the stream where a player does no more than turn it by
    quarters to show it (its own pixel format, not turned), else as shown.

    Raises:
        InputError: the video cannot be opened, or is damaged.
    """
    with opened(path, threads) as (container, stream):
        display = Display(path, stream)
        for frame, _ in _frames(path, container, stream):
            yield frame if display.is_plain(frame) else av.VideoFrame.from_ndarray(display(frame), format="rgb24")


def map_frames(
    path: str | os.PathLike[str],
    count: int,
    visit: Callable[[int, float, np.ndarray], _T],
    *,
    threads: int = 0,
    read: Callable[..., Frames] | None = None,
) -> list[_T]:
    """Call `visit(index, time_s, image)` for `count` frames evenly over those that decode, and collect what it returns.

    Usually one forward pass. Where a codec hides frames (VP8's alternate references, packed B-frames), packets count
    too many; then the pass is repeated over the number that did decode, and the results of the first are dropped.

    Args:
        path: a video.
        count: of frames.
        visit: what is called.
        threads: of the decoder, 0 chooses.
        read: gives the frames, as `read_frames` does, which it is by default.

    Raises:
        InputError: as `probe` and `read_frames`; also when over a tenth of the frames is missing.
    """
    packets, read = probe(path).frames, read or read_frames
    try:
        return [visit(*frame) for frame in read(path, sample_indices(packets, count), threads=threads)]
    except FrameCountError as error:
        total = decodable(path, error, packets)
    return [visit(*frame) for frame in read(path, sample_indices(total, count), threads=threads)]


def decodable(path: str | os.PathLike[str], error: FrameCountError, packets: int) -> int:
    """How many frames of a video to count on, after a pass that met fewer than it has packets.

    Raises:
        InputError: over a tenth is missing, which no hidden frames explain.
    """
    if error.decoded < max(1, int(CONSTANTS["reading"]["least_decodable"] * packets)):
        raise InputError(path, f"is truncated or damaged: only {error.decoded} of {packets} frames decode", "truncated") from error
    return error.decoded


def _kept(packets: Iterable[Any], seen: list[Any]) -> Iterator[Any]:
    """The packets, which are also put into `seen`."""
    for packet in packets:
        seen.append(packet)
        yield packet


def _scan_packets(path: str | os.PathLike[str], container: Any, stream: Any, packets: Iterable[Any]) -> tuple[int, int, float, float]:
    """(frames, their bytes, first time, last time) of all packets of a file; times in seconds."""
    count, size, start, end, reached = 0, 0, float("inf"), float("-inf"), float("-inf")
    try:
        for packet in packets:
            if packet.size and packet.is_corrupt:
                raise InputError(path, f"is truncated or damaged after {count} frames", "truncated")
            until = float((packet.pts + (packet.duration or 0)) * packet.time_base) if packet.pts is not None else float("-inf")
            reached = max(reached, until)
            if packet.stream.index != stream.index or not packet.size or packet.is_discard:
                continue
            count += 1
            size += packet.size
            end = max(end, until)
            start = min(start, float(packet.pts * packet.time_base)) if packet.pts is not None else start
    except (av.FFmpegError, OSError) as error:
        raise InputError(path, f"is truncated or damaged after {count} frames: {_reason(error)}", "truncated") from error
    if container.format.name == "ogg" and lacks_ogg_end(path):
        raise InputError(path, f"is truncated or damaged after {count} frames: a stream has no end", "truncated")
    stated = (container.duration or 0) / 1e6
    if container.format.name.startswith(_LENGTH_STATED) and np.isfinite(reached) and reached + max(0.2, 0.02 * stated) < stated:
        raise InputError(path, f"is truncated or damaged: it ends at {reached:.2f} s of {stated:.2f} s", "truncated")
    return count, size, start, end


def _frames(
    path: str | os.PathLike[str], container: Any, stream: Any, notes: Notes | None = None, *, packets: Iterable[Any] | None = None
) -> Iterator[tuple[Any, float]]:
    """Every decoded frame with its time in seconds from the first; a frame that had to be patched up by the decoder counts as damage.

    `packets` are those of all streams; by default the stream's own are demuxed.
    """
    index, clock = -1, _Clock(container, stream, notes or Notes())
    try:
        for packet in container.demux(stream) if packets is None else packets:
            if packet.stream.index != stream.index:
                continue
            clock.see(packet)
            for frame in packet.decode():
                index += 1
                if frame.is_corrupt:
                    raise InputError(path, f"is damaged at frame {index}", "damaged")
                check_pixels(path, frame.width, frame.height, MAX_VIDEO_PIXELS)
                yield frame, clock.time(index, frame)
    except (av.FFmpegError, OSError) as error:
        reason = _reason(error)
        what = f"cannot be decoded after frame {index}: {reason}" if index >= 0 else f"cannot be decoded: {reason}"
        raise InputError(path, what, "damaged" if index >= 0 else "unreadable") from error


def _reason(error: Exception) -> str:
    if getattr(error, "errno", None) == errno.EAGAIN:  # what FFmpeg says where it looks for a packet and finds none
        return "what follows holds no packet"
    return getattr(error, "strerror", None) or str(error)


class _Clock:
    """Times of frames, from the first and never falling.

    AVI has no times of presentation: there the n-th frame has the n-th time among the packets'. A frame without a time, or with
    one that falls, gets its place by the frame rate.
    """

    def __init__(self, container: Any, stream: Any, notes: Notes) -> None:
        self._step = 1 / float(stream.average_rate or stream.guessed_rate or 25)
        self._by_packets = container.format.name == "avi"
        self._base, self._notes = stream.time_base, notes
        self._waiting: list[int] = []
        self._start: float | None = None
        self._last = 0.0

    def see(self, packet: Any) -> None:
        """Take note of a packet that goes to the decoder."""
        if self._by_packets and packet.size and packet.dts is not None:
            heapq.heappush(self._waiting, packet.dts)

    def time(self, index: int, frame: Any) -> float:
        """The time of the next frame, which is number `index`."""
        time = float(heapq.heappop(self._waiting) * self._base) if self._waiting else frame.time
        if self._start is None:
            self._start = time or 0.0
        if time is None:
            self._last = max(self._last, index * self._step)
        elif index and time - self._start <= self._last:
            self._last += self._step
            self._notes.warn("has times that do not rise: frames were timed by the frame rate where they do not")
        else:
            self._last = float(time - self._start)
        return self._last
