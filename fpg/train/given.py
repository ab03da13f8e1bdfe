"""Real faces and given fakes in the form of pairs, for training without self-blending (`--method real-fake`)."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

from fpg.augment import AugmentConfig, collate_pairs
from fpg.common.rng import stream
from fpg.data.dataset import Faces
from fpg.train.pairs import Key, PairDataset, PairMaker


class GivenDataset(Dataset[dict[str, Any]]):
    """Items like those of `PairDataset`, with a fake that preparation found: for each real face one, drawn evenly.

    Args:
        faces, fakes: of one split, both with at least one face.
        config, seed, purpose: as of `PairDataset`.
    """

    def __init__(self, faces: Faces, fakes: Faces, config: AugmentConfig, seed: int, purpose: str = "pair") -> None:
        self.number, self.seed, self.purpose = len(fakes), seed, purpose
        self.real = PairDataset(faces, config, seed, purpose)
        self.fake = PairDataset(fakes, config, seed, purpose, stream_name=f"{purpose} given")

    def __getitem__(self, key: Key) -> dict[str, Any]:
        epoch, sample = key
        chosen = int(stream(self.seed, self.purpose, "which fake", epoch, sample).integers(self.number))
        real, fake = self.real[key], self.fake[epoch, sample * self.number + chosen]
        failed = next((item for item in (real, fake) if "failure" in item), None)
        return failed or {**real, "prepared_fake": fake["prepared"]}


class GivenMaker(PairMaker):
    """Makes batches of `GivenDataset`, and of `PairDataset` as well.

    Given fakes are changed and cropped as the real half of self-blended pairs is, each with draws of its own, so that nothing but the
    forgery tells the halves apart. There is no mask: it is one everywhere, and the source is the fake itself.
    """

    def item_bytes(self, faces: Faces) -> int:
        """A real face and a fake one."""
        return 2 * super().item_bytes(faces)

    def _collated(self, items: list[dict[str, Any]]) -> Any:
        if "prepared_fake" not in items[0]:
            return super()._collated(items)
        return super()._collated(items), collate_pairs([item["prepared_fake"] for item in items])

    def _images(self, prepared: Any) -> dict[str, torch.Tensor]:
        if not isinstance(prepared, tuple | list):
            return super()._images(prepared)
        real, fake = (super(GivenMaker, self)._images(half)["real"] for half in prepared)
        return {"real": real, "fake": fake, "source": fake, "mask": torch.ones_like(real[:, :1])}
