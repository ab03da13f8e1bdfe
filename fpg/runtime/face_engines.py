"""Faces found by exported engines (`fpg-export --faces`), on whatever backend they were written for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from fpg.common.errors import InputError
from fpg.engines import load_engine
from fpg.engines.base import CheckedEngine
from fpg.faces import FaceAnalyzer
from fpg.faces.mediapipe import BlazeFaceDetector, FaceMeshLandmarker
from fpg.faces.sizes import MIN_FACE

SUFFIXES = (".xml", ".onnx", ".engine")


class EngineNetwork:
    """A face network on an engine, as `fpg.faces.mediapipe.Network` wants it."""

    def __init__(self, engine: CheckedEngine) -> None:
        self._engine = engine

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """See `fpg.faces.mediapipe.Network`."""
        images = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        return self._engine.run(images)


def engine_analyzer(
    folder: str | os.PathLike[str], *, device: str = "auto", threads: int | None = 1, min_face: float = MIN_FACE
) -> FaceAnalyzer:
    """The default face finder with its two networks on exported engines.

    Args:
        folder: with one `face-detector-*` and one `face-landmarks-*` model.
        device, threads: as in `fpg.engines.load_engine`.
        min_face: see `FaceAnalyzer`.

    Raises:
        InputError: a network is missing or there several times, or cannot be loaded.
    """
    detector, landmarks = (
        EngineNetwork(load_engine(_the(folder, kind), device=device, threads=threads, network=kind))
        for kind in ("face-detector", "face-landmarks")
    )
    return FaceAnalyzer(BlazeFaceDetector(network=detector), FaceMeshLandmarker(network=landmarks), min_face=min_face)


def _the(folder: str | os.PathLike[str], kind: str) -> Path:
    found = [path for path in sorted(Path(folder).glob(f"{kind}-*")) if path.suffix in SUFFIXES and not _source(path)]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(folder, f"expected one {kind}-* model ({', '.join(SUFFIXES)}), got {names}; write them with fpg-export --faces")
    return found[0]


def _source(path: Path) -> bool:
    """Whether it is the ONNX model that an engine next to it was built from."""
    return path.suffix == ".onnx" and path.with_suffix(".engine").exists()
