"""From real faces to batches of pairs: which faces, in which order, with which draws. Nothing here depends on the number of workers.

A batch is asked for by (epoch, sample) keys; sample k is face k modulo the number of faces, and its draws come from
`stream(seed, purpose, epoch, sample)`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from fpg.common.console import console
from fpg.common.errors import InputError
from fpg.common.rng import stream
from fpg.data.dataset import FaceDataset
from fpg.pairs import AugmentConfig, Pairs, PreparedBatch, PreparedPair, SelfBlend, SelfBlendDataset, collate_pairs

Key = tuple[int, int]
"""(epoch, sample)."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class PreparedSample:
    """One face, read and prepared by a worker."""

    sample: int
    prepared: PreparedPair
    pose: torch.Tensor
    """float32 [3]: yaw, pitch, roll in degrees, NaN when unknown."""
    face_size: torch.Tensor
    """float32 scalar: sqrt(width x height) of the face box, in pixels of the original."""
    fake: PreparedPair | None = None
    """A given fake, where pairs are not self-blended (`fpg.train.given`)."""


@dataclass(frozen=True)
class Unusable:
    """A face that cannot be used; it never comes back as another face."""

    reason: str
    """One line, `path: reason`."""


@dataclass(frozen=True)
class FaceData:
    """What is known of the faces of a batch besides their images; of N faces, or fewer than asked for when some could not be used."""

    samples: list[int]
    """Sample of each pair."""
    pose: torch.Tensor
    """float32 [N, 3], as of `PreparedSample`."""
    face_size: torch.Tensor
    """float32 [N], as of `PreparedSample`."""
    failures: list[str]
    """One line `path: reason` for each face that could not be used."""

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class Batch(FaceData):
    """N pairs to learn from, and their faces."""

    pairs: Pairs

    def pin_memory(self) -> Batch:
        """The same in page-locked memory (a DataLoader calls this)."""
        return dataclasses.replace(self, pairs=self.pairs.map(torch.Tensor.pin_memory))


@dataclass(frozen=True)
class ReadBatch(FaceData):
    """Faces whose pairs the training process makes, in `PairMaker.finish`."""

    prepared: PreparedBatch | None
    """None where not one face could be used."""
    fakes: PreparedBatch | None = None
    """Given fakes, as many."""

    def pin_memory(self) -> ReadBatch:
        """The same with its pixels in page-locked memory (a DataLoader calls this)."""
        prepared, fakes = (None if x is None else x.pin_memory() for x in (self.prepared, self.fakes))
        return dataclasses.replace(self, prepared=prepared, fakes=fakes)


Loaded = Batch | ReadBatch
"""What a loader's worker hands over."""


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

    def collate(self, items: list[PreparedSample | Unusable]) -> Loaded:
        """A batch of what could be used, in a worker."""
        good = [item for item in items if isinstance(item, PreparedSample)]
        read = ReadBatch(
            samples=[item.sample for item in good],
            pose=torch.stack([item.pose for item in good]) if good else torch.empty(0, 3),
            face_size=torch.stack([item.face_size for item in good]) if good else torch.empty(0),
            failures=[item.reason for item in items if isinstance(item, Unusable)],
            prepared=collate_pairs([item.prepared for item in good]) if good else None,
            fakes=self._collate_fakes(good),
        )
        return read if self.at_training else self.finish(read)

    def finish(self, batch: Loaded) -> Batch:
        """The pairs of what the loader gave, in the training process."""
        if isinstance(batch, Batch):
            return batch
        pairs = Pairs.empty(self.size) if batch.prepared is None else self._pairs(batch.prepared, batch.fakes)
        return Batch(batch.samples, batch.pose, batch.face_size, batch.failures, pairs)

    def item_bytes(self, faces: FaceDataset) -> int:
        """The most that one face takes on its way from a worker to the training process."""
        if not self.at_training:
            return 10 * self.size * self.size * 4
        return max((3 * height * width for height, width in (entry.row.size for entry in faces.entries)), default=0)

    def _collate_fakes(self, items: list[PreparedSample]) -> PreparedBatch | None:
        return None

    def _pairs(self, prepared: PreparedBatch, fakes: PreparedBatch | None) -> Pairs:
        return self._blend(prepared)


class PairDataset(Dataset[PreparedSample | Unusable]):
    """Prepared pairs by key (epoch, sample).

    Args:
        faces: where the pairs come from.
        config: of the augmentation.
        seed: of the run.
        purpose: name of the random stream. With `pair` faces are mirrored and cropped as in training, else as in evaluation.
        stream_name: of the random stream, if it is not `purpose`.
    """

    def __init__(self, faces: FaceDataset, config: AugmentConfig, seed: int, purpose: str = "pair", stream_name: str | None = None) -> None:
        self.faces = faces
        self.prepared = SelfBlendDataset(faces, config, seed=seed, purpose=stream_name or purpose, training=purpose == "pair")

    def __getitem__(self, key: Key) -> PreparedSample | Unusable:
        sample = key[1]
        entry = self.faces.entries[sample % len(self.faces)]
        try:
            prepared = self.prepared[key]
        except InputError as error:
            return Unusable(str(error))
        except ValueError as error:
            return Unusable(str(InputError(entry.path, str(error.__cause__ or error))))
        x0, y0, x1, y1 = (float(v) for v in entry.row.box)
        pose = torch.tensor(entry.row.pose if entry.row.pose is not None else (np.nan,) * 3, dtype=torch.float32)
        return PreparedSample(sample, prepared, pose, torch.tensor(((x1 - x0) * (y1 - y0)) ** 0.5, dtype=torch.float32))


@dataclass(frozen=True)
class BatchSchedule:
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
    dataset: Dataset[PreparedSample | Unusable], maker: PairMaker, batches: Iterable[list[Key]], workers: int, *, pin: bool = False
) -> DataLoader[Any]:
    """A DataLoader that gives `Loaded` for batches of keys; iterate over it with `open_batches`, and give what comes to `maker.finish`."""
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
def open_batches(batches: Iterable[_T]) -> Iterator[Iterator[_T]]:
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
