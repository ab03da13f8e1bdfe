"""Real faces and given fakes in the form of pairs, for training without self-blending (`--method real-fake`)."""

from __future__ import annotations

import dataclasses

import torch
from torch.utils.data import Dataset

from fpg.common.rng import stream
from fpg.data.dataset import FaceDataset
from fpg.pairs import AugmentConfig, Pairs, PreparedBatch, collate_pairs
from fpg.train.pairs import Key, PairDataset, PairMaker, PreparedSample, Unusable


class GivenDataset(Dataset[PreparedSample | Unusable]):
    """Items like those of `PairDataset`, with a fake that preparation found: for each real face one, drawn evenly.

    Args:
        faces, fakes: of one split, both with at least one face.
        config, seed, purpose: as of `PairDataset`.
    """

    def __init__(self, faces: FaceDataset, fakes: FaceDataset, config: AugmentConfig, seed: int, purpose: str = "pair") -> None:
        self.number, self.seed, self.purpose = len(fakes), seed, purpose
        self.real = PairDataset(faces, config, seed, purpose)
        self.fake = PairDataset(fakes, config, seed, purpose, stream_name=f"{purpose} given")

    def __getitem__(self, key: Key) -> PreparedSample | Unusable:
        epoch, sample = key
        chosen = int(stream(self.seed, self.purpose, "which fake", epoch, sample).integers(self.number))
        real, fake = self.real[key], self.fake[epoch, sample * self.number + chosen]
        if isinstance(real, Unusable):
            return real
        return fake if isinstance(fake, Unusable) else dataclasses.replace(real, fake=fake.prepared)


class GivenMaker(PairMaker):
    """Makes batches of `GivenDataset`, and of `PairDataset` as well.

    Given fakes are changed and cropped as the real half of self-blended pairs is, each with draws of its own, so that nothing but the
    forgery tells the halves apart. There is no mask: it is one everywhere, and the source is the fake itself.
    """

    def item_bytes(self, faces: FaceDataset) -> int:
        """A real face and a fake one."""
        return 2 * super().item_bytes(faces)

    def _collate_fakes(self, items: list[PreparedSample]) -> PreparedBatch | None:
        fakes = [item.fake for item in items if item.fake is not None]
        return collate_pairs(fakes) if fakes else None

    def _pairs(self, prepared: PreparedBatch, fakes: PreparedBatch | None) -> Pairs:
        if fakes is None:
            return super()._pairs(prepared, None)
        real, fake = (self._blend(half).real for half in (prepared, fakes))
        return Pairs(fake=fake, real=real, source=fake, mask=torch.ones_like(real[:, :1]))
