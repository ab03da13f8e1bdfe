"""Opening videos with FFmpeg's demuxers: which containers are read, and which of their streams."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import av

from fpg.common.constants import CONSTANTS
from fpg.common.errors import InputError
from fpg.common.kinds import media_kind
from fpg.data.display import MAX_VIDEO_PIXELS
from fpg.data.ends import transport_stream_end
from fpg.data.images import check_file, check_pixels, is_heif
from fpg.data.notes import Notes

# Only containers that hold their own data: no playlists or scripts that name other files.
_CONTAINERS: str = ",".join(CONSTANTS["reading"]["containers"])
_NETWORK = "http,https,tls,tcp,udp,rtp,rtsp,rtmp"
# A URL is opened, and nothing that it names: no playlists (HLS, DASH, SDP files), no redirects.
_STREAMS = _CONTAINERS + ",rtsp,rtp,mpjpeg,mjpeg"
CAMERA = "camera:"
"""Before the number of a camera, where a file or URL may stand."""
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("vfwcap", "{}")}
"""System -> FFmpeg's input device, and what a camera's number is called there."""
STREAM_PATIENCE_S = 10.0
"""How long a stream from the network may answer nothing."""
_NO_VIDEO = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails | av.stream.Disposition.dependent


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], threads: int = 0, notes: Notes | None = None) -> Iterator[tuple[Any, Any]]:
    """PyAV's container and video stream of a file that has one.

    Args:
        path: a video.
        threads: of the decoder, 0 chooses by the number of CPUs.
        notes: told which stream it is.

    Raises:
        InputError: the file cannot be opened as a video.
    """
    check_file(path)
    what = "a picture (HEIF or AVIF)" if is_heif(path) else media_kind(path)
    if what.startswith("a picture"):
        raise InputError(path, f"is {what}, and its name is that of a video", "unsupported")
    name, protocols = f"file:{os.path.abspath(os.fspath(path))}", "file"
    end = transport_stream_end(path)
    if end is not None:
        name, protocols = f"subfile,,start,0,end,{end},,:{name}", "file,subfile"
        if notes is not None:
            notes.warn(f"ends in {os.path.getsize(path) - end} bytes that are zero: what comes before them was read")
    options = {"protocol_whitelist": protocols, "format_whitelist": _CONTAINERS, "max_pixels": str(MAX_VIDEO_PIXELS)}
    with _stream_of(path, name, threads, notes, options=options) as found:
        yield found


@contextlib.contextmanager
def opened_url(url: str | os.PathLike[str], threads: int, notes: Notes | None = None) -> Iterator[tuple[Any, Any]]:
    """As `opened`, from the network."""
    options = {
        "protocol_whitelist": _NETWORK,
        "format_whitelist": _STREAMS,
        "max_pixels": str(MAX_VIDEO_PIXELS),
        "rtsp_transport": "tcp",
        "max_redirects": "0",
    }
    with _stream_of(url, os.fspath(url), threads, notes, options=options, timeout=STREAM_PATIENCE_S) as found:
        yield found


@contextlib.contextmanager
def opened_camera(name: str | os.PathLike[str], threads: int, notes: Notes | None = None) -> Iterator[tuple[Any, Any]]:
    """As `opened`, from a camera of this machine: `camera:N`."""
    device, pattern = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
    number = os.fspath(name).removeprefix(CAMERA)
    with _stream_of(name, pattern.format(number), threads, notes, format=device, timeout=STREAM_PATIENCE_S) as found:
        yield found


@contextlib.contextmanager
def _stream_of(path: str | os.PathLike[str], name: str, threads: int, notes: Notes | None, **how: Any) -> Iterator[tuple[Any, Any]]:
    """The container that `av.open(name, **how)` gives, and its video stream; errors name `path`."""
    try:
        container = av.open(name, mode="r", metadata_errors="replace", **how)  # titles in Latin-1 are no damage
    except av.EOFError as error:
        raise InputError(path, "holds no frame: it ends after its header", "no_frame") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(path, f"is not a readable video (damaged, truncated or of another format): {reason}") from error
    with container:
        stream = _chosen(container, notes)
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


def _chosen(container: Any, notes: Notes | None) -> Any:
    """The stream that a player shows: the default one, then the largest, then the first; never a cover, a thumbnail track, or a
    part of another picture."""
    videos = [stream for stream in container.streams.video if not stream.disposition & _NO_VIDEO]
    if not videos:
        return None
    stream = max(videos, key=lambda s: (bool(s.disposition & av.stream.Disposition.default), _area(s), -s.index))
    if notes is not None and stream.codec_context is not None:
        codec, width, height = stream.codec_context.codec.canonical_name, stream.codec_context.width, stream.codec_context.height
        notes.stream = {"index": stream.index, "streams": len(videos), "codec": codec, "width": width, "height": height}
        if len(videos) > 1:
            notes.warn(f"holds {len(videos)} video streams: number {stream.index} ({codec}, {width} x {height}) was read")
    return stream


def _area(stream: Any) -> int:
    return stream.codec_context.width * stream.codec_context.height if stream.codec_context is not None else 0
