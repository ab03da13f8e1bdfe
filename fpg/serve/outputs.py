"""File names in a job's folder."""

from __future__ import annotations

import os

from fpg.common.kinds import SUFFIXES

REPORT, FRAMES = "report.html", "frames.json"


def overlay_name(path: str) -> str:
    """Of the drawn copy of an input."""
    return "overlay.png" if os.path.splitext(path)[1].lower() in SUFFIXES["image"] else "overlay.mp4"


def picture_name(index: int) -> str:
    """Of a frame's small copy."""
    return f"frame-{index:06d}.jpg"
