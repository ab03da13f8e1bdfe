"""`fpg-doctor data` on the miniature of every layout: each fault that is planted there is found, by code and by file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import miniatures
import numpy as np
import pytest

from fpg.data.doctor import DataReport, examine_data

Fault = Callable[[Path], None]


def look(path: Path) -> DataReport:
    return examine_data(path, estimate=0, workers=0, quiet=True)


def spoil(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(400))


@pytest.mark.parametrize("name", miniatures.BUILDERS)
def test_an_unreadable_file_and_a_copy_in_every_layout(name: str, tmp_path: Path) -> None:
    path = miniatures.BUILDERS[name](tmp_path / "set")
    first, *others = (Path(entry["path"]) for entry in look(path).listing)
    spoil(next(iter(sorted(first.iterdir()))) if first.is_dir() else first)
    videos = [p for p in others if p.is_file()]
    if len(videos) > 1:
        shutil.copy(videos[0], videos[1])
    report = look(path)
    found = {(f.code, Path(f.path)) for f in report.findings}
    assert ("unreadable", first) in found
    assert len(videos) < 2 or {("duplicate_content", p) for p in videos[:2]} & found
    assert not report.ok


def gone(*names: str) -> Fault:
    def fault(root: Path) -> None:
        for name in names:
            place = root / name
            assert place.exists()
            shutil.rmtree(place) if place.is_dir() else place.unlink()

    return fault


def text(name: str, content: str) -> Fault:
    return lambda root: (root / name).write_text(content, encoding="utf-8") and None  # type: ignore[func-returns-value]


def swapped(name: str, old: str, new: str) -> Fault:
    def fault(root: Path) -> None:
        content = (root / name).read_text(encoding="utf-8")
        assert old in content
        (root / name).write_text(content.replace(old, new), encoding="utf-8")

    return fault


def more(name: str) -> Fault:
    return lambda root: miniatures.put(root / name) and None  # type: ignore[func-returns-value]


def landmarks(name: str, shape: tuple[int, ...]) -> Fault:
    return lambda root: np.save(root / name, np.zeros(shape))


FF, PART = "original_sequences/youtube/c23", "train/dfdc_train_part_0/"
BENCH = "datasets/FaceForensics++/original_sequences/youtube/c23/"
LIST = "List_of_testing_videos.txt"


@pytest.mark.parametrize(
    ("name", "fault", "code", "file"),
    [
        ("ff", gone("val.json"), "split_file_missing", "val.json"),
        ("ff", text("val.json", "[["), "split_file_faulty", "val.json"),
        ("ff", gone(f"{FF}/videos/003.mp4"), "listed_not_on_disk", "003.mp4"),
        ("ff", more(f"{FF}/videos/555.mp4"), "not_in_split", "555.mp4"),
        ("ff", more(f"{FF}/videos/003.avi"), "duplicate_id", "003"),
        ("sbi_tree", landmarks(f"{FF}/landmarks/003/001.npy", (1, 12, 2)), "face_files", "003.mp4"),
        ("dfd", gone("original_sequences"), "one_class", ""),
        ("celeb_v1", gone(LIST), "split_file_missing", LIST),
        ("celeb_v1", text(LIST, "7 Celeb-real/id1_0000.mp4\n"), "split_file_faulty", LIST),
        ("celeb_v2", gone("Celeb-real/id1_0000.mp4"), "listed_not_on_disk", "id1_0000.mp4"),
        ("celeb_v2", swapped(LIST, "0 Celeb-synthesis", "1 Celeb-synthesis"), "label_contradiction", LIST),
        ("celeb_v2", more("Celeb-real/id0_0000.avi"), "duplicate_id", "id0_0000"),
        ("celeb_pp", gone(LIST), "split_file_missing", LIST),
        ("celeb_pp", gone("Celeb-synthesis/TalkingFace/SadTalker/id1_id0_0000.mp4"), "listed_not_on_disk", "id1_id0_0000.mp4"),
        ("dfdc", swapped("labels.csv", "bbb.mp4,1", "bbb.mp4,maybe"), "label_faulty", "labels.csv"),
        ("dfdc", gone("videos/bbb.mp4"), "listed_not_on_disk", "bbb.mp4"),
        ("dfdc", more("videos/zzz.mp4"), "not_listed", "zzz.mp4"),
        ("dfdc_parts", gone(PART + "metadata.json"), "label_file_missing", "metadata.json"),
        ("dfdc_parts", swapped(PART + "metadata.json", "REAL", "PERHAPS"), "label_faulty", "metadata.json"),
        ("dfdc_parts", gone(PART + "aaa.mp4"), "listed_not_on_disk", "aaa.mp4"),
        ("dfdcp", gone("dataset.json"), "split_file_missing", "dataset.json"),
        ("dfdcp", text("dataset.json", "[1]"), "split_file_faulty", "dataset.json"),
        ("dfdcp", swapped("dataset.json", '"real"', '"fake"'), "label_contradiction", "dataset.json"),
        ("dfdcp", gone("method_B/1224068_C_002.mp4"), "listed_not_on_disk", "1224068_C_002.mp4"),
        ("ffiw", gone("FFIW10K-v1-release/source/train/vid_1.mp4"), "unpaired", "vid_1"),
        ("ffiw", more("FFIW10K-v1-release/source/train/vid_1.avi"), "duplicate_id", "vid_1"),
        ("deeperforensics", gone("lists/splits/val.txt"), "split_file_missing", "val.txt"),
        ("deeperforensics", text("lists/splits/val.txt", "what is this\n"), "split_file_faulty", "val.txt"),
        ("deeperforensics", text("lists/splits/val.txt", "000_M101.mp4\n"), "split_conflict", ""),
        ("deeperforensics", gone("manipulated_videos/end_to_end/001_W102.mp4"), "listed_not_on_disk", "001_W102.mp4"),
        ("deeperforensics", more("manipulated_videos/end_to_end/777_M777.mp4"), "not_in_split", "777_M777.mp4"),
        ("wild", gone("real_test"), "folder_missing", "real_test"),
        ("df40", gone("heygen/real"), "one_class", ""),
        ("uadfv", gone("real/0000.mp4"), "one_class", ""),
        ("uadfv", more("real/0000.avi"), "duplicate_id", "0000"),
        ("deepfakebench", text("FF-DF.json", "{"), "unreadable", "FF-DF.json"),
        ("deepfakebench", gone(BENCH + "frames/000"), "listed_not_on_disk", "000"),
        ("deepfakebench", gone(BENCH + "frames/000/001.png"), "frames_missing", "000"),
        ("deepfakebench", swapped("FF-DF.json", '"label": "FF-DF"', '"label": "somewhat"'), "label_faulty", "FF-DF.json"),
        ("deepfakebench", landmarks(BENCH + "landmarks/000/001.npy", (7, 2)), "face_files", "000"),
        ("csv", swapped("list.csv", "v/b.mp4,fake", "v/b.mp4,2"), "unreadable", "list.csv"),
        ("csv", gone("v/c.mp4"), "listed_not_on_disk", "c.mp4"),
        ("real_fake", more("test/real/a.avi"), "duplicate_id", "a"),
    ],
)
def test_each_planted_fault_is_found(name: str, fault: Fault, code: str, file: str, tmp_path: Path) -> None:
    path = miniatures.BUILDERS[name](tmp_path / "set")
    before = {f.code for f in look(path).findings}
    fault(path if path.is_dir() else path.parent)
    found = [f for f in look(path).findings if f.code == code]
    assert code not in before
    assert [f for f in found if file in Path(f.path).name], json.dumps([f.__dict__ for f in look(path).findings], indent=1)
