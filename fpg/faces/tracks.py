"""Which faces of consecutive frames are one face: tracks, by place and size alone.

Frames that are looked at may be a third of a second apart, in which a head moves by a good part of its width; overlap of
boxes is then too strict. Faces are linked when their centres are less than a face's size apart and their sizes are alike,
nearest pairs first. Nothing here recognises people: a track ends at a cut, and after one that nobody told of a face in the same place
goes on with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fpg.common.constants import CONSTANTS

REACH: float = CONSTANTS["faces"]["track_reach"]
"""Largest distance of two centres, in units of the faces' mean size (the root of a box's area)."""
GROWTH: float = CONSTANTS["faces"]["track_growth"]
"""Largest ratio of two sizes."""
PATIENCE: int = CONSTANTS["faces"]["track_patience"]
"""Frames in a row that a face may be missing from before its track ends."""


@dataclass
class _Track:
    number: int
    box: np.ndarray
    seen: int


class FaceTracker:
    """Numbers the faces of a video frame by frame, so that the same face has the same number in every frame."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._position = self._count = 0

    def __call__(self, boxes: Sequence[np.ndarray], *, cut: bool = False) -> list[int]:
        """Take the next frame.

        Args:
            boxes: of its faces, (x0, y0, x1, y1) in pixels of the frame, x0 < x1, y0 < y1.
            cut: a cut lies before it, which ends all tracks.

        Returns:
            A number per box, counted from 0 in order of appearance and, within a frame, in the order given.
        """
        self._tracks = [track for track in self._tracks if self._position - track.seen <= PATIENCE + 1 and not cut]
        linked = _link(self._tracks, boxes)
        for index in range(len(boxes)):
            if index not in linked:
                linked[index] = _Track(self._count, boxes[index], self._position)
                self._tracks.append(linked[index])
                self._count += 1
            linked[index].box, linked[index].seen = boxes[index], self._position
        self._position += 1
        return [linked[index].number for index in range(len(boxes))]


def track_faces(frames: Sequence[Sequence[np.ndarray]]) -> list[list[int]]:
    """`FaceTracker` over the boxes of all frames of a video, in order of time."""
    tracker = FaceTracker()
    return [tracker(boxes) for boxes in frames]


def _link(tracks: list[_Track], boxes: Sequence[np.ndarray]) -> dict[int, _Track]:
    """Track of each box that has one: the nearest pair first, equal distances by the older track and the earlier box."""
    pairs = [(_distance(track.box, box), t, b) for t, track in enumerate(tracks) for b, box in enumerate(boxes)]
    linked: dict[int, _Track] = {}
    taken: set[int] = set()
    for distance, t, b in sorted(pairs):
        if distance <= REACH and t not in taken and b not in linked:
            linked[b] = tracks[t]
            taken.add(t)
    return linked


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Between two centres in units of the mean size; infinite where the sizes differ too much."""
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    sizes = [math.sqrt((box[2] - box[0]) * (box[3] - box[1])) for box in (a, b)]
    if max(sizes) > GROWTH * min(sizes):
        return math.inf
    x, y = (a[:2] + a[2:] - b[:2] - b[2:]) / 2
    return 2 * math.hypot(x, y) / sum(sizes)
