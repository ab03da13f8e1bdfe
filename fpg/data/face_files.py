"""Faces that others computed, next to the frames they belong to: `frames/`, `landmarks/`, `retina/` of SBI, FPG and DeepfakeBench."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpg.common.errors import InputError
from fpg.data.layouts.base import VideoSource, frame_files, frame_time
from fpg.data.video import read_image, sample_indices
from fpg.faces.precomputed import read_faces
from fpg.faces.types import Face


@dataclass(frozen=True)
class FaceFiles:
    """Folders of one video: its frames, and a `.npy` file per frame and kind."""

    frames: Path
    landmarks: Path
    retina: Path | None

    def of(self, frame: Path) -> tuple[Path, Path | None]:
        """The landmark file and the RetinaFace file of a frame; neither has to exist (a missing one means that no face was found)."""
        name = f"{frame.stem}.npy"
        return self.landmarks / name, None if self.retina is None else self.retina / name


def face_files(source: VideoSource) -> FaceFiles | None:
    """What was prepared for a source elsewhere; None without frames and landmarks.

    In the path of a video its folder `videos` becomes `frames`, `landmarks` and `retina`, and the suffix goes; a video that is
    in no such folder has them next to it. In the path of a folder of frames, `frames` is what changes.
    """
    path = source.path if source.kind == "frames" else source.path.with_suffix("")
    word = "frames" if source.kind == "frames" else "videos"
    at = next((i for i in range(len(path.parts) - 2, -1, -1) if path.parts[i].lower() == word), None)

    def place(name: str) -> Path:
        if at is None:
            return path.parent / name / path.name
        return Path(*path.parts[:at], name, *path.parts[at + 1 :])

    frames = path if source.kind == "frames" else place("frames")
    if not frames.is_dir() or not place("landmarks").is_dir():
        return None
    return FaceFiles(frames, place("landmarks"), place("retina") if place("retina").is_dir() else None)


def frames_with_faces(source: VideoSource, count: int) -> Iterator[tuple[int, float, np.ndarray, list[Face]]]:
    """Up to `count` frames evenly over those that were prepared, each with its faces.

    Yields:
        (position among the frames, seconds as `frame_time` has them, uint8 [H, W, 3] RGB, faces largest first).

    Raises:
        InputError: nothing was prepared, no frame has a landmark file, or a file cannot be used.
    """
    files = face_files(source)
    if files is None:
        raise InputError(source.path, "has no frames/ and landmarks/ next to it: prepare it with --landmarks models")
    images = frame_files(files.frames)
    if not any(files.of(image)[0].is_file() for image in images):
        raise InputError(files.landmarks, f"holds no landmark file for any of the {len(images)} frames")
    for index in sample_indices(len(images), count):
        landmarks, retina = files.of(images[index])
        faces = []
        if landmarks.is_file():
            faces = read_faces(landmarks, retina if retina is not None and retina.is_file() else None, single=True)
        yield index, frame_time(index), read_image(images[index]), faces
