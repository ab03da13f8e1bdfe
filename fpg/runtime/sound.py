"""The sound of a video, taken along to a drawn copy: as it is where the copy's container holds it, else as AAC."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import av

from fpg.common.errors import InputError
from fpg.data.containers import opened

_KEPT = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac"})
"""What MP4 holds, and players play there."""


class Sound:
    """The best sound stream of a file; nothing where it has none, or none that can be read.

    Args:
        path: of the video.
        output: PyAV's container of the copy, before its first packet.
    """

    def __init__(self, path: str | os.PathLike[str], output: Any) -> None:
        self._stack = contextlib.ExitStack()
        self._output, self._source = output, None
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self.lost: str | None = None
        """Why there is less sound than there was; None where there is not."""
        try:
            container, video = self._stack.enter_context(opened(path))
            streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
            if not streams:
                return
            source = container.streams.best("audio", related=video) or streams[0]
            self._copied = source.codec_context.name in _KEPT
            if self._copied:
                self._target = output.add_stream_from_template(source)
            else:
                self._target = output.add_stream("aac", rate=min(source.codec_context.sample_rate or 48_000, 48_000))
                self._target.layout = "mono" if source.codec_context.channels == 1 else "stereo"
                self._resampler = av.AudioResampler("fltp", self._target.layout, self._target.rate)
            self._source = source
            self._start = float((video.start_time or 0) * video.time_base)
            self._packets = container.demux(source)
        except (InputError, av.FFmpegError, ValueError, StopIteration) as error:
            self.lost = str(error)

    def __enter__(self) -> Sound:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def until(self, time_s: float | None) -> None:
        """Write what sounds before a time of the copy, in seconds; None writes the rest. What is damaged ends the sound, and no more."""
        if self._source is None:
            return
        try:
            while (packet := self._next or next(self._packets, None)) is not None:
                self._next = None
                if packet.size and packet.pts is not None:
                    if time_s is not None and float(packet.pts * packet.time_base) - self._start > time_s:
                        self._next = packet
                        return
                    self._write(packet)
            self._end()
        except (av.FFmpegError, ValueError) as error:
            self.lost = str(error)
            self._source = None

    def _write(self, packet: Any) -> None:
        if not self._copied:
            for frame in packet.decode():
                self._encode(frame)
            return
        shift = round(self._start / packet.time_base)
        if packet.pts - shift < 0:  # before the first frame
            return
        packet.pts -= shift
        packet.dts = packet.pts
        packet.stream = self._target
        self._output.mux(packet)

    def _encode(self, frame: Any) -> None:
        if frame is not None:
            frame.pts = round((float(frame.time or 0) - self._start) / frame.time_base)
            if frame.pts < 0:
                return
        for part in self._resampler.resample(frame):
            self._output.mux(self._target.encode(part))

    def _end(self) -> None:
        if not self._copied:
            self._encode(None)
            self._output.mux(self._target.encode(None))
        self._source = None
