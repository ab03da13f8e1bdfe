"""Pictures of pairs, for the trainer's grid and the documentation."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fpg.augment.self_blend import Pair

PAIR_COLUMNS = ("real", "source", "mask", "forgery", "difference x 4")


def picture_grid(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] = (), side: int = 160, gap: int = 4) -> np.ndarray:
    """Lay pictures out in a table.

    Args:
        rows: each a sequence of pictures in [0, 1], RGB [3, H, W] or grey [1, H, W] or [H, W]; rows may differ in length.
        titles: of the columns, drawn above; none by default.
        side: of each cell, in pixels.
        gap: between cells, in pixels.

    Returns:
        uint8 [H, W, 3], RGB, on white.

    Raises:
        ValueError: no picture at all, or a shape that is none of these.
    """
    columns = max([len(titles), *(len(row) for row in rows)], default=0)
    if not any(len(row) for row in rows):
        raise ValueError("rows: expected at least one picture, got none")
    header = 20 if titles else 0
    grid = np.full((header + len(rows) * (side + gap) + gap, columns * (side + gap) + gap, 3), 255, np.uint8)
    for j, title in enumerate(titles):
        cv2.putText(grid, title, (gap + j * (side + gap), 15), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            y, x = header + gap + i * (side + gap), gap + j * (side + gap)
            grid[y : y + side, x : x + side] = _cell(picture, side)
    return grid


def pair_grid(pairs: Sequence[Pair], side: int = 160) -> np.ndarray:
    """One row per pair: real, source, mask, forgery, and four times the difference of forgery and real. uint8 [H, W, 3], RGB."""
    rows = [(p.real, p.source, p.mask, p.fake, np.clip(4 * np.abs(p.fake - p.real), 0, 1)) for p in pairs]
    return picture_grid(rows, PAIR_COLUMNS, side)


def _cell(picture: np.ndarray, side: int) -> np.ndarray:
    picture = np.asarray(picture, np.float32)
    if picture.ndim == 2:
        picture = picture[None]
    if picture.ndim != 3 or picture.shape[0] not in (1, 3) or 0 in picture.shape:
        raise ValueError(f"picture: expected [3, H, W], [1, H, W] or [H, W], got {list(picture.shape)}")
    image = np.rint(255 * np.clip(np.nan_to_num(picture), 0, 1)).astype(np.uint8).transpose(1, 2, 0)
    image = cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=cv2.INTER_AREA)
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
