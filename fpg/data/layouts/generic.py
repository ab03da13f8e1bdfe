"""Layouts without a data set of their own: a CSV, folders `real/` and `fake/`, a tree of frames and landmarks, any folder or file."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fpg.common.errors import InputError
from fpg.data.images import IMAGE_SUFFIXES
from fpg.data.layouts.base import (
    LABEL_WORDS,
    SPLIT_WORDS,
    Diagnostics,
    Expected,
    VideoSource,
    clips,
    folders,
    identifier,
    is_media,
    kind_of,
    media,
    text_of,
)
from fpg.data.layouts.pictures import FolderReading, note_readings, read_as
from fpg.data.manifest import REAL
from fpg.data.video import VIDEO_SUFFIXES

_COLUMNS = ("path", "label", "split", "method")
_UNIQUE = LABEL_WORDS.keys() | SPLIT_WORDS.keys()


class CsvList:
    """A list `path,label[,split,method]`; paths are relative to the list; labels are real, fake, 0 or 1. Any other column is an attribute
    of the videos (`fpg.evaluate.attributes`)."""

    name = "csv"
    title = "a CSV with the columns path,label[,split,method]; paths relative to it"
    dataset = ""
    official: tuple[Expected, ...] = ()

    def matches(self, root: Path) -> bool:
        """A file whose name ends in `.csv`."""
        return root.is_file() and root.suffix.lower() == ".csv"

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """One source per line."""
        try:
            with open(root, newline="", encoding="utf-8-sig") as file:
                rows = list(csv.reader(file, strict=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(root, f"is not a readable CSV: {error}") from error
        header = [name.strip().lower() for name in rows[0]] if rows else []
        if "" in header or len(set(header)) < len(header) or not {"path", "label"} <= set(header):
            raise InputError(root, f"header: expected path,label[,split,method], got {','.join(header) or 'nothing'}")
        numbered = [(number, row) for number, row in enumerate(rows[1:], start=2) if any(cell.strip() for cell in row)]
        sources = [self._source(root, dataset, number, header, row) for number, row in numbered]
        repeated = [key for key, times in Counter(source.key for source in sources).items() if times > 1]
        if repeated:
            lines = [str(number) for (number, _), source in zip(numbered, sources, strict=True) if source.key == repeated[0]]
            raise InputError(root, f"lines {', '.join(lines)} are the same video ({'/'.join(filter(None, repeated[0]))})")
        for (number, _), source in zip(numbered, sources, strict=True):
            if not os.path.exists(source.path):
                findings.warning("listed_not_on_disk", source.path, f"line {number} of {root.name} names it, and it is not on disk")
        return sources

    @staticmethod
    def _source(path: Path, dataset: str, number: int, header: list[str], row: list[str]) -> VideoSource:
        if len(row) != len(header):
            raise InputError(path, f"line {number}: expected {len(header)} fields, got {len(row)}")
        values = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
        if not values["path"]:
            raise InputError(path, f"line {number}: path: expected a file, got nothing")
        label = LABEL_WORDS.get(values["label"].lower())
        if label is None:
            raise InputError(path, f"line {number}: label: expected real, fake, 0 or 1, got {values['label']!r}")
        split = values.get("split") or None
        if split is not None and split.lower() not in SPLIT_WORDS:
            raise InputError(path, f"line {number}: split: expected train, val or test, got {split!r}")
        listed = path.parent / values["path"]
        if not os.path.exists(listed):  # lists written on Windows
            listed = path.parent / values["path"].replace("\\", "/")
        video = os.path.splitext(os.path.normpath(values["path"].replace("\\", "/")))[0]
        method = values.get("method") or ("" if label == REAL else "fake")
        known = SPLIT_WORDS[split.lower()] if split else None
        attributes = {name: value for name, value in values.items() if name not in _COLUMNS and value}
        why = f"column split of {path.name}" if known else ""
        return VideoSource(dataset, method, video, label, known, listed, kind_of(listed), why=why, attributes=attributes)


class RealFake:
    """Folders `real/` and `fake/`, in any case of letters, with `train/`, `val/`, `test/` above or below them or not at all.

    A folder below them that holds images and no videos is one video of frames, or stills (`fpg.data.layouts.pictures`); an image directly
    in them is one input.
    """

    name = "real-fake"
    title = "folders real/ and fake/ of videos or images, with train/, val/, test/ above or below, or not at all"
    dataset = ""
    official: tuple[Expected, ...] = ()

    def __init__(self, images: str = "auto") -> None:
        self.images = images  # of `fpg.data.layouts.pictures.IMAGES`

    def matches(self, root: Path) -> bool:
        """A folder that has `real` or `fake` in its first two levels."""
        if not root.is_dir():
            return False
        names = folders(root, _UNIQUE)
        return any(name in ("real", "fake") for name in names) or any(
            below in ("real", "fake") for name, folder in names.items() if name in SPLIT_WORDS for below in folders(folder, _UNIQUE)
        )

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video under the labelled folders."""
        sources: list[VideoSource] = []
        pictures = _Pictures(self.images)
        for name, folder in _levels(root, root):
            if name in SPLIT_WORDS:
                for label, labelled in _levels(root, folder):
                    if label in SPLIT_WORDS:
                        raise InputError(labelled, "expected real/ or fake/ here, got a second split")
                    sources += self._labelled(dataset, label, SPLIT_WORDS[name], folder.name, labelled, pictures)
            else:
                splits = {key: below for key, below in folders(folder, _UNIQUE).items() if key in SPLIT_WORDS}
                for key, below in splits.items():
                    sources += self._labelled(dataset, name, SPLIT_WORDS[key], below.name, below, pictures)
                sources += self._labelled(dataset, name, None, "", folder, pictures, set(splits.values()))
        note_readings(root, pictures.taken, findings)
        return sources

    @staticmethod
    def _labelled(
        dataset: str, label: str, split: str | None, prefix: str, folder: Path, pictures: _Pictures, skip: set[Path] | None = None
    ) -> list[VideoSource]:
        value = LABEL_WORDS[label]
        method, why = "" if value == REAL else label, f"folder {prefix}/" if split else ""
        return [
            VideoSource(dataset, method, identifier(folder, path, kind, prefix), value, split, path, kind, why=why)
            for path, kind in media(folder, skip or set(), pictures)
        ]


class PreparedTree:
    """`frames/<video>/` with `landmarks/<video>/` (and `retina/`, `videos/`) next to them, as SBI and FPG prepare one class of videos."""

    name = "sbi-tree"
    title = "one class of videos as SBI and FPG prepare it: frames/, landmarks/, retina/ (and videos/); give --label"
    dataset = ""
    official: tuple[Expected, ...] = ()

    def matches(self, root: Path) -> bool:
        """A folder with `frames` and `landmarks`."""
        return root.is_dir() and {"frames", "landmarks"} <= folders(root).keys()

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Its videos; nothing says which label they have."""
        return [VideoSource(dataset, "", clip.id, None, None, clip.path, clip.kind) for clip in clips(root)]


class Plain:
    """A folder of videos, images and folders of frames, or one file. Nothing is known about labels."""

    name = "folder"
    title = "any folder of videos, images and folders of frames, or one file; nothing is known about labels"
    dataset = ""
    official: tuple[Expected, ...] = ()

    def __init__(self, images: str = "auto") -> None:
        self.images = images  # of `fpg.data.layouts.pictures.IMAGES`

    def matches(self, root: Path) -> bool:
        """Everything."""
        return True

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video and image; a folder below that holds images and no videos is one video of frames, or stills."""
        if not root.is_dir():
            return [VideoSource(dataset, "", text_of(root.stem), None, None, root, kind_of(root))]
        pictures = _Pictures(self.images)
        found = [
            VideoSource(dataset, "", identifier(root, path, kind), None, None, path, kind) for path, kind in media(root, None, pictures)
        ]
        note_readings(root, pictures.taken, findings)
        return found


class _Pictures:
    """Decides what folders of pictures are, and remembers it."""

    def __init__(self, asked: str) -> None:
        self.asked = asked
        self.taken: list[FolderReading] = []

    def __call__(self, folder: Path, images: list[Path]) -> bool:
        """Whether they are the frames of one video."""
        self.taken.append(read_as(folder, images, self.asked))
        return self.taken[-1].reading == "frames"


def _levels(root: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """The folders of one level that has to consist of label and split words; anything else with media in it is an error."""
    for name, below in folders(folder, _UNIQUE).items():
        if name in ("real", "fake") or name in SPLIT_WORDS:
            yield name, below
        elif stray := next(iter(media(below)), None):
            raise InputError(stray[0], f"has no label: expected it under real/ or fake/ of {root}")
    if files := sorted(p for p in folder.iterdir() if is_media(p, VIDEO_SUFFIXES | IMAGE_SUFFIXES)):
        raise InputError(files[0], f"has no label: expected it under real/ or fake/ of {root}")
