"""A judged video to look at: boxes, scores of tracks, heat maps where the network found evidence, drawn on every frame.

Frames between those that were judged show the boxes in between and the evidence of the last one.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from fpg.common.crops import detection_crop
from fpg.common.errors import InputError
from fpg.common.files import atomic_write
from fpg.data.encode import add_stream
from fpg.data.images import IMAGE_SUFFIXES, read_image
from fpg.data.video import probe
from fpg.runtime.captions import draw_banner, draw_box, draw_legend
from fpg.runtime.inputs import Frames, open_frames
from fpg.runtime.judgement import FaceScore, Judgement
from fpg.runtime.overlay import paint
from fpg.runtime.sound import Sound

HOLD_S = 1.0
"""A face is shown between two frames in which it was judged if they are no further apart, and half as long after others."""
_TIME_BASE = Fraction(1, 90_000)


@dataclass(frozen=True)
class _Sight:
    """A face at a time."""

    time_s: float
    face: FaceScore


def write_overlay(path: str | os.PathLike[str], judgement: Judgement, tell: Callable[[str], object] = lambda text: None) -> int:
    """Write what was judged as H.264 video, or as PNG where the input is an image; with the input's time stamps and sound.

    Args:
        path: of the result; `.mp4` for videos, `.png` for images.
        judgement: of a video or image file, with the activation maps of its faces (`Options.maps`).
        tell: is told, in a line, of sound that could not be taken along.

    Returns:
        The number of frames written.

    Raises:
        InputError: the input cannot be read again, the result cannot be written (nothing is left then), or the judgement has no frames.
    """
    if not judgement.frames:
        raise InputError(judgement.input, "has no judged frames to draw")
    drawer = _Drawer(judgement)
    if Path(judgement.input).suffix.lower() in IMAGE_SUFFIXES:
        encoded = cv2.imencode(".png", drawer.draw(0.0, read_image(judgement.input))[..., ::-1])[1]
        with atomic_write(path) as file:
            file.write(encoded.tobytes())
        return 1
    info = probe(judgement.input)
    count, lost = _encode(path, drawer, judgement.input, open_frames(judgement.input, None, info.frames)[1], info.fps)
    if lost is not None:
        tell(f"{judgement.input}: its sound is incomplete in the annotated copy: {lost}")
    return count


def _encode(path: str | os.PathLike[str], drawer: _Drawer, source: str, frames: Frames, fps: float) -> tuple[int, str | None]:
    """Frames written, and why sound is lost. All have the size of the first; those of another size are fitted into it."""
    count, last, lost = 0, -1, None
    with atomic_write(path) as file:
        try:
            with av.open(file, "w", format="mp4") as container, contextlib.ExitStack() as stack:
                stream, sound = None, None
                for _, time_s, image in frames:
                    drawn = drawer.draw(time_s, image)
                    if stream is None:
                        height, width = (drawn.shape[0] + 1) // 2 * 2, (drawn.shape[1] + 1) // 2 * 2
                        stream = add_stream(container, width, height, fps or 25, 20)
                        stream.codec_context.time_base = _TIME_BASE
                        sound = stack.enter_context(Sound(source, container))
                    frame = av.VideoFrame.from_ndarray(_fitted(drawn, height, width), format="rgb24")
                    last = max(last + 1, round(time_s / _TIME_BASE))  # encoders want rising times
                    frame.pts, frame.time_base = last, _TIME_BASE
                    container.mux(stream.encode(frame))
                    assert sound is not None
                    sound.until(time_s)
                    count += 1
                if stream is not None and sound is not None:
                    container.mux(stream.encode(None))
                    sound.until(None)
                    lost = sound.lost
        except av.FFmpegError as error:
            raise InputError(path, f"cannot be written: {error.strerror or error}", "not_written") from error
    return count, lost


def _fitted(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image on a canvas of that size: shrunk or grown where it is another's, its border repeated where one row is missing."""
    if image.shape[0] not in (height, height - 1) or image.shape[1] not in (width, width - 1):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(image, 0, height - image.shape[0], 0, width - image.shape[1], cv2.BORDER_REPLICATE)


class _Drawer:
    def __init__(self, judgement: Judgement) -> None:
        self._judgement = judgement
        self._tracks = {track.track: track for track in judgement.tracks}
        self._sights: dict[int, list[_Sight]] = {}
        for frame in judgement.frames:
            for face in frame.faces:
                self._sights.setdefault(face.track, []).append(_Sight(frame.time_s, face))
        self._times = {track: [sight.time_s for sight in sights] for track, sights in self._sights.items()}
        maps = [f.activation_map for frame in judgement.frames for f in frame.faces if f.activation_map is not None]
        self._scale = max((float(np.abs(m).max()) for m in maps), default=0.0)

    def draw(self, time_s: float, image: np.ndarray) -> np.ndarray:
        canvas = image.copy()
        shown = [(track, face) for track in self._sights if (face := self._at(track, time_s)) is not None]
        for _, face in shown:
            _heat(canvas, face, self._scale)
        thick = max(1, round(min(image.shape[:2]) / 300))
        for track, face in shown:
            draw_box(canvas, face.box, self._tracks[track].level, self._tracks[track].score, thick)
        if self._scale > 0:
            draw_legend(canvas, thick)
        draw_banner(canvas, self._judgement, thick)
        return canvas

    def _at(self, track: int, time_s: float) -> FaceScore | None:
        """The face at a time, its box between those before and after; None where nobody looked close enough."""
        sights = self._sights[track]
        at = bisect_right(self._times[track], time_s + 1e-6)
        if at == 0:
            return None
        before, after = sights[at - 1], sights[min(at, len(sights) - 1)]
        gap = after.time_s - before.time_s
        if not 0 < gap <= HOLD_S:
            return before.face if time_s - before.time_s <= HOLD_S / 2 else None
        fraction = (time_s - before.time_s) / gap
        x0, y0, x1, y1 = ((1 - fraction) * a + fraction * b for a, b in zip(before.face.box, after.face.box, strict=True))
        return replace(before.face, box=(x0, y0, x1, y1))


def _heat(canvas: np.ndarray, face: FaceScore, scale: float) -> None:
    """The evidence, on what the network saw of the face, in place."""
    if face.activation_map is None or not scale > 0:
        return
    try:
        y0, y1, x0, x1 = detection_crop(face.box, *canvas.shape[:2])
    except ValueError:  # a box in between that is outside of this frame's size
        return
    canvas[y0:y1, x0:x1] = paint(canvas[y0:y1, x0:x1], face.activation_map, scale, soft=True)
