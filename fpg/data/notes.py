"""What there is to say about how an input was read, in addition to its frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Notes:
    """Filled while an input is read."""

    stream: dict[str, Any] | None = None
    """Of a video, the stream that was read: index, streams (how many there were), codec, width, height (as stored), pixel_aspect,
    orientation (EXIF's 1 to 8, or None where the display matrix turns by another angle), transfer."""
    bits_per_pixel: float | None = None
    """Of the video stream or the picture; None where it is not known (a URL, a folder of frames)."""
    warnings: list[str] = field(default_factory=list)
    """What a person should know: a line each, each once, in order."""

    def warn(self, text: str) -> None:
        """Add a line unless it is there."""
        if text not in self.warnings:
            self.warnings.append(text)
