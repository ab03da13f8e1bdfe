"""A prepared folder of synthetic faces, and a run so small that it takes a second."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from fpg.data.manifest import FaceRow, VideoRecord, write_manifest
from fpg.guidance.config import GuidanceConfig
from fpg.train.config import ModelConfig, OptimConfig, TrainConfig

SPLITS = {"train": 4, "val": 2, "test": 1}
FRAMES = 3


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def face_rows(root: Path, landmarks: np.ndarray, splits: dict[str, int] = SPLITS, frames: int = FRAMES) -> list[FaceRow]:
    """Write crops of coloured noise in the shape of a face; the same for every root."""
    rng = np.random.default_rng(5)
    low, high = landmarks.min(0), landmarks.max(0)
    rows = []
    for split, people in splits.items():
        for person in range(people):
            for frame in range(frames):
                scale = 60 / (high - low).max()
                points = ((landmarks - low) * scale + (40, 60)).astype(np.float32)
                image = cv2.resize(rng.integers(0, 256, (16, 16, 3), np.uint8), (140, 150))
                cv2.fillConvexPoly(image, cv2.convexHull(points.astype(np.int32)), tuple(int(v) for v in rng.integers(60, 220, 3)))
                path = root / "crops" / split / f"{person}_{frame}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)
                box = np.array([*points.min(0), *points.max(0)], np.float32)
                rows.append(
                    FaceRow(
                        dataset="synthetic",
                        method="",
                        video=f"{split}{person}",
                        frame=10 * frame,
                        time_s=float(frame),
                        face=0,
                        label=0,
                        split=split,
                        path=path.relative_to(root).as_posix(),
                        origin=(0, 0),
                        frame_size=(480, 640),
                        size=image.shape[:2],
                        box=box,
                        landmarks=points,
                        score=0.9,
                        pose=None if person == 1 else (10.0, 0.0, 5.0),
                    )
                )
    return rows


def write(root: Path, rows: list[FaceRow]) -> Path:
    videos = {row.key: VideoRecord(*row.key, row.label, row.split, f"{row.video}.mp4", "prepared", frames=FRAMES) for row in rows}
    write_manifest(root, rows, videos.values())
    return root


@pytest.fixture(scope="session")
def landmarks(vectors: Path) -> np.ndarray:
    with np.load(vectors / "hulls.npz") as values:
        return values["lm0"]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, landmarks: np.ndarray) -> Path:
    """4 people to train on, 2 to validate, 1 to test, 3 frames each. Read only."""
    root = tmp_path_factory.mktemp("prepared")
    return write(root, face_rows(root, landmarks))


@pytest.fixture
def prepare(tmp_path: Path, landmarks: np.ndarray) -> Callable[..., Path]:
    """Make a folder of one's own: `prepare(name, change=rows -> rows, splits=...)`."""

    def make(name: str = "data", change: Callable[[list[FaceRow]], list[FaceRow]] = list, **options: Any) -> Path:
        root = tmp_path / name
        return write(root, change(face_rows(root, landmarks, **options)))

    return make


@pytest.fixture
def tiny(prepared: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """Two epochs of three steps with a network of 0.4 M parameters at 64 px; guidance refines nearly everything."""

    def make(**changes: Any) -> TrainConfig:
        config = TrainConfig(
            out=str(tmp_path / "run"),
            data=[str(prepared)],
            seed=3,
            epochs=2,
            batch=8,
            workers=0,
            threads=1,
            device="cpu",
            pictures=0,
            model=ModelConfig(backbone="test_efficientnet", image_size=64, pretrained=False, quality_width=16, attention_width=8),
            guidance=GuidanceConfig(certainty=0.0, threshold=1.0),
            optim=OptimConfig(lr=1e-3),
        )
        return dataclasses.replace(config, **changes)

    return make
