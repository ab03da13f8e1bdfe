"""Any data set of real faces as a data set of self-blended pairs (SBI, CVPR 2022, as FPG uses it), for training loops of all kinds."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch.utils.data import Dataset

from fpg.common.rng import stream
from fpg.pairs.batch import PreparedPair, prepare_pair
from fpg.pairs.donor import DonorFace, choose_donor
from fpg.pairs.draws import AugmentConfig, PairParams, draw_pair
from fpg.pairs.geometry import mirror_landmarks


class FaceSource(Protocol):
    """Real faces by index; `fpg.data.dataset.RealFaces` is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[np.ndarray, np.ndarray, Any]:
        """Image uint8 [H, W, 3], RGB; landmarks [68 or 81, 2] and face box (x0, y0, x1, y1) in its pixels."""
        ...


@runtime_checkable
class IdentifiedFaces(FaceSource, Protocol):
    """Faces of which it is known, without reading an image, where their landmarks are and which person they show."""

    def landmarks(self, index: int) -> np.ndarray:
        """[68 or 81, 2] in pixels of the image."""
        ...

    def person(self, index: int) -> Any:
        """Equal for faces of one person, as far as that is known."""
        ...


class SelfBlendDataset(Dataset[PreparedPair]):
    """Reads faces and prepares their pairs; give `collate_pairs` to the DataLoader, and its batches to `SelfBlend`.

    Draws are keyed by seed, epoch and sample: they do not depend on workers, batches or order. A sample is an index, in the epoch that
    `set_epoch` has set last, also for workers that run already; or a pair (epoch, sample), in which the sample may exceed the number of
    faces and starts again at the first.

    Args:
        faces: where pairs come from.
        config: the method's constants by default.
        seed: of all draws.
        purpose: name of the random stream; another one gives other pairs.
        training: False for validation: not mirrored, the evaluation crop's margins.
    """

    def __init__(
        self, faces: FaceSource, config: AugmentConfig | None = None, *, seed: int = 0, purpose: str = "pair", training: bool = True
    ) -> None:
        self.faces, self.config, self.seed, self.purpose, self.training = faces, config or AugmentConfig(), seed, purpose, training
        self._epoch = torch.zeros((), dtype=torch.int64, device="cpu").share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Other draws for the same faces from now on; call it before iterating over the loader."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, key: int | tuple[int, int]) -> PreparedPair:
        """One face, read and prepared.

        Raises:
            IndexError: an index outside the faces.
            ValueError: a face that no pair can be made of; the message says which sample, and why.
        """
        epoch, sample = key if isinstance(key, tuple) else (int(self._epoch), range(len(self.faces))[key])
        params = draw_pair(stream(self.seed, self.purpose, epoch, sample), self.config, training=self.training)
        face = self.faces[sample % len(self.faces)]
        try:
            return prepare_pair(*face, params, self._donor(sample % len(self.faces), params))
        except ValueError as error:
            raise ValueError(f"sample {sample}: {error}") from error

    def _donor(self, index: int, params: PairParams) -> DonorFace | None:
        if params.donor is None:
            return None
        faces = self.faces
        if not isinstance(faces, IdentifiedFaces):
            raise TypeError("augment.donor: expected faces with `landmarks` and `person`, by which a donor is chosen")
        person = faces.person(index)
        landmarks = faces.landmarks(index)
        if params.mirror:
            landmarks = mirror_landmarks(landmarks, 0)
        chosen = choose_donor(landmarks, params.donor, len(faces), faces.landmarks, lambda other: faces.person(other) == person)
        return None if chosen is None else DonorFace(*faces[chosen][:2])
