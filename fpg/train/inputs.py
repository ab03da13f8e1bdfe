"""What a run learns from: the faces of its splits, and the batches of pairs made from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from fpg.common.console import console
from fpg.common.errors import InputError, UsageError
from fpg.data.dataset import FakeFaces, RealFaces, data_fingerprint
from fpg.train.config import TrainConfig
from fpg.train.distributed import World
from fpg.train.given import GivenDataset, GivenMaker
from fpg.train.pairs import Batch, BatchSchedule, Key, PairDataset, PairMaker, loader, usable_workers
from fpg.train.validate import CachedBatches


@dataclass(frozen=True)
class ShardedBatches:
    """This process's part of every batch of a schedule."""

    schedule: BatchSchedule
    world: World

    def __iter__(self) -> Iterator[list[Key]]:
        for keys in self.schedule:
            yield self.world.shard(keys)

    def __len__(self) -> int:
        return len(self.schedule)


class TrainingData:
    """Faces of the training and validation splits, and the batches made from them.

    Args:
        config: checked.
        world: the processes that share every batch.
        device: that trains.

    Raises:
        InputError: data that cannot be used, or no real face to train on.
        UsageError: more processes than pairs in a batch, or options that need validation faces without any.
    """

    def __init__(self, config: TrainConfig, world: World, device: torch.device) -> None:
        self.config, self.world = config, world
        self.faces = RealFaces(config.data, "train", config.frames_per_video)
        self.val_faces = RealFaces(config.data, "val", config.val_frames_per_video)
        self.fakes = FakeFaces(config.data, "train", config.frames_per_video) if config.fakes == "given" else None
        self.val_fakes = FakeFaces(config.data, "val", config.val_frames_per_video) if config.fakes == "given" else None
        self.fingerprint = data_fingerprint(config.data)
        if not self.faces.entries:
            fakes = f" ({self.faces.fakes} fake ones are there, and not used)" if self.faces.fakes else ""
            raise InputError(config.data[0], f"no real faces in split train{fakes}; training needs real videos in the training split")
        if self.fakes is not None and not self.fakes.entries:
            raise InputError(
                config.data[0],
                "no fake faces in split train; --method real-fake learns from given fakes: prepare fake videos too, or take another method",
            )
        if not self.val_faces.entries and (asks := next((name for name in ("patience", "keep_top") if getattr(config, name)), None)):
            raise UsageError(f"{asks}: expected 0 without real faces in split val to validate on, got {getattr(config, asks)}")
        self.pairs = config.batch // 2
        if self.pairs < world.size:
            raise UsageError(
                f"batch: expected a pair for each of the {world.size} processes, at least {2 * world.size}, got {config.batch}"
            )
        self.maker = (PairMaker if self.fakes is None else GivenMaker)(config.augment, config.model.image_size, device)
        self.workers = usable_workers(config.workers, -(-self.pairs // world.size) * self.maker.item_bytes(self.faces))

    def schedule(self, start: tuple[int, int]) -> BatchSchedule:
        """The run's batches from (epoch, step within it)."""
        config = self.config
        return BatchSchedule(len(self.faces) * config.repeat, self.pairs, config.epochs, config.seed, start)

    def training(self, schedule: BatchSchedule, *, pin: bool) -> DataLoader[Any]:
        """This process's part of the batches of a schedule, for `maker.finish`."""
        return loader(self.dataset(self.faces, "pair"), self.maker, ShardedBatches(schedule, self.world), self.workers, pin=pin)

    def validation(self, *, pin: bool) -> CachedBatches | None:
        """This process's part of the validation pairs, None (and a message) without validation faces."""
        if not self.val_faces.entries:
            console.print(
                "validation: no real faces in split val; nothing is validated, and the last weights become the final ones",
                style="yellow",
            )
            return None
        if self.val_fakes is not None and not self.val_fakes.entries:
            console.print("validation: no fake faces in split val; self-blended ones are validated on instead", style="yellow")
        keys = self.world.shard([(0, sample) for sample in range(len(self.val_faces))])
        pairs = -(-self.pairs // self.world.size)
        batches = [keys[start : start + pairs] for start in range(0, len(keys), pairs)]
        opened = loader(self.dataset(self.val_faces, "val"), self.maker, batches, self.workers, pin=pin)
        return CachedBatches(opened, self.maker.finish, len(keys) * self.maker.item_bytes(self.val_faces))

    def examples(self) -> tuple[Batch, list[str]] | None:
        """A fixed batch for the picture grid: validation faces, or training faces where there are none; spread over the people."""
        if not self.config.pictures:
            return None
        faces = self.val_faces if self.val_faces.entries else self.faces
        dataset = self.dataset(faces, "picture")
        chosen = np.unique(np.linspace(0, len(faces) - 1, self.config.pictures).astype(int))
        batch = self.maker.finish(self.maker.collate([dataset[0, int(sample)] for sample in chosen]))
        return (batch, [faces.entries[sample].name for sample in batch.samples]) if len(batch) else None

    def describe(self) -> dict[str, Any]:
        """For the record of the run."""
        train, val = self.faces, self.val_faces
        return {
            "fingerprint": self.fingerprint,
            "folders": self.config.data,
            "train_faces": len(train),
            "train_videos": train.videos,
            "val_faces": len(val),
            "val_videos": val.videos,
            **({} if self.fakes is None else {"train_fakes": len(self.fakes)}),
            **({} if self.val_fakes is None else {"val_fakes": len(self.val_fakes)}),
        }

    def dataset(self, faces: RealFaces, purpose: str) -> PairDataset | GivenDataset:
        """Items of the training or validation faces, by key; `purpose` as of `PairDataset`."""
        config = self.config
        options = (config.augment, config.seed, purpose)
        fakes = self.fakes if faces is self.faces else self.val_fakes
        return GivenDataset(faces, fakes, *options) if fakes is not None and fakes.entries else PairDataset(faces, *options)
