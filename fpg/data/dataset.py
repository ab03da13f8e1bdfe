"""The faces of prepared folders, as training and validation read them. Torch-free; pairs are made from them in `fpg.train.pairs`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpg.common.errors import InputError
from fpg.common.files import sha256
from fpg.data.crop_files import read_crop
from fpg.data.manifest import FAKE, NAME, REAL, FaceRow, Manifest, read_manifest
from fpg.data.video import sample_indices


@dataclass(frozen=True)
class Entry:
    """One face crop of a prepared folder."""

    root: Path
    row: FaceRow

    @property
    def path(self) -> Path:
        """Of the crop."""
        return self.root / self.row.path

    @property
    def name(self) -> str:
        """What a person recognises the face by: data set, video and frame."""
        return f"{self.row.dataset}/{self.row.video}:{self.row.frame}"


class FaceDataset:
    """Faces of one class and split: of every video `frames_per_video` of its frames with a face, evenly spaced, the largest face of each.

    The choice is the same in every epoch ("8 frames per video", METHOD 4.6; SBI, CVPR 2022); what varies is the pair made from a face.

    Args:
        roots: prepared folders. A video counts once per folder.
        split: `train`, `val` or `test`.
        frames_per_video: at most so many faces of a video.
        label: 0 real, 1 fake.

    Raises:
        InputError: a folder without a usable manifest; crops that the manifest names and that are gone (their number and the first one).
    """

    def __init__(self, roots: Sequence[str | os.PathLike[str]], split: str, frames_per_video: int, label: int) -> None:
        manifests = [read_manifest(root) for root in roots]
        self.split = split
        self.entries = [entry for manifest in manifests for entry in _choose(manifest, split, frames_per_video, label)]
        for manifest in manifests:
            _require_files(manifest.root, [entry for entry in self.entries if entry.root == manifest.root])
        self.videos = len({(entry.root, entry.row.key) for entry in self.entries})
        self.fakes = sum(face.label != REAL for manifest in manifests for face in manifest.select(split=split).faces)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, landmarks and box of a face, as `fpg.pairs.SelfBlendDataset` wants them; errors as `image`."""
        return self.image(index), self.entries[index].row.landmarks, self.entries[index].row.box

    def landmarks(self, index: int) -> np.ndarray:
        """Of a face, float32 [68 or 81, 2] in pixels of its crop."""
        return self.entries[index].row.landmarks

    def person(self, index: int) -> tuple[Path, tuple[str, str, str]]:
        """The video that a face is from, which stands for the person: nothing is known beyond it."""
        entry = self.entries[index]
        return entry.root, entry.row.key

    def image(self, index: int) -> np.ndarray:
        """The crop of a face: uint8 [H, W, 3], RGB.

        Raises:
            InputError: the file cannot be read, or is not the crop that the manifest describes.
        """
        entry = self.entries[index]
        image = read_crop(entry.root, entry.row)
        if not (np.isfinite(entry.row.landmarks).all() and np.isfinite(entry.row.box).all()):
            raise InputError(entry.path, "landmarks and box: expected finite coordinates, got NaN or infinity")
        return image


class RealFaces(FaceDataset):
    """The real ones."""

    def __init__(self, roots: Sequence[str | os.PathLike[str]], split: str, frames_per_video: int = 8) -> None:
        super().__init__(roots, split, frames_per_video, REAL)


class FakeFaces(FaceDataset):
    """The fake ones, of every manipulation."""

    def __init__(self, roots: Sequence[str | os.PathLike[str]], split: str, frames_per_video: int = 8) -> None:
        super().__init__(roots, split, frames_per_video, FAKE)


def data_fingerprint(roots: Iterable[str | os.PathLike[str]]) -> str:
    """SHA-256 over the manifests of the folders, in order: two runs with the same fingerprint saw the same faces.

    Raises:
        InputError: a manifest is missing.
    """
    digest = hashlib.sha256()
    for root in roots:
        path = Path(root)
        digest.update(sha256(path / NAME if path.is_dir() else path).encode())
    return digest.hexdigest()


def _choose(manifest: Manifest, split: str, frames_per_video: int, label: int) -> list[Entry]:
    videos: dict[tuple[str, str, str], list[FaceRow]] = {}
    for row in manifest.select(split=split, label=label, largest_only=True).faces:
        videos.setdefault(row.key, []).append(row)
    chosen: list[Entry] = []
    for key in sorted(videos):
        rows = sorted(videos[key], key=lambda row: row.frame)
        chosen += [Entry(manifest.root, rows[index]) for index in sample_indices(len(rows), frames_per_video)]
    return chosen


def _require_files(root: Path, entries: list[Entry]) -> None:
    missing = [entry.row.path for entry in entries if not entry.path.is_file()]
    if missing:
        raise InputError(
            root, f"{len(missing)} of {len(entries)} crops that its manifest names are gone, the first is {missing[0]}; prepare it again"
        )
