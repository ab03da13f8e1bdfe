"""Nothing in a folder is skipped silently: what is skipped is named, links are followed, stills and frames are told apart, and data that
contradict themselves say so."""

from __future__ import annotations

import json
import os
from pathlib import Path

import makers
import numpy as np
import pytest
from PIL import Image

from fpg.cli import prepare as prepare_cli
from fpg.common.errors import InputError, UsageError
from fpg.common.kinds import SUFFIXES, foreign_kind, kind_by_name
from fpg.data.checks import FileTraits, compare_faces, compare_files, compare_manifest, compare_traits
from fpg.data.images import check_file
from fpg.data.layouts.base import Diagnostics, VideoSource
from fpg.data.layouts.pictures import one_series
from fpg.data.manifest import FaceRow, Manifest, VideoRecord
from fpg.data.sources import survey
from fpg.data.walk import walk


def inbox(root: Path) -> Path:
    """A folder as a messenger leaves it."""
    (root / "clips").mkdir(parents=True)
    (root / "inbox" / ".cache").mkdir(parents=True)
    for name in ("own.mp4", "x.qt", "photo.jfif", "IMG_1.DNG", "p.psd", "talk.mp3", "a.pdf", "b.zip", "notes", "odd.xyz", ".DS_Store"):
        (root / "inbox" / name).write_bytes(b"1")
    (root / "clips" / "a.mp4").write_bytes(b"1")
    (root / "inbox" / "linked").symlink_to("../clips")
    (root / "inbox" / "dangling.mp4").symlink_to("nowhere.mp4")
    (root / "clips" / "back").symlink_to("../inbox")  # a loop
    os.mkfifo(root / "inbox" / "pipe.mp4")
    return root / "inbox"


def test_a_walk_names_everything(tmp_path: Path) -> None:
    folder = inbox(tmp_path)
    found = walk(folder)
    assert [str(p.relative_to(folder)) for p in found.media] == ["linked/a.mp4", "own.mp4", "photo.jfif", "x.qt"]
    assert {(Path(e.path).name, e.code) for e in found.unusable} == {
        ("IMG_1.DNG", "unsupported"),
        ("p.psd", "unsupported"),
        ("dangling.mp4", "missing"),
    }
    assert {(s.path.name, s.reason) for s in found.skipped} == {
        (".DS_Store", "hidden"),
        (".cache", "hidden"),
        ("a.pdf", "document"),
        ("back", "folder reached before"),
        ("b.zip", "archive"),
        ("notes", "file without a suffix"),
        ("odd.xyz", ".xyz"),
        ("pipe.mp4", "pipe or device"),
        ("talk.mp3", "audio"),
    }
    assert found.summary().startswith("12 not judged: 2 hidden, 1 .dng, 1 .psd, 1 .xyz, ")
    entries = len(os.listdir(folder)) - 1 + 2  # not the linked folder, but what is in it
    assert len(found.media) + len(found.unusable) + len(found.skipped) == entries


def test_an_empty_summary_and_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"1")
    assert walk(tmp_path).summary() == ""
    with pytest.raises(InputError) as caught:
        walk(tmp_path / "none")
    assert caught.value.code == "missing"


def test_the_table_of_kinds() -> None:
    names = [suffix for suffixes in SUFFIXES.values() for suffix in suffixes]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and name.startswith(".") for name in names)
    assert (kind_by_name("a/B.HeIc"), kind_by_name("x.mp4"), kind_by_name("none")) in (
        (("unread image"), "video", ""),
        ("image", "video", ""),
    )


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"%PDF-1.7\n", "a PDF document"),
        (b"PK\x03\x04\x14\x00", "an archive (ZIP), or an Office document"),
        (b"ID3\x04", "audio (MP3)"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio (WAV)"),
        (bytes(257) + b"ustar", "an archive (tar)"),
        (b"\x7fELF", "a program (ELF)"),
    ],
)
def test_inputs_of_the_wrong_kind_are_named_by_what_they_are(tmp_path: Path, start: bytes, what: str) -> None:
    for name in ("a.mp4", "a.jpg"):
        (tmp_path / name).write_bytes(start + bytes(100))
        with pytest.raises(InputError, match="neither a picture nor a video") as caught:
            check_file(tmp_path / name)
        assert caught.value.reason.startswith(f"is {what}")
        assert caught.value.code == "not_media"


def test_pictures_and_videos_have_no_foreign_kind(tmp_path: Path) -> None:
    for path in (Path(__file__).parents[1] / "data" / "fuzz").glob("*/*"):
        if path.parent.name in ("images", "videos"):
            assert foreign_kind(path) == "", path


@pytest.mark.parametrize(
    ("names", "series"),
    [
        (["000", "001", "017"], True),
        (["frame_2", "frame_10"], True),
        (["v1_000", "v1_005"], True),
        (["a_0", "b_1"], False),
        (["a1_0", "a2_1"], False),
        (["001", "1"], False),
        (["kxqz", "abcd"], False),
        (["x", "x2"], False),
    ],
)
def test_series_of_names(names: list[str], series: bool) -> None:
    assert one_series(names) is series


def tree(root: Path, names: list[str], sizes: list[tuple[int, int]]) -> Path:
    for label in ("real", "fake"):
        (root / label / "m").mkdir(parents=True)
        for name, (width, height) in zip(names, sizes, strict=True):
            Image.fromarray(makers.picture(width, height)).save(root / label / "m" / name)
    return root


@pytest.mark.parametrize(
    ("names", "sizes", "asked", "kinds"),
    [
        (["0.png", "1.png", "2.png"], [(96, 80)] * 3, "auto", ["frames"]),
        (["0.png", "1.png", "2.png"], [(96, 80)] * 3, "stills", ["image"] * 3),
        (["aa.png", "bb.png", "cc.png"], [(96, 80)] * 3, "auto", ["image"] * 3),
        (["aa.png", "bb.png", "cc.png"], [(96, 80)] * 3, "frames", ["frames"]),
        (["0.png", "1.png", "2.png"], [(96, 80), (97, 80), (96, 81)], "auto", ["image"] * 3),
    ],
)
def test_stills_and_frames_are_told_apart(
    tmp_path: Path, names: list[str], sizes: list[tuple[int, int]], asked: str, kinds: list[str]
) -> None:
    found = survey(tree(tmp_path / "d", names, sizes), images=asked)
    assert [s.kind for s in found.require() if s.label == 1] == kinds
    (said,) = [f for f in found.findings if f.code == "images_read_as"]
    assert ("frames of one video" in said.text) == (kinds == ["frames"])
    assert "--images" in said.text
    assert any("--images" in line for line in found.warnings())
    with pytest.raises(UsageError):
        survey(tmp_path, images="both")


def test_what_a_data_set_holds_besides_is_counted(tmp_path: Path) -> None:
    tree(tmp_path / "d", ["a.png", "b.png"], [(96, 80)] * 2)
    (tmp_path / "d" / "real" / "talk.mp3").write_bytes(b"1")
    (tmp_path / "d" / "real" / "new.jxl").write_bytes(b"1")
    found = survey(tmp_path / "d")
    assert any(f.code == "not_read" and f.path.endswith("new.jxl") for f in found.findings)
    assert any("1 not judged: 1 audio" in line for line in found.warnings())


def test_one_file_under_two_labels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("r1.mp4", "f1.mp4"):
        makers.write_video(tmp_path / name, 4)
    (tmp_path / "link.mp4").symlink_to("r1.mp4")
    for second in ("r1.mp4", "./r1.mp4", "link.mp4"):
        (tmp_path / "d.csv").write_text(f"path,label\nr1.mp4,real\n{second},fake\nf1.mp4,fake\n")
        with pytest.raises(InputError, match=r"is listed as real .* and as fake"):
            survey(tmp_path / "d.csv").require()
    assert prepare_cli.main([str(tmp_path / "d.csv"), str(tmp_path / "out"), "--workers", "0", "--quiet"]) == 1
    assert "is listed as real" in capsys.readouterr().err


def test_one_file_in_two_splits_is_said(tmp_path: Path) -> None:
    makers.write_video(tmp_path / "a.mp4", 4)
    (tmp_path / "d.csv").write_text("path,label,split,method\na.mp4,fake,train,x\na.mp4,fake,test,y\n")
    assert any("is in two splits" in line for line in survey(tmp_path / "d.csv").warnings())


def sources(tmp_path: Path, contents: list[tuple[int, str, bytes]], suffix: str = ".mp4") -> list[VideoSource]:
    found = []
    for number, (label, split, content) in enumerate(contents):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(content)
        found.append(VideoSource("d", "m" if label else "", str(number), label, split, path, "video"))
    return found


def test_the_same_bytes_in_two_classes_or_splits(tmp_path: Path) -> None:
    findings = Diagnostics()
    compare_files(sources(tmp_path, [(0, "train", b"same"), (1, "train", b"same"), (0, "test", b"same"), (0, "test", b"else")]), findings)
    assert ["labels" in f.text for f in findings.items] == [True, False]
    assert ["splits" in f.text for f in findings.items] == [False, True]


def test_classes_that_differ_by_one_property(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)

    def traits(real: tuple[str, int, float], fake: tuple[str, int, float]) -> list[str]:
        findings = Diagnostics()
        made = [
            FileTraits(label, suffix, side + int(rng.integers(0, 3)), side, density * float(rng.uniform(0.9, 1.1)))
            for label, (suffix, side, density) in ((0, real), (1, fake))
            for _ in range(10)
        ]
        compare_traits(made, findings)
        return [f.code for f in findings.items]

    assert traits((".mp4", 100, 0.1), (".mp4", 100, 0.1)) == []
    assert traits((".mp4", 100, 0.1), (".avi", 100, 0.1)) == ["classes_differ_by_format"]
    assert traits((".mp4", 100, 0.1), (".mp4", 200, 0.1)) == ["classes_differ_by_size"]
    assert traits((".mp4", 100, 0.1), (".mp4", 100, 0.2)) == ["classes_differ_by_bytes_per_pixel"]


def test_a_class_without_faces_is_said() -> None:
    findings = Diagnostics()
    compare_faces([(0, True)] * 9 + [(0, False)] * 3 + [(1, True)] * 10, findings)
    assert [f.text.split(":")[0] for f in findings.items] == ["3 of 12 real inputs (25%) have no face, 0 of 10 fake ones"]
    findings = Diagnostics()
    compare_faces([(0, True)] * 40 + [(0, False)] * 2 + [(1, True)] * 10, findings)
    assert findings.items == []


def test_one_crop_in_two_classes_is_said(tmp_path: Path) -> None:
    points = np.zeros((68, 2), np.float32)

    def row(label: int, method: str) -> FaceRow:
        return FaceRow("d", method, "v", 0, 0.0, 0, label, "test", f"{method}.png", (0, 0), (9, 9), (9, 9), points[0], points, 1.0, crc32=5)

    videos = [VideoRecord("d", m, "v", label, "test", "/v.mp4", "prepared") for label, m in ((0, ""), (1, "x"))]
    findings = Diagnostics()
    compare_manifest(Manifest(tmp_path, [row(0, ""), row(1, "x")], videos), findings)
    assert ["real in test and fake in test" in f.text for f in findings.items] == [True]


def test_prepare_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import fpg.data.prepare as module

    defaults = {**(module.prepare.__kwdefaults__ or {}), "analyzer": makers.ColourAnalyzer}
    monkeypatch.setattr(module.prepare, "__kwdefaults__", defaults)
    root = tree(tmp_path / "d", ["a.png", "b.png"], [(96, 80)] * 2)
    for name in ("c.png", "e.png", "f.png"):
        Image.fromarray(makers.picture(96, 80, None)).save(root / "real" / "m" / name)
    prepare_cli.main([str(root), str(tmp_path / "out"), "--workers", "0", "--frames", "2"])
    said = " ".join(capsys.readouterr().err.split())
    assert "read as stills" in said
    assert "3 of 5 real inputs (60%) have no face, 0 of 2 fake ones" in said
    assert "have different labels" in said
    assert json.loads((tmp_path / "out" / "prepare.json").read_text())["frames"] == 2
