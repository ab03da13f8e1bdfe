"""What is found on disk, under which key, label and split; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fpg.common.errors import InputError, UsageError
from fpg.data.sources import VideoSource, find_sources, frame_files, split_of


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def brief(sources: list[VideoSource]) -> set[tuple[str, str, int | None, str | None, str]]:
    return {(s.method, s.video, s.label, s.split, s.kind) for s in sources}


def test_real_and_fake_folders(tmp_path: Path) -> None:
    touch(
        tmp_path / "mine",
        "real/a.mp4",
        "real/sub/b.AVI",
        "fake/a.mp4",
        "fake/c/1.png",
        "fake/c/2.png",
        "fake/d.jpg",
        "notes.txt",
        "real/.x.mp4",
    )
    sources = find_sources(tmp_path / "mine")
    assert brief(sources) == {
        ("", "a", 0, None, "video"),
        ("", "sub/b", 0, None, "video"),
        ("fake", "a", 1, None, "video"),
        ("fake", "c", 1, None, "frames"),
        ("fake", "d", 1, None, "image"),
    }
    assert {s.dataset for s in sources} == {"mine"}
    assert sources == sorted(sources, key=lambda s: s.key)
    assert find_sources(tmp_path / "mine", dataset="other", split="test")[0].dataset == "other"
    assert {s.split for s in find_sources(tmp_path / "mine", split="test")} == {"test"}


@pytest.mark.parametrize("order", ["split above", "split below"])
def test_splits_above_or_below_the_labels(tmp_path: Path, order: str) -> None:
    for split in ("Train", "val", "test"):
        for label in ("Real", "fake"):
            touch(tmp_path, f"{split}/{label}/a.mp4" if order == "split above" else f"{label}/{split}/a.mp4")
    sources = find_sources(tmp_path)
    assert brief(sources) == {
        (method, f"{split}/a", label, split, "video") for split in ("train", "val", "test") for method, label in (("", 0), ("fake", 1))
    }


def test_a_labelled_folder_may_mix_splits_and_videos(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.mp4", "real/test/b.mp4")
    assert brief(find_sources(tmp_path)) == {("", "a", 0, None, "video"), ("", "test/b", 0, "test", "video")}


def test_only_reals_will_do(tmp_path: Path) -> None:
    assert len(find_sources(touch(tmp_path, "real/a.mp4"))) == 1


@pytest.mark.parametrize("stray", ["original/b.mp4", "b.mp4", "train/b.mp4", "train/other/b.png"])
def test_media_without_a_label_are_refused(tmp_path: Path, stray: str) -> None:
    touch(tmp_path, "real/a.mp4", "train/fake/a.mp4", "docs/readme.md", stray)
    with pytest.raises(InputError, match=r"b\.(mp4|png): has no label"):
        find_sources(tmp_path)


def test_two_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="second split"):
        find_sources(touch(tmp_path, "train/real/a.mp4", "train/val/b.mp4"))


def test_two_spellings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has both Real/ and real/"):
        find_sources(touch(tmp_path, "real/a.mp4", "Real/b.mp4"))


def test_same_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.mp4: has the same name \(.*/a\) as .*a\.avi"):
        find_sources(touch(tmp_path, "real/a.mp4", "real/a.avi"))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find_sources(tmp_path / "no")
    with pytest.raises(InputError, match="holds no video and no image"):
        find_sources(tmp_path)
    (tmp_path / "real").mkdir()
    with pytest.raises(InputError, match="holds no video and no image"):
        find_sources(touch(tmp_path, "real/readme.txt"))


def test_plain_folder_and_files(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.png", "clip/1.jpg", "clip/2.jpg", "deep/er/c.mkv")
    assert brief(find_sources(tmp_path)) == {
        ("", "a", None, None, "video"),
        ("", "b", None, None, "image"),
        ("", "clip", None, None, "frames"),
        ("", "deep/er/c", None, None, "video"),
    }
    assert brief(find_sources(tmp_path / "a.mp4")) == {("", "a", None, None, "video")}
    assert brief(find_sources(tmp_path / "b.png")) == {("", "b", None, None, "image")}


def test_link_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.mp4")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    assert len(find_sources(tmp_path)) == 1


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    import os

    with open(os.fsencode(tmp_path) + b"/caf\xe9.mp4", "wb"):
        pass
    (source,) = find_sources(tmp_path)
    assert source.video == "caf\\xe9"
    assert source.path.exists()


def test_unknown_split_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected one of train, val, test"):
        find_sources(touch(tmp_path, "a.mp4"), split="dev")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_csv(tmp_path: Path) -> None:
    touch(tmp_path, "v/a.mp4", "v/b.mp4", "v/frames/1.png")
    path = write(
        tmp_path / "list.csv",
        "\ufeffpath, Label,split,method\nv/a.mp4,real,train,\nv/b.mp4,1,validation,swap\n\nv\\frames,FAKE,,\nv/gone.mp4,0,,\n",
    )
    sources = find_sources(path)
    assert brief(sources) == {
        ("", "v/a", 0, "train", "video"),
        ("swap", "v/b", 1, "val", "video"),
        ("fake", "v/frames", 1, None, "frames"),
        ("", "v/gone", 0, None, "video"),
    }
    assert {s.path for s in sources if s.path.exists()} == {tmp_path / "v/a.mp4", tmp_path / "v/b.mp4", tmp_path / "v/frames"}
    assert {s.dataset for s in sources} == {"list"}


def test_csv_absolute_paths(tmp_path: Path) -> None:
    touch(tmp_path, "v/a.mp4")
    (source,) = find_sources(write(tmp_path / "list.csv", f"label,path\n0,{tmp_path / 'v/a.mp4'}\n"))
    assert source.path == tmp_path / "v/a.mp4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header: expected path,label"),
        ("path,label\n", "holds no video"),
        ("file,label\na,real\n", "header: .* got file,label"),
        ("path,label,\na,real,1\n", "header"),
        ("path,label,label\na,real,1\n", "header"),
        ("path,label\na.mp4,real\nb.mp4,genuine\n", "line 3: label: expected real, fake, 0 or 1, got 'genuine'"),
        ("path,label,split\na.mp4,real,dev\n", "line 2: split: expected train, val or test, got 'dev'"),
        ("path,label\n,real\n", "line 2: path"),
        ("path,label\na.mp4\n", "line 2: expected 2 fields, got 1"),
        ("path,label\na.mp4,real\nb.mp4,real\n./a.mp4,real\n", "lines 2, 4 are the same video"),
        ('path,label\n"a.mp4,real\n', "not a readable CSV"),
    ],
)
def test_csv_errors_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_sources(write(tmp_path / "list.csv", text))


def test_csv_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"path,label\n\xff\xfe,real\n")
    with pytest.raises(InputError, match="not a readable CSV"):
        find_sources(tmp_path / "list.csv")


def test_splits_by_hash(tmp_path: Path) -> None:
    sources = [VideoSource("d", "", f"video{i}", 0, None, tmp_path, "video") for i in range(3000)]
    fractions = {name: sum(split_of(s) == name for s in sources) / 3000 for name in ("train", "val", "test")}
    assert fractions["train"] == pytest.approx(0.8, abs=0.03)
    assert fractions["val"] == pytest.approx(0.1, abs=0.02)
    assert fractions["test"] == pytest.approx(0.1, abs=0.02)
    fakes = [VideoSource("d", "swap", s.video, 1, None, tmp_path, "video") for s in sources[:50]]
    assert [split_of(s) for s in fakes] == [split_of(s) for s in sources[:50]]
    assert split_of(VideoSource("d", "", "x", 0, "test", tmp_path, "video")) == "test"


def test_frames_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "f10.png", "f2.png", "F1.PNG", "readme.txt", ".f0.png")
    assert [p.name for p in frame_files(tmp_path)] == ["F1.PNG", "f2.png", "f10.png"]
    (tmp_path / "f1²3.png").touch()  # a digit to Unicode, no number to int()
    assert [p.name for p in frame_files(tmp_path)] == ["F1.PNG", "f1²3.png", "f2.png", "f10.png"]
