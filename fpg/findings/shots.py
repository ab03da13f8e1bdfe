"""Cuts between the frames looked at, and the shots between them. A track of a face ends with its shot."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fpg.findings.tables import TABLES

_T = TABLES["shots"]
GRID: int = _T["grid"]
"""Pixels looked at along each side."""
LEVELS: int = _T["levels"]
"""Steps per colour channel."""
LEAST: float = _T["least"]
"""Agreement of two frames below which a cut lies between them, whatever came before."""
ALIKE: float = _T["alike"]
TIMES: float = _T["times"]
SEEN: int = _T["seen"]
"""Below `ALIKE` one lies there, too, where the change is more than `TIMES` the largest of the shot, of which so many were seen."""


@dataclass(frozen=True)
class Shot:
    """A shot: times and frames of the first and last frame looked at in it."""

    start_s: float
    end_s: float
    first_frame: int
    last_frame: int
    frames: int


def grid_of(image: np.ndarray) -> np.ndarray:
    """Pixels on a regular grid, int64 [GRID, GRID, 3], of an image uint8 [H, W, 3] RGB."""
    height, width = image.shape[:2]
    rows = (2 * np.arange(GRID) + 1) * height // (2 * GRID)
    columns = (2 * np.arange(GRID) + 1) * width // (2 * GRID)
    return image[rows[:, None], columns[None]].astype(np.int64)


def colours_agree(one: np.ndarray, other: np.ndarray) -> float:
    """Share of pixels of two grids whose colours agree, wherever they lie."""
    counts = []
    for grid in (one, other):
        steps = grid * LEVELS // 256
        counts.append(np.bincount(((steps[..., 0] * LEVELS + steps[..., 1]) * LEVELS + steps[..., 2]).ravel(), minlength=LEVELS**3))
    return float(np.minimum(*counts).sum()) / GRID**2


def places_agree(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two grids' brightness, however bright they are; 0 where one is all the same."""
    a, b = one.sum(-1).ravel(), other.sum(-1).ravel()
    n = len(a)
    spread = [n * int((v * v).sum()) - int(v.sum()) ** 2 for v in (a, b)]
    if 0 in spread:
        return 0.0
    return (n * int((a * b).sum()) - int(a.sum()) * int(b.sum())) / (math.sqrt(spread[0]) * math.sqrt(spread[1]))


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Of two grids: frames of one shot share most colours, wherever things have moved; or their bright and dark places, however the light
    has changed."""
    return max(colours_agree(one, other), places_agree(one, other))


class CutFinder:
    """Tells of every frame whether a cut lies before it: by how little it agrees with the one before, and by what is usual in its shot."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._largest, self._seen = 0.0, 0
        """Change in the shot so far."""

    def __call__(self, image: np.ndarray) -> bool:
        """Take the next frame, uint8 [H, W, 3] RGB; False for the first."""
        now, before = grid_of(image), self._before
        self._before = now
        if before is None:
            return False
        alike = agreement(now, before)
        change = 1 - alike
        cut = alike < LEAST or (self._seen >= SEEN and alike < ALIKE and change > TIMES * self._largest)
        self._largest, self._seen = (0.0, 0) if cut else (max(self._largest, change), self._seen + 1)
        return cut


def shots(frames: Sequence[tuple[int, float, bool]]) -> tuple[Shot, ...]:
    """The shots of a video.

    Args:
        frames: (index, time in seconds, whether a cut lies before it) of all frames looked at, in order of time.
    """
    starts = [at for at, (_, _, cut) in enumerate(frames) if at == 0 or cut]
    found = []
    for first, end in itertools.pairwise([*starts, len(frames)]):
        last = end - 1
        found.append(Shot(frames[first][1], frames[last][1], frames[first][0], frames[last][0], end - first))
    return tuple(found)
