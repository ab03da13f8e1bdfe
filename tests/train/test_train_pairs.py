"""Which faces are used, in which order, with which draws; and what becomes of faces that cannot be used."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fpg.common.crops import EVALUATION_DRAW
from fpg.common.errors import InputError
from fpg.data.dataset import RealFaces, data_fingerprint
from fpg.data.manifest import FaceRow
from fpg.pairs import AugmentConfig
from fpg.train.pairs import Batch, BatchSchedule, PairDataset, PairMaker, ReadBatch, loader, usable_workers


def pairs(dataset: PairDataset, keys: list[tuple[int, int]], size: int = 64) -> Batch:
    maker = PairMaker(AugmentConfig(), size, torch.device("cpu"))
    return maker.finish(maker.collate([dataset[key] for key in keys]))


def test_real_faces_of_the_split_evenly_spaced(prepare: Callable[..., Path]) -> None:
    def change(rows: list[FaceRow]) -> list[FaceRow]:
        second = [dataclasses.replace(rows[0], face=1)]
        fakes = [dataclasses.replace(rows[1], label=1, method="swap", video="f")]
        return rows + second + fakes

    root = prepare(change=change, frames=5)
    faces = RealFaces([root], "train", 3)
    assert len(faces) == 12
    assert faces.videos == 4
    assert faces.fakes == 1
    assert [entry.row.frame for entry in faces.entries[:3]] == [0, 20, 40]
    assert {(entry.row.label, entry.row.face, entry.row.split) for entry in faces.entries} == {(0, 0, "train")}
    assert len(RealFaces([root], "val", 100)) == 10
    both = RealFaces([root, prepare("second")], "train", 3)
    assert (len(both), both.videos) == (24, 8)


def test_vanished_crops_are_an_error_at_the_start(prepare: Callable[..., Path]) -> None:
    root = prepare()
    for name in ("1_0.png", "1_1.png"):
        (root / "crops/train" / name).unlink()
    with pytest.raises(InputError, match=r"2 of 12 crops .* gone, the first is crops/train/1_0.png"):
        RealFaces([root], "train")


def test_fingerprint_follows_the_manifest(prepare: Callable[..., Path]) -> None:
    a, b = prepare("a"), prepare("b")
    c = prepare("c", change=lambda rows: rows[1:])
    assert data_fingerprint([a]) == data_fingerprint([b]) != data_fingerprint([c])
    with pytest.raises(InputError):
        data_fingerprint([a.parent / "nothing"])


def test_pairs_depend_on_seed_epoch_and_sample_alone(prepared: Path) -> None:
    faces = RealFaces([prepared], "train")
    one, other = (PairDataset(faces, AugmentConfig(), seed) for seed in (3, 4))
    again = PairDataset(RealFaces([prepared], "train"), AugmentConfig(), 3)
    for name in ("real", "fake", "source", "mask"):
        first = getattr(pairs(one, [(0, 5)]).pairs, name)
        assert first.dtype == torch.float32
        assert first.shape == (1, (1 if name == "mask" else 3), 64, 64)
        assert torch.equal(first, getattr(pairs(again, [(0, 5)]).pairs, name))
        assert torch.equal(first[0], getattr(pairs(one, [(0, 1), (0, 5)]).pairs, name)[1])
    fake = pairs(one, [(0, 5)]).pairs.fake
    assert not torch.equal(fake, pairs(one, [(1, 5)]).pairs.fake)
    assert not torch.equal(fake, pairs(other, [(0, 5)]).pairs.fake)
    assert not torch.equal(fake, pairs(one, [(0, 5 + len(faces))]).pairs.fake)


def test_validation_pairs_use_the_evaluation_crop(prepared: Path) -> None:
    faces = RealFaces([prepared], "val")
    dataset = PairDataset(faces, dataclasses.replace(AugmentConfig(), mirror_probability=1.0), 3, "val")
    batch = pairs(dataset, [(0, sample) for sample in range(6)])
    assert len({float(mask.gt(0).float().mean()) for mask in batch.pairs.mask}) > 1
    assert batch.pose[0].tolist() == [10.0, 0.0, 5.0]
    assert batch.pose[3].isnan().all()
    assert not any(dataset[0, sample].prepared.plan.params.mirror for sample in range(6))
    assert {dataset[0, sample].prepared.plan.params.crop for sample in range(6)} == {EVALUATION_DRAW}


def test_every_sample_once_per_epoch_in_another_order() -> None:
    schedule = BatchSchedule(samples=10, pairs=3, epochs=2, seed=1)
    batches = list(schedule)
    assert len(batches) == len(schedule) == 6
    first = [key for batch in batches[:3] for key in batch]
    second = [key for batch in batches[3:] for key in batch]
    assert {epoch for epoch, _ in first} == {0}
    assert len(set(first)) == 9
    assert [k for _, k in first] != [k for _, k in second]
    assert list(dataclasses.replace(schedule, start=(1, 1))) == batches[4:]
    assert list(dataclasses.replace(schedule, start=(0, 3))) == batches[3:]
    assert [len(batch) for batch in BatchSchedule(samples=2, pairs=3, epochs=1, seed=1)] == [2]


def test_unusable_faces_are_named_and_left_out(prepare: Callable[..., Path]) -> None:
    def change(rows: list[FaceRow]) -> list[FaceRow]:
        nan = rows[2].landmarks.copy()
        nan[7] = np.nan
        return [rows[0], rows[1], dataclasses.replace(rows[2], landmarks=nan), dataclasses.replace(rows[3], size=(9, 9)), *rows[4:]]

    root = prepare(change=change)
    (root / "crops/train/0_0.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (root / "crops/train/0_1.png").write_bytes(b"")
    faces = RealFaces([root], "train")
    batch = pairs(PairDataset(faces, AugmentConfig(), 0), [(0, sample) for sample in range(6)], 32)
    assert batch.samples == [4, 5]
    assert batch.pairs.real.shape == (2, 3, 32, 32)
    assert [failure.split(": ")[0] for failure in batch.failures] == [str(entry.path) for entry in faces.entries[:4]]
    assert "expected finite" in batch.failures[2]
    assert "expected 9 x 9" in batch.failures[3]


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_workers_make_the_same_batches(prepared: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setenv("FPG_BACKEND", backend)
    dataset = PairDataset(RealFaces([prepared], "train"), AugmentConfig(), 7)
    maker = PairMaker(AugmentConfig(), 32, torch.device("cpu"))
    assert not (backend == "reference" and maker.at_training)
    schedule = BatchSchedule(samples=12, pairs=4, epochs=1, seed=7)
    expected = [maker.finish(batch) for batch in loader(dataset, maker, schedule, 0)]
    for batch, wanted in zip(loader(dataset, maker, schedule, 2), expected, strict=True):
        assert isinstance(batch, ReadBatch) == maker.at_training
        got = maker.finish(batch)
        assert got.samples == wanted.samples
        assert all(torch.equal(x, y) for x, y in zip(got.pairs, wanted.pairs, strict=True))


def test_what_a_face_takes_in_shared_memory(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = RealFaces([prepared], "train")
    maker = PairMaker(AugmentConfig(), 64, torch.device("cpu"))
    batch = maker.collate([PairDataset(faces, AugmentConfig(), 7)[0, sample] for sample in range(6)])
    sent = [batch.prepared.windows.data] if isinstance(batch, ReadBatch) and batch.prepared else list(maker.finish(batch).pairs)
    assert sum(tensor.nbytes for tensor in sent) <= 6 * maker.item_bytes(faces)
    monkeypatch.setenv("FPG_BACKEND", "reference")
    assert PairMaker(AugmentConfig(), 64, torch.device("cpu")).item_bytes(faces) == 4 * 10 * 64 * 64


def test_too_little_shared_memory_means_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**26, 0, 2**26))
    assert usable_workers(2, 2**24) == 0
    assert usable_workers(2, 2**20) == 2
    assert usable_workers(0, 2**24) == 0
