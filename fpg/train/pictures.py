"""The picture grid of an epoch: what the detector is given, where it responds, and what guidance makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fpg.common.files import atomic_write
from fpg.guidance.draws import draw_guidance
from fpg.guidance.guide import Refined, refine
from fpg.guidance.response_map import response_map
from fpg.models.detector import Detector
from fpg.train.config import TrainConfig
from fpg.train.pairs import Batch
from fpg.train.step import to_pairs

COLUMNS = ("real", "source", "mask", "forgery", "response map", "refined mask", "refined forgery", "change x 8")
CELL = 176
"""Side of a picture, in pixels of the grid."""


def picture_grid(model: Detector, batch: Batch, names: Sequence[str], config: TrainConfig, title: str, device: torch.device) -> np.ndarray:
    """Guidance applied to a fixed batch, drawn: uint8 [H, W, 3], a row per pair, `COLUMNS` from left to right.

    The draws are fixed: the magnitude step is always taken, and a forgery is refined in shape whenever it is a candidate.
    """
    pairs = to_pairs(batch, config, device)
    draws = draw_guidance(config.seed, 0, 0, batch.samples, config.guidance)
    draws = replace(draws, step_coin=True, refine_u=np.zeros_like(draws.refine_u))
    refined = refine(model, pairs, draws, config.guidance)
    maps, probability = response_map(model, pairs.fake)
    rows = []
    for i in range(len(batch.samples)):
        real, source, fake = (_image(x[i]) for x in (pairs.real, pairs.source, pairs.fake))
        after = _image(refined.pairs.fake[i])
        change = np.clip(128 + 8 * (after.astype(np.int16) - fake), 0, 255).astype(np.uint8)
        overlay = _overlay(fake, maps[i].cpu().numpy())
        rows.append([real, source, _image(pairs.mask[i]), fake, overlay, _image(refined.pairs.mask[i]), after, change])
    return _draw(rows, [_caption(name, float(probability[i]), refined, i) for i, name in enumerate(names)], title)


def save_picture(path: Path, image: np.ndarray) -> None:
    """Write as PNG, atomically."""
    with atomic_write(path) as file:
        file.write(cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def _caption(name: str, probability: float, refined: Refined, i: int) -> str:
    folder, _, frame = name.rpartition(":")
    shape = "refined" if refined.refined[i] else "kept"
    lines = (
        folder.rpartition("/")[2][:22],
        f"frame {frame}",
        f"p(fake) {probability:.2f}",
        f"shape {shape}",
        f"blend {int(refined.direction[i]):+d}",
    )
    return "\n".join(lines)


def _image(x: torch.Tensor) -> np.ndarray:
    array = (x.detach().float().cpu().clamp(0, 1).numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
    array = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
    return cv2.resize(array, (CELL, CELL), interpolation=cv2.INTER_AREA if array.shape[0] >= CELL else cv2.INTER_LINEAR)


def _overlay(image: np.ndarray, response: np.ndarray) -> np.ndarray:
    heat = cv2.applyColorMap((cv2.resize(response, (CELL, CELL)) * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    return (0.45 * image + 0.55 * heat).astype(np.uint8)


def _draw(rows: list[list[np.ndarray]], captions: list[str], title: str) -> np.ndarray:
    gap, left, top, dpi = 4, 150, 54, 100
    step = CELL + gap
    height, width = top + step * len(rows), left + step * len(COLUMNS)
    canvas = np.full((height, width, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            canvas[top + r * step : top + r * step + CELL, left + c * step : left + c * step + CELL] = cell
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi)
    figure.figimage(canvas)
    figure.text(8 / width, 1 - 18 / height, title, fontsize=12, weight="bold", va="center")
    for c, name in enumerate(COLUMNS):
        figure.text((left + c * step + CELL / 2) / width, 1 - (top - 12) / height, name, fontsize=10, ha="center", va="center")
    for r, caption in enumerate(captions):
        figure.text(8 / width, 1 - (top + r * step + CELL / 2) / height, caption, fontsize=9, va="center", linespacing=1.5)
    agg = FigureCanvasAgg(figure)
    agg.draw()
    return np.asarray(agg.buffer_rgba())[..., :3].copy()
