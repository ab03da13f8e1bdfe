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

from fpg.augment import AugmentConfig, SelfBlend, SelfBlendDataset, collate_pairs
from fpg.common.console import console
from fpg.common.errors import InputError
from fpg.common.rng import stream
from fpg.data.dataset import Faces

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


class PairMaker:
    """Where pairs are made: on the training device if there are kernels for it, else by the loader's workers on the CPU. Where
    finished pairs pass filters and encoders, the workers make them.

    Args:
        config: of the augmentation.
        size: side S of the network's input.
        device: that trains.
    """

    def __init__(self, config: AugmentConfig, size: int, device: torch.device) -> None:
        self.config, self.size = config, size
        self._blend = SelfBlend(config, size, device)
        self.at_training = self._blend.native and not config.finishing
        """Whether the training process makes the pairs."""
        if not self.at_training:
            self._blend = SelfBlend(config, size)

    def collate(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of what could be used, in a worker; without any usable face only `samples` (empty) and `failures` are there."""
        good = [item for item in items if "failure" not in item]
        batch: dict[str, Any] = {"samples": [item["sample"] for item in good], "failures": [i["failure"] for i in items if "failure" in i]}
        if good:
            batch |= {name: torch.stack([item[name] for item in good]) for name in ("pose", "face_size")}
            batch["prepared"] = self._collated(good)
        return batch if self.at_training else self._make(batch)

    def finish(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A `Batch` from what the loader gave, in the training process."""
        return self._make(batch) if "prepared" in batch else batch

    def item_bytes(self, faces: Faces) -> int:
        """The most that one face takes on its way from a worker to the training process."""
        if not self.at_training:
            return 10 * self.size * self.size * 4
        return max((3 * height * width for height, width in (entry.row.size for entry in faces.entries)), default=0)

    def _make(self, batch: dict[str, Any]) -> dict[str, Any]:
        rest = {name: value for name, value in batch.items() if name != "prepared"}
        return rest | self._images(batch["prepared"]) if "prepared" in batch else rest

    def _collated(self, items: list[dict[str, Any]]) -> Any:
        return collate_pairs([item["prepared"] for item in items])

    def _images(self, prepared: Any) -> dict[str, torch.Tensor]:
        return self._blend(prepared)._asdict()


class PairDataset(Dataset[dict[str, Any]]):
    """Prepared pairs by key (epoch, sample); a face that cannot be used comes back as `{"failure": "path: reason"}`, never as another face.

    Args:
        faces: where the pairs come from.
        config: of the augmentation.
        seed: of the run.
        purpose: name of the random stream. With `pair` faces are mirrored and cropped as in training, else as in evaluation.
        stream_name: of the random stream, if it is not `purpose`.
    """

    def __init__(self, faces: Faces, config: AugmentConfig, seed: int, purpose: str = "pair", stream_name: str | None = None) -> None:
        self.faces = faces
        self.prepared = SelfBlendDataset(faces, config, seed=seed, purpose=stream_name or purpose, training=purpose == "pair")

    def __getitem__(self, key: Key) -> dict[str, Any]:
        sample = key[1]
        entry = self.faces.entries[sample % len(self.faces)]
        try:
            prepared = self.prepared[key]
        except InputError as error:
            return {"failure": str(error)}
        except ValueError as error:
            return {"failure": str(InputError(entry.path, str(error.__cause__ or error)))}
        x0, y0, x1, y1 = (float(v) for v in entry.row.box)
        return {
            "sample": sample,
            "prepared": prepared,
            "pose": torch.tensor(entry.row.pose if entry.row.pose is not None else (np.nan,) * 3, dtype=torch.float32),
            "face_size": torch.tensor(((x1 - x0) * (y1 - y0)) ** 0.5, dtype=torch.float32),
        }


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


def loader(
    dataset: Dataset[dict[str, Any]], maker: PairMaker, batches: Any, workers: int, *, pin: bool = False
) -> DataLoader[dict[str, Any]]:
    """A DataLoader over batches of keys; iterate over it with `open_batches`, and give what comes to `maker.finish`."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=maker.collate,
        worker_init_fn=_start_worker if workers else None,
        prefetch_factor=2 if workers else None,
        pin_memory=pin,
    )


def usable_workers(workers: int, batch_bytes: int) -> int:
    """`workers`, or 0 with a message when shared memory cannot hold their batches (often the case in containers)."""
    shared = Path("/dev/shm")
    needed = workers * 3 * batch_bytes
    if workers and shared.is_dir() and (free := shutil.disk_usage(shared).free) < needed:
        console.print(
            f"workers: {workers} need {needed / 2**20:.0f} MiB of /dev/shm, {free / 2**20:.0f} MiB are free; "
            "reading faces in the main process instead (results are the same; give the container more with --shm-size)"
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
