"""How inputs are judged."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypedDict

import numpy as np

from fpg.data.notes import Notes
from fpg.faces.sizes import MIN_FACE
from fpg.runtime.inputs import Frames, open_frames
from fpg.runtime.judgement import FrameScore

Measure = Callable[[np.ndarray], float]
"""float32 [3, S, S] in [0, 1], the network's input of one face, to a number kept with its score."""
Reader = Callable[[str | os.PathLike[str], int | None, int | None], tuple[int, Frames]]
"""Path, frames wanted, frames known to decode (None: not known) to what `open_frames` gives, with its errors."""

Seen = Callable[[str | os.PathLike[str], int, int], object]
"""Path of an input, its frames judged so far, frames to expect."""


class OptionFields(TypedDict, total=False):
    """Keyword arguments of `judge`, `judge_many` and `VideoDetector`: the fields of `Options`, where each is explained."""

    frames: int | None
    every: int
    batch: int
    threshold: float | None
    highlights: int
    maps: bool
    measure: Measure | None
    reader: Reader | None
    urls: bool
    decode: str
    min_face: float
    shown: Watcher | None
    timeout: float | None
    anchors: str | None
    seen: Seen | None


class Watcher(Protocol):
    """Sees the frames of an input as they are judged; `fpg.runtime.show_frames.ShownFrames` is one."""

    def begin(self, path: str | os.PathLike[str], count: int) -> None:
        """An input, or an input anew; so many frames are expected."""

    def keep(self, image: np.ndarray) -> np.ndarray | None:
        """What `add` is to be given of a frame, uint8 [H, W, 3] RGB: it waits until the network has answered, and takes memory."""

    def add(self, path: str | os.PathLike[str], frame: FrameScore, inputs: tuple[np.ndarray, ...], image: np.ndarray | None) -> None:
        """A judged frame with its activation maps, the network's input of each face, and what was kept; an `InputError` ends the input."""


@dataclass(frozen=True)
class Options:
    """How inputs are judged; shared by `judge`, `judge_many` and `VideoDetector`."""

    frames: int | None = 32
    """Number of frames to examine, evenly spaced; None for one in `every`."""
    every: int = 1
    batch: int = 16
    """Faces per call of the engine."""
    threshold: float | None = None
    """Probability from which the verdict is `fake`; None is the engine's own."""
    highlights: int = 6
    """Number of suspicious faces to keep for a report."""
    maps: bool = False
    """Whether every `FaceScore` keeps its activation map; not with aligned crops, whose position in the frame is not that of the box."""
    measure: Measure | None = None
    """Called with every network input, see `FaceScore.measure`."""
    reader: Reader | None = None
    """Provides the frames; None is `open_frames`."""
    urls: bool = False
    """Whether URLs are opened."""
    decode: str = "whole"
    """How videos are decoded, one of `fpg.runtime.inputs.DECODERS`."""
    min_face: float = MIN_FACE
    """Smallest face that is judged, in pixels (`fpg.faces.sizes`); the analyzer has its own, down to which it looks for faces."""
    shown: Watcher | None = None
    """Gets every judged frame with its crops."""
    timeout: float | None = None
    """Seconds after which an input is given up; None: never."""
    anchors: str | None = None
    """Certificates to trust in Content Credentials, PEM (`fpg.record.c2pa`)."""
    seen: Seen | None = None
    """Called for every frame that was judged."""

    def open(self, path: str | os.PathLike[str], total: int | None, notes: Notes) -> tuple[int, Frames]:
        """See `open_frames`."""
        if self.reader is not None:
            return self.reader(path, self.frames, total)
        return open_frames(path, self.frames, total, every=self.every, urls=self.urls, decode=self.decode, notes=notes)
