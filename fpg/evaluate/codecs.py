"""Whole videos through an encoder and back, as a platform does: H.264 and H.265 at a constant rate factor.

Every frame is encoded, not only those that are judged, since a frame's quality depends on its neighbours. The encoders are those
of PyAV's FFmpeg at preset `medium` (FFmpeg's default), 8-bit 4:2:0, without sound. The number of threads is fixed, because it
changes what x264 and x265 write.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from fpg.common.codec import X264_REPRODUCIBLE
from fpg.common.errors import InputError, MissingDependencyError
from fpg.data.sources import frame_files
from fpg.data.video import IMAGE_SUFFIXES, probe, raw_frames, read_image
from fpg.evaluate.chain_steps import Step, apply_steps
from fpg.evaluate.perturbations import Cell
from fpg.runtime.inputs import open_frames

Change = Callable[[int, np.ndarray], np.ndarray]
"""Index of a frame and the frame, uint8 [H, W, 3] RGB upright -> what is made of it."""
THREADS = 4
STILL_RATE = 25.0
"""Frames per second given to images and folders of frames."""
_QUIET = {
    "libx264": {"x264-params": f"threads={THREADS}:log-level=error:{X264_REPRODUCIBLE}"},
    "libx265": {"x265-params": "frame-threads=2:log-level=error"},
}
_SHORT = 3
"""x265 leaves the decoding time of fewer frames undefined when B-frames are on (its issue 934); so short a video has none."""


def require_encoder(codec: str) -> None:
    """Make sure that this FFmpeg can encode.

    Raises:
        MissingDependencyError: it cannot.
    """
    try:
        av.Codec(codec, "w")
    except ValueError as error:  # av.codec.UnknownCodecError
        raise MissingDependencyError(
            f"PyAV's FFmpeg has no encoder {codec}: install PyAV's wheel from PyPI (pip install --force-reinstall av), "
            "or name perturbations that do not need it"
        ) from error


def encoder_versions() -> dict[str, str]:
    """What encodes, for the record."""
    return {"av": av.__version__, **{name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}}


def transcode(
    path: str | os.PathLike[str], out: str | os.PathLike[str], codec: str, crf: int, change: Change | None = None
) -> tuple[int, int, int]:
    """Encode a video, an image or a folder of frames into an MP4 file.

    A video's frames go from decoder to encoder without RGB in between (unless a side is odd); pixels are padded to even sides by
    repeating the border. Colour matrix and range are kept and tagged; times are evened out to the mean frame rate.

    Args:
        path: what to encode.
        out: the file to write; incomplete if this fails.
        codec: `libx264` or `libx265`.
        crf: constant rate factor.
        change: of every frame before it is encoded; frames then go through upright RGB.

    Returns:
        height and width before padding, and the quarter turns (counter-clockwise) that bring frames upright.

    Raises:
        InputError: `path` cannot be read, changes its size, or cannot be encoded; the disk is full.
        MissingDependencyError: no such encoder.
    """
    require_encoder(codec)
    rate, frames = _open(Path(path))
    if change is not None:
        frames = _changed(frames, change)
    beginning = list(islice(frames, _SHORT))
    if not beginning:
        raise InputError(path, "holds no frame")
    first = beginning[0]
    turns = round(first.rotation / 90) % 4
    options = {"crf": str(crf), "preset": "medium", **_QUIET.get(codec, {})}
    if codec == "libx265" and len(beginning) < _SHORT:
        options["x265-params"] += ":bframes=0"
    try:
        with av.open(os.fspath(out), mode="w", format="mp4") as container:
            stream: Any = container.add_stream(codec, rate=rate, options=options)
            stream.width, stream.height = first.width + first.width % 2, first.height + first.height % 2
            stream.pix_fmt = "yuv420p"
            for index, frame in enumerate(chain(beginning, frames)):
                if (frame.width, frame.height) != (first.width, first.height):
                    raise InputError(path, f"changes its size at frame {index}: it cannot be encoded as one video")
                even = _even(frame)
                if index == 0:
                    context = stream.codec_context
                    context.color_range, context.colorspace = even.color_range, even.colorspace
                even.pts, even.time_base = index, 1 / rate
                container.mux(stream.encode(even))
            container.mux(stream.encode(None))
    except (av.FFmpegError, OSError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC
        what = "no space left in the folder for temporary files" if full else getattr(error, "strerror", None) or str(error)
        raise InputError(path, f"cannot be encoded with {codec} at CRF {crf}: {what}") from error
    return first.height, first.width, turns


def through_codec(
    path: str | os.PathLike[str], folder: str | os.PathLike[str], codec: str, crf: int, frames: int | None
) -> tuple[int, Iterator[tuple[int, float, np.ndarray]]]:
    """`open_frames` of what an encoder leaves of an input.

    Args:
        path: video, image or folder of frames.
        folder: for the encoded file; the caller removes it.
        codec, crf: as in `transcode`.
        frames: wanted, evenly spaced; None for all.
    """
    out = Path(folder) / f"{codec}-{crf}.mp4"
    height, width, turns = transcode(path, out, codec, crf)
    count, images = open_frames(out, frames)
    return count, ((index, time_s, np.ascontiguousarray(np.rot90(image[:height, :width], turns))) for index, time_s, image in images)


def through_chain(
    path: str | os.PathLike[str], folder: str | os.PathLike[str], cell: Cell, seed: int, video: str, frames: int | None
) -> tuple[int, Iterator[tuple[int, float, np.ndarray]]]:
    """`open_frames` of what a chain with a codec leaves of an input: frames are changed on the way into each encoder.

    Args:
        path: video, image or folder of frames.
        folder: for the encoded files; the caller removes it.
        cell: a chain at a level.
        seed, video: key its draws.
        frames: wanted, evenly spaced; None for all.
    """
    name, level = cell.perturbation.name, cell.level
    source, upright = Path(path), _Upright()

    def changing(steps: tuple[Step, ...], before: _Upright) -> Change:
        return lambda index, image: apply_steps(steps, level, before(image), seed, name, video, index)

    pending: tuple[Step, ...] = ()
    for number, step in enumerate(cell.perturbation.chain):
        if not step.codec:
            pending += (step,)
            continue
        out = Path(folder) / f"{number}-{step.codec}.mp4"
        change = changing(pending, upright) if pending or upright.turns or upright.padded else None
        upright = _Upright(*transcode(source, out, step.codec, int(step.levels[level - 1]), change))
        source, pending = out, ()
    count, images = open_frames(source, frames)
    last = changing(pending, upright)
    return count, ((index, time_s, np.ascontiguousarray(last(index, image))) for index, time_s, image in images)


@dataclass(frozen=True)
class _Upright:
    """Takes back what an encoder needed: even sides, and frames as they lie in the stream."""

    height: int | None = None
    width: int | None = None
    turns: int = 0

    @property
    def padded(self) -> bool:
        """A side was made even."""
        return bool((self.height or 0) % 2 or (self.width or 0) % 2)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(image[: self.height, : self.width], self.turns))


def _changed(frames: Iterator[Any], change: Change) -> Iterator[Any]:
    for index, frame in enumerate(frames):
        image = np.rot90(frame.reformat(format="rgb24").to_ndarray(), round(frame.rotation / 90) % 4)
        yield _from_rgb(np.ascontiguousarray(change(index, np.ascontiguousarray(image))))


def _open(path: Path) -> tuple[Fraction, Iterator[Any]]:
    if os.path.isdir(path):
        return Fraction(STILL_RATE), (_from_rgb(read_image(name)) for name in frame_files(path))
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return Fraction(STILL_RATE), (_from_rgb(read_image(path)) for _ in range(1))
    rate = Fraction(probe(path).fps or STILL_RATE).limit_denominator(1001)
    return max(rate, Fraction(1, 1001)), raw_frames(path)


def _from_rgb(image: np.ndarray) -> Any:
    """uint8 [H, W, 3] RGB as a frame."""
    return av.VideoFrame.from_ndarray(image, format="rgb24")


def _even(frame: Any) -> Any:
    """The frame as yuv420p with even sides; colours converted from RGB as BT.601, limited range."""
    if frame.width % 2 or frame.height % 2:
        image = frame.reformat(format="rgb24").to_ndarray()
        frame = _from_rgb(np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), mode="edge"))
    return frame.reformat(format="yuv420p")
