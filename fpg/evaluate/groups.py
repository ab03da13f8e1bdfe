"""Parts of an evaluation: by data set, manipulation, compression, size of the face, sharpness. Each has its own metrics.

Manipulations are taken with all real videos of their data set; the other parts hold their own real and fake videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np

from fpg.common.rng import stream
from fpg.data.manifest import FAKE, REAL
from fpg.evaluate.bootstrap import metric_intervals
from fpg.evaluate.metrics import compute

SIDE = 128
"""Sharpness is measured on faces of this many pixels at most, so that it does not depend on the network's input size."""
SIZES = (64.0, 128.0, 256.0)
"""Bounds of the groups by size of the face, in pixels."""


class _Scored(Protocol):
    """What a part needs to know about a video."""

    @property
    def dataset(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def compression(self) -> str: ...
    @property
    def label(self) -> int: ...
    @property
    def score(self) -> float | None: ...
    @property
    def face_size(self) -> float | None: ...
    @property
    def sharpness(self) -> float | None: ...


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of a face in grey (Pech-Pacheco et al., ICPR 2000), in squared 8-bit levels.

    Args:
        image: float32 [3, S, S] in [0, 1]; reduced to `SIDE` pixels where larger.
    """
    grey = 255 * (0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2])
    if max(grey.shape) > SIDE:
        grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey.astype(np.float32), cv2.CV_32F).var())


def groups(results: Sequence[_Scored], threshold: float, resamples: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Metrics of every part, by kind of part: `by_dataset`, `by_method`, `by_compression`, `by_face_size`, `by_sharpness`.

    Parts of compression, size and sharpness hold the videos for which it is known.

    Args:
        results: every video, those without a score included.
        threshold: for the accuracies.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    def part(name: dict[str, str], chosen: Sequence[_Scored]) -> dict[str, Any]:
        return _part(name, chosen, threshold, resamples, seed)

    datasets = sorted({r.dataset for r in results})
    methods = sorted({(r.dataset, r.method) for r in results if r.label == FAKE})
    levels = sorted({(r.dataset, r.compression) for r in results if r.compression})
    found = {
        "by_dataset": [part({"dataset": name}, [r for r in results if r.dataset == name]) for name in datasets],
        "by_method": [
            part({"dataset": name, "method": method}, [r for r in results if r.dataset == name and (r.label == REAL or r.method == method)])
            for name, method in methods
        ],
        "by_compression": [
            part({"dataset": name, "compression": level}, [r for r in results if r.dataset == name and r.compression == level])
            for name, level in levels
        ],
    }
    for kind, bounds, unit in (("face_size", SIZES, " px"), ("sharpness", _thirds(results), "")):
        ranges = [(name, [r for r in results if _within(getattr(r, kind), low, high)]) for name, low, high in _ranges(bounds)]
        found[f"by_{kind}"] = [part({kind: name + unit}, chosen) for name, chosen in ranges if chosen]
    return found


def _within(value: float | None, low: float, high: float) -> bool:
    return value is not None and low <= value < high


def _ranges(bounds: Sequence[float]) -> list[tuple[str, float, float]]:
    """(name, low, high) of the ranges that bounds make."""
    if not len(bounds):
        return []
    text = [f"{b:.0f}" if b >= 10 else f"{b:.2g}" for b in bounds]
    inner = [(f"{text[i]} to {text[i + 1]}", bounds[i], bounds[i + 1]) for i in range(len(bounds) - 1)]
    return [(f"below {text[0]}", -np.inf, bounds[0]), *inner, (f"{text[-1]} or more", bounds[-1], np.inf)]


def _thirds(results: Sequence[_Scored]) -> list[float]:
    values = [r.sharpness for r in results if r.sharpness is not None]
    return [float(v) for v in np.unique(np.quantile(values, (1 / 3, 2 / 3)))] if len(values) >= 3 else []


def _part(name: dict[str, str], chosen: Sequence[_Scored], threshold: float, resamples: int, seed: int) -> dict[str, Any]:
    scored = [(r.label, r.score) for r in chosen if r.score is not None]
    labels, scores = np.array([y for y, _ in scored], np.int64), np.array([s for _, s in scored], np.float64)
    values = {key: value for key, value in compute(labels, scores, threshold).to_json().items() if key != "threshold"}
    intervals = metric_intervals(labels, scores, threshold, resamples, stream(seed, "part", *name.values()))
    return {**name, "videos": len(chosen), "without_score": len(chosen) - len(scored), **values, "intervals": intervals}
