"""Which pictures of an input are kept for its report, so that memory does not grow with its length."""

from __future__ import annotations

import math

import numpy as np

from fpg.runtime.judgement import FaceScore, FrameScore, Highlight

PORTRAITS = 12
"""Tracks of an input of which a picture is kept."""


class HighlightKeeper:
    """The most suspicious face of each stretch of the input, so that a report does not show one moment six times.

    Args:
        number: of highlights.
        frames: to expect.
    """

    def __init__(self, number: int, frames: int) -> None:
        self._number = number
        self._stretch = max(1, math.ceil(frames / max(1, 2 * number)))
        self._kept: dict[int, Highlight] = {}
        self._portraits: dict[int, Highlight] = {}

    def offer(self, position: int, frame: FrameScore, image: np.ndarray, face: FaceScore) -> None:
        """Consider a face of the frame at this position among those looked at; image: float32 [3, S, S], the network's input."""
        if not self._number:
            return
        for kept, key in ((self._kept, position // self._stretch), (self._portraits, face.track)):
            full = key not in kept and kept is self._portraits and len(kept) >= PORTRAITS
            if not full and (key not in kept or face.score > kept[key].score):
                pixels = np.ascontiguousarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))
                evidence = None if face.activation_map is None else np.array(face.activation_map, np.float32)
                kept[key] = Highlight(frame.index, frame.time_s, face.score, pixels, evidence, face.track)

    def portraits(self) -> tuple[Highlight, ...]:
        """The most suspicious picture of each of the first `PORTRAITS` tracks, by track."""
        return tuple(self._portraits[track] for track in sorted(self._portraits))

    def best(self) -> tuple[Highlight, ...]:
        """The most suspicious first."""
        return tuple(sorted(self._kept.values(), key=lambda h: -h.score)[: self._number])
