"""Any data set of faces as a data set of pairs, and the examples of docs/augmentation.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from fpg.pairs import Pairs, SelfBlend, SelfBlendDataset, collate_pairs, make_pair

EXAMPLES = Path(__file__).parents[2] / "docs" / "augmentation.md"


class Portraits:
    """Five faces in smooth noise."""

    def __init__(self, landmarks: np.ndarray) -> None:
        low, high = landmarks[:68].min(0), landmarks[:68].max(0)
        self.landmarks = (landmarks - low) / (high - low) * (60, 70) + (30, 60)
        self.broken: int | None = None

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        noise = np.random.default_rng(index).integers(0, 256, (16, 12, 3), np.uint8)
        image = cv2.resize(noise, (120 + index, 160), interpolation=cv2.INTER_CUBIC)
        landmarks = self.landmarks * (np.nan if index == self.broken else 1)
        return image, landmarks, (28.0, 40.0, 92.0, 132.0)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def faces(vectors: Path) -> Portraits:
    return Portraits(np.load(vectors / "hulls.npz")["lm0"])


def batches(dataset: SelfBlendDataset, workers: int = 0) -> list[Pairs]:
    blend = SelfBlend(size=32)
    loader = DataLoader(dataset, batch_size=2, num_workers=workers, collate_fn=collate_pairs)
    return [blend(prepared) for prepared in loader]


def same(a: list[Pairs], b: list[Pairs]) -> bool:
    return all(torch.equal(x, y) for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True))


def test_draws_depend_on_seed_epoch_and_sample_alone(faces: Portraits) -> None:
    dataset = SelfBlendDataset(faces, seed=3)
    assert len(dataset) == 5
    first = batches(dataset)
    assert [len(batch.fake) for batch in first] == [2, 2, 1]
    assert same(first, batches(dataset, workers=2))
    assert not same(first, batches(SelfBlendDataset(faces, seed=4)))
    assert not same(first, batches(SelfBlendDataset(faces, seed=3, purpose="other")))
    dataset.set_epoch(1)
    second = batches(dataset)
    assert not same(first, second)
    blend = SelfBlend(size=32)
    assert same([blend(collate_pairs([dataset[1, 0], dataset[1, 1]]))], second[:1])
    assert same([blend(collate_pairs([dataset[0, 5]]))], [blend(collate_pairs([dataset[0, 5]]))])
    assert not same([blend(collate_pairs([dataset[0, 5]]))], [blend(collate_pairs([dataset[0, 0]]))])


def test_the_epoch_reaches_workers_that_run_already(faces: Portraits) -> None:
    dataset = SelfBlendDataset(faces, seed=3)
    loader = DataLoader(dataset, batch_size=5, num_workers=1, collate_fn=collate_pairs, persistent_workers=True)
    blend = SelfBlend(size=32)
    for epoch in (0, 1, 2):
        dataset.set_epoch(epoch)
        expected = [blend(collate_pairs([dataset[epoch, sample] for sample in range(5)]))]
        assert same([blend(prepared) for prepared in loader], expected)


def test_validation_pairs_are_not_mirrored_and_take_the_evaluation_crop(faces: Portraits) -> None:
    dataset = SelfBlendDataset(faces, seed=3, training=False)
    params = [dataset[sample].plan.params for sample in range(5)]
    assert not any(p.mirror for p in params)
    assert {p.crop for p in params} == {(0.5, 0.5, 0.5, 0.5)}
    pairs = make_pair(*faces[2], params[2], size=16)  # type: ignore[arg-type]
    assert pairs.real.shape == (1, 3, 16, 16)


def test_errors(faces: Portraits) -> None:
    faces.broken = 2
    dataset = SelfBlendDataset(faces)
    with pytest.raises(ValueError, match="sample 7: landmarks: expected finite"):
        dataset[0, 7]
    with pytest.raises(IndexError):
        dataset[5]
    assert dataset[-1].plan.size == dataset[4].plan.size


def test_the_examples_run(faces: Portraits) -> None:
    """Both code blocks of the page, word for word, on CPU."""
    blocks = re.findall(r"```python\n(.*?)```", EXAMPLES.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 2
    images, landmarks, boxes = zip(*(faces[index] for index in range(2)), strict=True)
    names: dict[str, Any] = {"images": images, "landmarks": landmarks, "boxes": boxes, "faces": faces}
    for block in blocks:
        exec(compile(block, str(EXAMPLES), "exec"), names)
    assert names["pairs"].fake.shape == (1, 3, 64, 64)
    assert names["epoch"] == 1
    assert torch.isfinite(names["loss"])
