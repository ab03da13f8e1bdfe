"""What limits a finding: conditions outside of those that the model was calibrated under, and scores that do not hold still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fpg.common.constants import filled
from fpg.findings.intervals import Interval
from fpg.findings.tables import TABLES, number

CONDITIONS = ("frames_with_face", "face_px", "sharpness", "yaw", "pitch", "bits_per_pixel")
_LIMITS: dict[str, dict[str, Any]] = TABLES["limits"]
HIGH = {row["of"]: row["is"] == "high" for row in _LIMITS.values() if "of" in row}
"""Condition -> whether it limits where it is higher than usual; else where it is lower."""


@dataclass(frozen=True)
class Conditions:
    """How an input was seen; None where it is not known. Faces are those judged, over all frames looked at."""

    frames_with_face: int
    face_px: float
    """Root of the area of the box in pixels, median."""
    sharpness: float | None = None
    """Of the network's input, median (`sharpness_of`)."""
    yaw: float | None = None
    """Degrees without sign, median."""
    pitch: float | None = None
    bits_per_pixel: float | None = None
    """Of the video stream: bits of all its frames over their pixels; of a picture likewise."""

    def to_json(self) -> dict[str, Any]:
        """With three digits behind the point."""
        return {name: value if value is None or isinstance(value, int) else round(value, 3) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Limit:
    """One thing that limits a finding."""

    code: str
    """One of `tables.json`."""
    value: float
    bound: float

    @property
    def text(self) -> str:
        """In words, with both numbers."""
        return filled(_LIMITS[self.code]["text"], value=number(self.value), bound=number(self.bound))

    @property
    def weakens(self) -> bool:
        """Whether it takes a finding a level towards inconclusive; else it is told only."""
        return bool(_LIMITS[self.code]["weakens"])

    def to_json(self) -> dict[str, Any]:
        """`code, value, bound, text`."""
        return {"code": self.code, "value": self.value, "bound": self.bound, "text": self.text}


def condition_limits(conditions: Conditions, usual: Mapping[str, float]) -> list[Limit]:
    """The conditions of an input that lie outside of those of the calibration.

    Args:
        conditions: of the input.
        usual: condition -> bound, of the model's card; conditions that it does not name limit nothing.
    """
    found = []
    for code, row in _LIMITS.items():
        name = row.get("of")
        value, end = (getattr(conditions, name), usual.get(name)) if name else (None, None)
        if value is not None and end is not None and (value > end if HIGH[name] else value < end):
            found.append(Limit(code, float(value), float(end)))
    return found


def near_threshold(score: float, interval: Interval | None, threshold: float) -> list[Limit]:
    """Whether the score's interval holds the threshold: other frames might have given the other verdict."""
    if interval is None or not interval[0] < threshold <= interval[1]:
        return []
    reach = interval[1] - score if score < threshold else score - interval[0]
    return [Limit("near_threshold", abs(score - threshold), reach)]


def tracks_disagree(scores: list[tuple[float, Interval | None]], threshold: float) -> list[Limit]:
    """Whether one face is called fake and another real, further apart than their intervals explain.

    Args:
        scores: of the tracks, each with its interval; those without one are left out.
        threshold: of the verdict.
    """
    known = [(score, interval) for score, interval in scores if interval is not None]
    if len(known) < 2:
        return []
    (low, low_interval), (high, high_interval) = min(known), max(known)
    explained = (low_interval[1] - low) + (high - high_interval[0])
    apart = low < threshold <= high and high - low > explained
    return [Limit("tracks_disagree", high - low, explained)] if apart else []


def sharpness_of(image: np.ndarray) -> float:
    """Variance of the Laplacian of a network's input in grey (Pech-Pacheco et al., ICPR 2000), in squared 8-bit levels.

    A face that was enlarged for the network is as blurred for it as one out of focus. The rim of one pixel is left out.

    Args:
        image: float32 [3, S, S] in [0, 1], S >= 3.
    """
    grey = 255.0 * (0.299 * image[0].astype(np.float64) + 0.587 * image[1] + 0.114 * image[2])
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4.0 * grey[1:-1, 1:-1]
    return float(laplacian.var())
