"""From face scores to a video score: one definition, used by evaluation and deployment (METHOD of FPG and SBI, evaluation protocol).

A face counts when its box area is at least half the largest in its frame; a frame scores the maximum over its faces; a
video scores the mean over its frames with a face.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fpg.common.constants import CONSTANTS
from fpg.common.crops import AREA_FRACTION

TEXT: str = CONSTANTS["protocol"]["aggregation"]
"""The rules above in words, printed next to every number."""


def faces_that_count(boxes: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
    """Which faces of one frame are judged.

    Args:
        boxes: [N, 4] = (x0, y0, x1, y1) in pixels.

    Returns:
        bool [N].

    Raises:
        ValueError: not [N, 4], or not finite.
    """
    values = np.asarray(boxes, np.float64)
    if values.size == 0:
        return np.zeros(0, bool)
    if values.ndim != 2 or values.shape[1] != 4:
        raise ValueError(f"boxes: expected [N, 4], got {list(values.shape)}")
    if not np.isfinite(values).all():
        raise ValueError("boxes: expected finite coordinates, got NaN or infinity")
    area = np.maximum(values[:, 2] - values[:, 0], 0) * np.maximum(values[:, 3] - values[:, 1], 0)
    return area >= AREA_FRACTION * area.max()


def frame_score(face_scores: Sequence[float]) -> float | None:
    """Maximum over the faces that count; None without a face."""
    return max((float(s) for s in face_scores), default=None)


def video_score(frame_scores: Iterable[float | None]) -> float | None:
    """Mean over the frames with a face (None marks a frame without one); None when no frame has a face."""
    values = [s for s in frame_scores if s is not None]
    return float(np.mean(values)) if values else None
