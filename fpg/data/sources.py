"""What there is to prepare: from a folder, a list or a file to one `Source` per video.

Each way of lying on disk is one small class with `matches` and `find`, in `LAYOUTS` in the order in which they are tried:
a CSV, folders `real/` and `fake/` (with or without `train/`, `val/`, `test/` above or below them), a plain folder or file.
Named data sets join by adding their class. Videos are keyed by (data set, method, id).
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, Protocol

from fpg.common.errors import InputError, UsageError
from fpg.data.manifest import FAKE, REAL, SPLITS
from fpg.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES

Kind = Literal["video", "frames", "image"]

LABEL_WORDS = {"real": REAL, "fake": FAKE, "0": REAL, "1": FAKE}
SPLIT_WORDS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_COLUMNS = ("path", "label", "split", "method")


@dataclass(frozen=True)
class Source:
    """One video, folder of frames or image, and what is known about it before it is opened."""

    dataset: str
    method: str
    """Manipulation; `""` for real videos and where nothing is known."""
    video: str
    """Identifier within (data set, method): the relative path without suffix, with `/`."""
    label: int | None
    """0 real, 1 fake, None unknown."""
    split: str | None
    """`train`, `val`, `test`, or None: see `split_of`."""
    path: Path
    kind: Kind

    @property
    def key(self) -> tuple[str, str, str]:
        """(data set, method, video): what identifies a video."""
        return self.dataset, self.method, self.video


class Layout(Protocol):
    """One way in which people keep their videos."""

    def matches(self, path: Path) -> bool:
        """Whether `path` looks like this layout, without reading it all."""
        ...

    def find(self, path: Path, dataset: str) -> list[Source]:
        """Every video under `path`. Raises `InputError` for what is not as this layout has it."""
        ...


def find_sources(path: str | os.PathLike[str], *, dataset: str | None = None, split: str | None = None) -> list[Source]:
    """Find what is to be prepared, sorted by key.

    Args:
        path: a folder, a `.csv` list, a video or an image.
        dataset: name of the data set; the folder's or file's name if None.
        split: overrides the split of every source.

    Raises:
        InputError: nothing there, unknown labels or splits, or two files for one key. Files that a list names and that
            are missing are no error here: they fail by name when they are read.
        UsageError: an unknown `split`.
    """
    path = Path(path)
    if split is not None and split not in SPLITS:
        raise UsageError(f"split: expected one of {', '.join(SPLITS)}, got {split}")
    if not os.path.exists(path):
        raise InputError(path, "no such file or folder")
    layout = next(layout for layout in LAYOUTS if layout.matches(path))
    sources = sorted(layout.find(path, _text(dataset or path.resolve().stem) or "data"), key=lambda s: s.key)
    if not sources:
        raise InputError(path, "holds no video and no image")
    for first, second in pairwise(sources):
        if first.key == second.key:
            raise InputError(second.path, f"has the same name ({'/'.join(filter(None, second.key))}) as {first.path}")
    return [replace(source, split=split) for source in sources] if split else sources


def split_of(source: Source) -> str:
    """The split of a source: its own, or by hash 80 % train, 10 % val, 10 % test.

    The hash is over data set and id, not the method: a video and its manipulations of the same name fall together.
    """
    if source.split is not None:
        return source.split
    share = int.from_bytes(hashlib.sha256(f"{source.dataset}\0{source.video}".encode()).digest()[:4], "big") / 2**32
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"


class CsvList:
    """A list `path,label[,split,method]`; paths are relative to the list; labels are real, fake, 0 or 1."""

    def matches(self, path: Path) -> bool:
        """A file whose name ends in `.csv`."""
        return path.is_file() and path.suffix.lower() == ".csv"

    def find(self, path: Path, dataset: str) -> list[Source]:
        """One source per line."""
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                rows = list(csv.reader(file, strict=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(path, f"is not a readable CSV: {error}") from error
        header = [name.strip().lower() for name in rows[0]] if rows else []
        unknown = [name for name in header if name not in _COLUMNS]
        if unknown or len(set(header)) < len(header) or not {"path", "label"} <= set(header):
            raise InputError(path, f"header: expected path,label[,split,method], got {','.join(header) or 'nothing'}")
        numbered = [(number, row) for number, row in enumerate(rows[1:], start=2) if any(cell.strip() for cell in row)]
        sources = [self._source(path, dataset, number, header, row) for number, row in numbered]
        repeated = [key for key, times in Counter(source.key for source in sources).items() if times > 1]
        if repeated:
            lines = [str(number) for (number, _), source in zip(numbered, sources, strict=True) if source.key == repeated[0]]
            raise InputError(path, f"lines {', '.join(lines)} are the same video ({'/'.join(filter(None, repeated[0]))})")
        return sources

    @staticmethod
    def _source(path: Path, dataset: str, number: int, header: list[str], row: list[str]) -> Source:
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
        identifier = os.path.splitext(os.path.normpath(values["path"].replace("\\", "/")))[0]
        method = values.get("method") or ("" if label == REAL else "fake")
        return Source(dataset, method, identifier, label, SPLIT_WORDS[split.lower()] if split else None, listed, _kind(listed))


class RealFake:
    """Folders `real/` and `fake/`, in any case of letters, with `train/`, `val/`, `test/` above or below them or not at all.

    A folder below them that holds images and no videos is one video of frames; an image directly in them is one input.
    """

    def matches(self, path: Path) -> bool:
        """A folder that has `real` or `fake` in its first two levels."""
        if not path.is_dir():
            return False
        names = _folders(path)
        return any(name in ("real", "fake") for name in names) or any(
            below in ("real", "fake") for name, folder in names.items() if name in SPLIT_WORDS for below in _folders(folder)
        )

    def find(self, path: Path, dataset: str) -> list[Source]:
        """Every video under the labelled folders."""
        sources: list[Source] = []
        for name, folder in _levels(path, path):
            if name in SPLIT_WORDS:
                for label, labelled in _levels(path, folder):
                    if label in SPLIT_WORDS:
                        raise InputError(labelled, "expected real/ or fake/ here, got a second split")
                    sources += self._labelled(dataset, label, SPLIT_WORDS[name], folder.name, labelled)
            else:
                splits = {key: below for key, below in _folders(folder).items() if key in SPLIT_WORDS}
                for key, below in splits.items():
                    sources += self._labelled(dataset, name, SPLIT_WORDS[key], below.name, below)
                sources += self._labelled(dataset, name, None, "", folder, skip=set(splits.values()))
        return sources

    @staticmethod
    def _labelled(dataset: str, label: str, split: str | None, prefix: str, folder: Path, skip: set[Path] | None = None) -> list[Source]:
        value = LABEL_WORDS[label]
        found = _media(folder, skip or set())
        return [
            Source(dataset, "" if value == REAL else label, _identifier(folder, path, kind, prefix), value, split, path, kind)
            for path, kind in found
        ]


class Plain:
    """A folder of videos, images and folders of frames, or one file. Nothing is known about labels."""

    def matches(self, path: Path) -> bool:
        """Everything."""
        return True

    def find(self, path: Path, dataset: str) -> list[Source]:
        """Every video and image; a folder below that holds images and no videos is one video of frames."""
        if not path.is_dir():
            return [Source(dataset, "", _text(path.stem), None, None, path, _kind(path))]
        return [Source(dataset, "", _identifier(path, found, kind), None, None, found, kind) for found, kind in _media(path, set())]


LAYOUTS: tuple[Layout, ...] = (CsvList(), RealFake(), Plain())


def frame_files(folder: Path) -> list[Path]:
    """The images of a folder of frames in natural order (`2.png` before `10.png`)."""
    try:
        return sorted((p for p in folder.iterdir() if _is_media(p, IMAGE_SUFFIXES)), key=natural)
    except OSError as error:
        raise InputError(folder, error.strerror or str(error)) from error


def natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key by which `frame_2` comes before `frame_10`, whatever the case of letters."""
    parts = re.split(r"([0-9]+)", path.as_posix().lower())
    return [(0, int(part), "") if number % 2 else (1, 0, part) for number, part in enumerate(parts)], path.as_posix()


def _kind(path: Path) -> Kind:
    if os.path.isdir(path):
        return "frames"
    return "image" if path.suffix.lower() in IMAGE_SUFFIXES else "video"


def _is_media(path: Path, suffixes: frozenset[str]) -> bool:
    return path.suffix.lower() in suffixes and not path.name.startswith(".")


def _folders(path: Path) -> dict[str, Path]:
    """The folders directly in `path` by lower-case name."""
    names: dict[str, Path] = {}
    try:
        for folder in sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")):
            name = folder.name.lower()
            if name in names and (name in LABEL_WORDS or name in SPLIT_WORDS):
                raise InputError(path, f"has both {names[name].name}/ and {folder.name}/")
            names[name] = folder
    except OSError as error:
        raise InputError(path, error.strerror or str(error)) from error
    return names


def _levels(root: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """The folders of one level that has to consist of label and split words; anything else with media in it is an error."""
    names = _folders(folder)
    for name, below in names.items():
        if name in ("real", "fake") or name in SPLIT_WORDS:
            yield name, below
        elif stray := next(iter(_media(below, set())), None):
            raise InputError(stray[0], f"has no label: expected it under real/ or fake/ of {root}")
    if files := sorted(p for p in folder.iterdir() if _is_media(p, VIDEO_SUFFIXES | IMAGE_SUFFIXES)):
        raise InputError(files[0], f"has no label: expected it under real/ or fake/ of {root}")


def _media(root: Path, skip: set[Path]) -> list[tuple[Path, Kind]]:
    """Videos, images and folders of frames under `root`, sorted; links are followed, once each."""
    found: list[tuple[Path, Kind]] = []
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise InputError(error.filename or root, error.strerror or str(error)) from error

    for name, folders, files in os.walk(root, followlinks=True, onerror=refuse):
        folder = Path(name)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen or folder in skip:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        videos = [folder / f for f in files if _is_media(folder / f, VIDEO_SUFFIXES)]
        images = [folder / f for f in files if _is_media(folder / f, IMAGE_SUFFIXES)]
        found += [(path, "video") for path in videos]
        if images and not videos and folder != root:
            found.append((folder, "frames"))
        else:
            found += [(path, "image") for path in images]
    return sorted(found)


def _identifier(root: Path, path: Path, kind: Kind, prefix: str = "") -> str:
    relative = path.relative_to(root)
    relative = relative if kind == "frames" else relative.with_suffix("")
    return _text((Path(prefix.lower()) / relative).as_posix())


def _text(name: str) -> str:
    """A name as text: bytes of a file name that are not UTF-8 are spelled out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
