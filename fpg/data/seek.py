"""Wanted frames without decoding what lies between them: on the CPU, or on an NVIDIA GPU's decoder (NVDEC) through torchcodec.

`fpg.data.video.read_frames` decodes everything up to the last wanted frame and so knows of damage anywhere before it. Here only what the
wanted frames need is decoded, from the key frame before each, without the frames that no other refers to: 32 frames of an hour cost little
more than those of a minute, but damage elsewhere is not seen. The frames are the same. Where that fails, the rest is decoded as there,
which succeeds or says what is wrong.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import av

from fpg.common.constants import CONSTANTS
from fpg.common.errors import MissingDependencyError, UsageError
from fpg.common.packages import install_extra
from fpg.data.containers import opened
from fpg.data.display import Display
from fpg.data.notes import Notes
from fpg.data.video import FrameCountError, Frames, read_frames

_SELF_CONTAINED = frozenset(CONSTANTS["reading"]["self_contained_codecs"])
"""Decoders that give one frame for each packet and can start at any key frame; others (VP8, MPEG-4 part 2) may hide frames."""
_REORDERING = frozenset(CONSTANTS["reading"]["reordering_codecs"])
"""Those whose frames may be shown in another order than that of their packets."""
_INDEXED = ("mov", "matroska", "avi")
"""Containers that say where their frames are; in others seeking may land next to the wanted frame."""


class SeekFailed(Exception):
    """Damage, or a stream that is not what its packets say."""


def read_needed_frames(path: str | os.PathLike[str], indices: Sequence[int], *, threads: int = 0, notes: Notes | None = None) -> Frames:
    """As `fpg.data.video.read_frames`, but for the damage it sees; `fpg.data.video.probe` checks the file's packets first.

    Args:
        path: a video; of a codec that may hide frames (VP8, MPEG-4 part 2, ...) all is decoded.
        indices: as there.
        threads, notes: as there.

    Raises:
        InputError, FrameCountError: as there.
    """
    wanted = _checked(indices)
    yield from _or_whole(path, wanted, _stretches(path, wanted, threads, notes), notes, threads)


def read_frames_torchcodec(
    path: str | os.PathLike[str], indices: Sequence[int], *, device: str = "cuda", notes: Notes | None = None
) -> Frames:
    """As `read_needed_frames`, by torchcodec: on a GPU's decoder frames are decoded and converted there and copied to the host.

    A GPU's decoder conceals damage instead of reporting it; what it does not know is decoded on the CPU.

    Args:
        path: a video; from containers without an index (MPEG streams, GIF and others), and where showing a frame takes more than
            quarter turns (HDR, pixels that are not square, ...), all is decoded, on the CPU.
        indices, notes: as there.
        device: `cuda` or `cpu`.

    Raises:
        InputError, FrameCountError: as there.
        MissingDependencyError, UsageError: as `check_device`.
    """
    check_device(device)
    wanted = _checked(indices)
    yield from _or_whole(path, wanted, _torchcodec_frames(path, wanted, device, notes), notes)


def _checked(indices: Sequence[int]) -> list[int]:
    wanted = sorted(set(indices))
    if wanted and wanted[0] < 0:
        raise ValueError(f"indices: expected >= 0, got {wanted[0]}")
    return wanted


def _or_whole(path: str | os.PathLike[str], wanted: list[int], frames: Frames, notes: Notes | None, threads: int = 0) -> Frames:
    given = 0
    try:
        for frame in frames:
            yield frame
            given += 1
    except SeekFailed:
        yield from read_frames(path, wanted[given:], threads=threads, notes=notes)


def check_device(device: str) -> None:
    """Whether torchcodec can decode there.

    Raises:
        MissingDependencyError: it is not installed, or does not find FFmpeg's libraries.
        UsageError: there is no GPU.
    """
    _torchcodec()
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UsageError("decoding on a GPU: torch finds none here")


def _torchcodec() -> Any:
    try:
        from torchcodec import decoders
    except (ImportError, OSError, RuntimeError) as error:  # RuntimeError where it does not find FFmpeg's libraries
        reason = str(error).splitlines()[0]
        raise MissingDependencyError(
            f"decoding on a GPU needs torchcodec ({reason}): {install_extra('gpu-video')}, and FFmpeg's libraries (Debian: libavdevice-dev)"
        ) from error
    return decoders


def _torchcodec_frames(path: str | os.PathLike[str], wanted: list[int], device: str, notes: Notes | None) -> Frames:
    with opened(path, notes=notes) as (container, stream):
        if not container.format.name.startswith(_INDEXED) or container.format.name == "avi":
            raise SeekFailed
        times = _shown_times(container, stream)
        first = next(_first_frame(container, stream), None)
        display = Display(path, stream, notes)
        if first is None or not display.is_plain(first):
            raise SeekFailed
        display(first)  # for the notes
        number, unit = stream.index, float(stream.time_base)
    try:
        decoder = _torchcodec().VideoDecoder(os.path.abspath(path), stream_index=number, dimension_order="NHWC", device=device)
        start = decoder.metadata.begin_stream_seconds_from_content or 0.0
        total = decoder.metadata.num_frames
        for index in wanted:
            if index >= total:
                raise FrameCountError(path, f"ends after {total} frames, frame {wanted[-1]} was asked for", total)
            frame = decoder.get_frame_at(index)
            if total != len(times) or round(frame.pts_seconds / unit) != times[index]:  # the next that could be decoded, in place of it
                raise SeekFailed
            yield index, frame.pts_seconds - start, frame.data.cpu().numpy()
    except (RuntimeError, ValueError) as error:
        raise SeekFailed from error


def _shown_times(container: Any, stream: Any) -> list[int]:
    """Time stamps of all frames that are shown, in order of time; leaves the container at its first packet."""
    try:
        times = sorted(packet.pts for packet in _packets(container, stream) if packet.pts is not None and not packet.is_discard)
        container.seek(times[0] if times else 0, stream=stream)
    except (av.FFmpegError, OSError) as error:
        raise SeekFailed from error
    return times


def _first_frame(container: Any, stream: Any) -> Iterator[Any]:
    try:
        yield from container.decode(stream)
    except (av.FFmpegError, OSError) as error:
        raise SeekFailed from error


class _PacketRange(NamedTuple):
    """Packets to decode together, in their order in the file."""

    first: int
    last: int
    from_time: int
    """Time stamp of its key frame; frames before it refer to what is not decoded."""


class _Plan(NamedTuple):
    stretches: list[_PacketRange]
    index_at: dict[int, int]
    """Time stamp -> index of a wanted frame."""
    start: int
    """Time stamp of the first frame."""
    times: list[int]
    """Time stamps of all packets, in their order in the file."""


def _stretches(path: str | os.PathLike[str], wanted: list[int], threads: int, notes: Notes | None) -> Frames:
    if not wanted:
        return
    try:
        with opened(path, threads, notes) as (container, stream):
            codec = stream.codec_context.name
            if codec not in _SELF_CONTAINED:
                raise SeekFailed
            plan = _plan(_packets(container, stream), wanted, codec in _REORDERING and stream.codec_context.has_b_frames)
            if indexed := container.format.name.startswith(_INDEXED):  # opening once more would decode the first frames once more
                container.seek(plan.start, stream=stream)
                yield from _decoded_stretches(container, stream, plan, Display(path, stream, notes))
        if not indexed:
            with opened(path, threads, notes) as (container, stream):
                yield from _decoded_stretches(container, stream, plan, Display(path, stream, notes))
    except (av.FFmpegError, OSError) as error:
        raise SeekFailed from error


def _decoded_stretches(container: Any, stream: Any, plan: _Plan, display: Display) -> Frames:
    missing = dict(plan.index_at)
    stream.codec_context.open(strict=False)  # before anything is skipped: dav1d asks once what to skip, and would skip wanted frames, too
    stretches = iter(plan.stretches)
    stretch = next(stretches)
    for position, packet in enumerate(_packets(container, stream)):
        if position >= len(plan.times) or packet.pts != plan.times[position]:  # the file did not go back to its first packet
            raise SeekFailed
        if position < stretch.first:
            continue
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts in plan.index_at else "NONREF"
        for frame in _decoded(stream, packet, flush=position == stretch.last):
            if frame.pts is None:
                raise SeekFailed
            if frame.pts < stretch.from_time:
                continue
            if frame.is_corrupt:
                raise SeekFailed
            if frame.pts in missing:
                if frame.pts != next(iter(missing)):  # one before it did not come: what takes over goes on behind the last one given
                    raise SeekFailed
                yield missing.pop(frame.pts), float((frame.pts - plan.start) * stream.time_base), display(frame)
        if position == stretch.last:
            following = next(stretches, None)
            if following is None:
                break
            stretch = following
    if missing:
        raise SeekFailed


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    return (packet for packet in container.demux(stream) if packet.size)


def _decoded(stream: Any, packet: Any, flush: bool) -> Iterator[Any]:
    yield from packet.decode()
    if flush:
        yield from stream.decode(None)
        stream.codec_context.flush_buffers()


def _plan(packets: Iterable[Any], wanted: list[int], reordered: bool) -> _Plan:
    """What to decode for frames by their indices in order of time; `reordered`: theirs is not the packets' order."""
    times, keys, shown = [], [], []
    for position, packet in enumerate(packets):
        if packet.pts is None:
            raise SeekFailed
        times.append(packet.pts)
        if packet.is_keyframe:
            keys.append(position)
        if not packet.is_discard:
            shown.append(position)
    in_file = list(shown)
    shown.sort(key=times.__getitem__)
    if reordered and shown == in_file and len(shown) > 2:  # those are no times of presentation (AVI has none)
        raise SeekFailed
    if wanted[-1] >= len(shown) or len({times[position] for position in shown}) < len(shown):
        raise SeekFailed
    stretches: list[_PacketRange] = []
    for index in wanted:
        last = shown[index]
        key = bisect.bisect_right(keys, last) - 1
        while key >= 0 and times[keys[key]] > times[last]:  # it comes after the wanted frame, and only lies before it in the file
            key -= 1
        first = keys[key] if key >= 0 else 0
        if stretches and first <= stretches[-1].last + 1:
            stretches[-1] = stretches[-1]._replace(last=max(last, stretches[-1].last))
        else:
            stretches.append(_PacketRange(first, last, times[first]))
    return _Plan(stretches, {times[shown[index]]: index for index in wanted}, times[shown[0]], times)
