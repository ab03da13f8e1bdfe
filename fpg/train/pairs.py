"""From real faces to batches of pairs: which faces, in which order, with which draws. Nothing here depends on the number of workers.

A batch is asked for by (epoch, sample) keys; sample k is face k modulo the number of faces, and its draws come from
`stream(seed, purpose, epoch, sample)`.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypedDict

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from fpg.augment.params import AugmentConfig, draw_pair
from fpg.augment.self_blend import make_pair
from fpg.common.console import console
from fpg.common.errors import InputError
from fpg.common.rng import stream
from fpg.data.dataset import RealFaces

Key = tuple[int, int]


class Batch(TypedDict):
    """N pairs (fewer than asked for when a face could not be used)."""

    real: torch.Tensor
    """float32 [N, 3, S, S] in [0, 1]; `fake` and `source` alike, `mask` [N, 1, S, S]."""
    fake: torch.Tensor
    source: torch.Tensor
    mask: torch.Tensor
    samples: list[int]
    """Sample of each pair."""
    pose: torch.Tensor
    """float32 [N, 3]: yaw, pitch, roll in degrees, NaN when unknown."""
    face_size: torch.Tensor
    """float32 [N]: sqrt(width x height) of the face box, in pixels of the original."""
    failures: list[str]
    """One line `path: reason` for each face that could not be used."""


class PairDataset(Dataset[dict[str, Any]]):
    """Pairs by key (epoch, sample); a face that cannot be used comes back as `{"failure": "path: reason"}`, never as another face.

    Args:
        faces: where the pairs come from.
        config: of the augmentation.
        size: side S of the network's input.
        seed: of the run.
        purpose: name of the random stream. With `pair` faces are mirrored and cropped as in training, else as in evaluation.
    """

    def __init__(self, faces: RealFaces, config: AugmentConfig, size: int, seed: int, purpose: str = "pair") -> None:
        self.faces, self.config, self.size, self.seed, self.purpose = faces, config, size, seed, purpose
        self.training = purpose == "pair"

    def __getitem__(self, key: Key) -> dict[str, Any]:
        epoch, sample = key
        index = sample % len(self.faces)
        entry = self.faces.entries[index]
        params = draw_pair(stream(self.seed, self.purpose, epoch, sample), self.config, training=self.training)
        try:
            pair = make_pair(self.faces.image(index), entry.row.landmarks, entry.row.box, params, self.config, self.size)
        except InputError as error:
            return {"failure": str(error)}
        except ValueError as error:
            return {"failure": str(InputError(entry.path, str(error)))}
        x0, y0, x1, y1 = (float(v) for v in entry.row.box)
        return {
            "sample": sample,
            "real": torch.from_numpy(pair.real),
            "fake": torch.from_numpy(pair.fake),
            "source": torch.from_numpy(pair.source),
            "mask": torch.from_numpy(pair.mask),
            "pose": torch.tensor(entry.row.pose if entry.row.pose is not None else (np.nan,) * 3, dtype=torch.float32),
            "face_size": torch.tensor(((x1 - x0) * (y1 - y0)) ** 0.5, dtype=torch.float32),
        }


def collate(items: list[dict[str, Any]]) -> Batch | dict[str, Any]:
    """Stack what could be used; without any usable pair only `samples` (empty) and `failures` are there."""
    good = [item for item in items if "failure" not in item]
    batch: dict[str, Any] = {"samples": [item["sample"] for item in good], "failures": [i["failure"] for i in items if "failure" in i]}
    if good:
        batch |= {name: torch.stack([item[name] for item in good]) for name in ("real", "fake", "source", "mask", "pose", "face_size")}
    return batch


@dataclass(frozen=True)
class Schedule:
    """The batches of a run, from any position: for each epoch a permutation of its samples, cut into batches of `pairs`.

    An incomplete batch at the end of an epoch is dropped, unless it is the epoch's only one.
    """

    samples: int
    """Per epoch: faces x repeat."""
    pairs: int
    """Per batch."""
    epochs: int
    seed: int
    start: tuple[int, int] = (0, 0)
    """(epoch, step within it) of the first batch."""

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return max(1, self.samples // self.pairs)

    def batch(self, epoch: int, step: int) -> list[Key]:
        """Keys of one batch."""
        order = stream(self.seed, "order", epoch).permutation(self.samples)
        return [(epoch, int(sample)) for sample in order[step * self.pairs : (step + 1) * self.pairs]]

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, step = self.start
        while epoch < self.epochs:
            while step < self.steps:
                yield self.batch(epoch, step)
                step += 1
            epoch, step = epoch + 1, 0

    def __len__(self) -> int:
        epoch, step = self.start
        return max(0, (self.epochs - epoch) * self.steps - step)


def loader(dataset: PairDataset, batches: Any, workers: int, *, pin: bool = False) -> DataLoader[dict[str, Any]]:
    """A DataLoader over batches of keys; iterate over it with `open_batches`."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_start_worker if workers else None,
        prefetch_factor=2 if workers else None,
        pin_memory=pin,
    )


def usable_workers(workers: int, pairs: int, size: int) -> int:
    """`workers`, or 0 with a message when shared memory cannot hold their batches (often the case in containers)."""
    shared = Path("/dev/shm")
    needed = workers * 3 * pairs * 10 * size * size * 4
    if workers and shared.is_dir() and (free := shutil.disk_usage(shared).free) < needed:
        console.print(
            f"workers: {workers} need {needed / 2**20:.0f} MiB of /dev/shm, {free / 2**20:.0f} MiB are free; "
            "making pairs in the main process instead (results are the same; give the container more with --shm-size)"
        )
        return 0
    return workers


@contextlib.contextmanager
def open_batches(batches: Iterable[Any]) -> Iterator[Iterator[Any]]:
    """Iterate over a loader and end its workers at the end, whatever happens.

    An exception keeps its frames alive, in them the iterator, and in that the workers, which the interpreter would wait for.
    """
    iterator = iter(batches)
    try:
        yield iterator
    finally:
        shutdown = getattr(iterator, "_shutdown_workers", None)  # torch has no public way
        if shutdown is not None:
            shutdown()


def _start_worker(worker: int) -> None:
    """Ctrl-C, and a SIGTERM that comes to the whole process group, are for the main process: it ends the workers after cleaning up."""

    def ignore_once(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, ignore_once)
    cv2.setNumThreads(0)
