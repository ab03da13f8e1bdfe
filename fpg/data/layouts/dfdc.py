"""The DeepFake Detection Challenge data set (arXiv 2006.07397) and its preview, DFDCP (arXiv 1910.08854)."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from fpg.common.errors import InputError
from fpg.data.layouts.base import (
    SPLIT_WORDS,
    Clip,
    Diagnostics,
    Expected,
    VideoSource,
    child,
    clips,
    folders,
    read_json,
    read_text,
    slashes,
)
from fpg.data.manifest import FAKE, REAL

_LABELS = "labels.csv"
_METADATA = "metadata.json"
_PARTS = ("", "train", "test", "validation", "val")


def _places(root: Path) -> list[tuple[str, Path]]:
    """(name, folder) of where DFDC may have its tables."""
    places = ((name, child(root, name) if name else root) for name in _PARTS)
    return [(name, folder) for name, folder in places if folder is not None and folder.is_dir()]


def _train_parts(folder: Path) -> list[Path]:
    return [below for name, below in folders(folder).items() if name.startswith("dfdc_train_part")]


class DFDC:
    """`labels.csv` next to `videos/` (or in `test/`, `validation/`); train parts with `metadata.json`."""

    name = "dfdc"
    title = "DFDC: videos/ and labels.csv (1 = fake), or test/{videos,frames} and test/labels.csv, or train parts with metadata.json"
    dataset = "DFDC"
    official: tuple[Expected, ...] = (
        Expected(19154, None, REAL, "train"),
        Expected(100000, None, FAKE, "train"),
        Expected(2000, None, REAL, "val"),
        Expected(2000, None, FAKE, "val"),
        Expected(2500, None, REAL, "test"),
        Expected(2500, None, FAKE, "test"),
    )

    def matches(self, root: Path) -> bool:
        """A folder with `labels.csv` or `metadata.json` at the places where DFDC has them."""
        return root.is_dir() and bool(self._tables(root))

    @staticmethod
    def _tables(root: Path) -> list[tuple[str, Path]]:
        """(split, file) of every table of labels."""
        found: list[tuple[str, Path]] = []
        for name, folder in _places(root):
            table = child(folder, _LABELS)
            if table and _header(table) == ["filename", "label"]:
                found.append((SPLIT_WORDS.get(name) or "test", table))
            found += [("train", path) for part in (folder, *_train_parts(folder)) if (path := child(part, _METADATA))]
        return found

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video that a table names, and those that none does."""
        sources: list[VideoSource] = []
        for split, table in self._tables(root):
            try:
                listed = _from_csv(table) if table.suffix.lower() == ".csv" else _from_json(table)
            except InputError as error:
                findings.error("label_faulty", error.path, error.reason)
                continue
            sources += self._sources(dataset, split, table, listed, findings)
        tables = {table.parent for _, table in self._tables(root)}
        for part in (part for _, folder in _places(root) for part in _train_parts(folder)):
            if part not in tables:
                findings.error("label_file_missing", part / _METADATA, "is missing: nothing says which of the part's videos are fake")
        return sources

    @staticmethod
    def _sources(dataset: str, split: str, table: Path, listed: dict[str, tuple[int, str]], findings: Diagnostics) -> list[VideoSource]:
        folder = table.parent
        on_disk = {clip.id.lower(): clip for clip in clips(folder) if not clip.id.startswith("dfdc_train_part")}
        sources = []
        for name, (label, original) in listed.items():
            stem = re.sub(r"\.\w+$", "", name)
            clip = on_disk.pop(stem.lower(), None)
            if clip is None:
                clip = Clip(stem, (child(folder, "videos") or folder) / name, "video")
                findings.warning("listed_not_on_disk", clip.path, f"{table.name} names it, and it is not on disk")
            method, target = ("DFDC", re.sub(r"\.\w+$", "", original)) if label == FAKE else ("", stem)
            video = f"{folder.name}/{stem}" if folder.name.startswith("dfdc_train_part") else stem
            sources.append(
                VideoSource(
                    dataset, method, video, label, split, clip.path, clip.kind, target=target, why=f"{table.name} of {folder.name}/"
                )
            )
        for clip in on_disk.values():
            findings.warning("not_listed", clip.path, f"{table.name} does not name it: it has no label and is left out")
        return sources


class DFDCPreview:
    """`method_A`, `method_B`, `original_videos`, flat, with `videos/` or with a folder per person; `dataset.json`."""

    name = "dfdcp"
    title = "DFDCP (preview): method_A, method_B, original_videos, with or without videos/; dataset.json {path: {label, set}}"
    dataset = "DFDCP"
    official: tuple[Expected, ...] = (Expected(1131, "", REAL), Expected(4113, None, FAKE))
    _FOLDERS = ("method_A", "method_B", "original_videos")

    def matches(self, root: Path) -> bool:
        """The real videos and one of the methods."""
        return root.is_dir() and "original_videos" in folders(root) and bool({"method_a", "method_b"} & folders(root).keys())

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video of the three folders and of the table, matched by folder and name."""
        found: dict[tuple[str, str], Clip] = {}
        for name in self._FOLDERS:
            for clip in clips(at) if (at := child(root, name)) else []:
                place = (name.lower(), clip.id.rpartition("/")[2].lower())
                if place in found:
                    findings.error("duplicate_id", clip.path, f"has the same name as {found[place].path}: {name} must not hold it twice")
                found[place] = clip
        table = self._table(root, findings)
        sources = [self._listed(root, dataset, path, entry, found, findings) for path, entry in (table or {}).items()]
        for (folder, name), clip in found.items():
            method = next(f for f in self._FOLDERS if f.lower() == folder)
            if table is not None:
                findings.warning(
                    "not_in_split", clip.path, "dataset.json does not name it: it has no place in the official split and is left out"
                )
            sources.append(self._source(dataset, method, name, clip, None, "dataset.json does not name it"))
        return sources

    @staticmethod
    def _table(root: Path, findings: Diagnostics) -> dict[str, dict[str, Any]] | None:
        path = child(root, "dataset.json")
        if path is None:
            findings.error("split_file_missing", root / "dataset.json", "is missing: it says which videos are for testing")
            return None
        try:
            table = read_json(path)
            if not isinstance(table, dict) or not table:
                raise InputError(path, "expected {path: {label, set}}")
            for key, entry in table.items():
                if not isinstance(entry, dict) or str(entry.get("set")) not in SPLIT_WORDS:
                    raise InputError(path, f"{key}: set: expected train, val or test, got {entry!r}"[:300])
                if entry.get("label") not in ("real", "fake"):
                    raise InputError(path, f"{key}: label: expected real or fake, got {entry.get('label')!r}")
        except InputError as error:
            findings.error("split_file_faulty", error.path, error.reason)
            return None
        return table

    def _listed(
        self, root: Path, dataset: str, path: str, entry: dict[str, Any], found: dict[tuple[str, str], Clip], findings: Diagnostics
    ) -> VideoSource:
        parts = slashes(path).split("/")
        name = re.sub(r"\.\w+$", "", parts[-1])
        clip = found.pop((parts[0].lower(), name.lower()), None)
        if clip is None:
            clip = Clip(name, root / slashes(path), "video")
            findings.warning("listed_not_on_disk", clip.path, "dataset.json names it, and it is not on disk")
        source = self._source(dataset, parts[0], name, clip, SPLIT_WORDS[entry["set"]], "dataset.json")
        if source.label != (REAL if entry["label"] == "real" else FAKE):
            findings.error("label_contradiction", root / "dataset.json", f"{path}: calls it {entry['label']}, its folder says otherwise")
        target, donor = str(entry.get("target_id", "")), str(entry.get("swapped_id", ""))
        return replace(source, target=target or source.target, donor=donor if source.label == FAKE else "")

    @staticmethod
    def _source(dataset: str, folder: str, name: str, clip: Clip, split: str | None, why: str) -> VideoSource:
        method = "" if folder.lower() == "original_videos" else folder
        return VideoSource(
            dataset, method, name, FAKE if method else REAL, split, clip.path, clip.kind, target=name.partition("_")[0], why=why
        )


def _header(table: Path) -> list[str]:
    try:
        return [name.strip().lower() for name in read_text(table).partition("\n")[0].split(",")][:2]
    except InputError:
        return []


def _from_csv(table: Path) -> dict[str, tuple[int, str]]:
    """{file name: (label, original)} of `labels.csv`; 1 is fake."""
    listed: dict[str, tuple[int, str]] = {}
    for number, row in enumerate(csv.reader(read_text(table).splitlines()), start=1):
        if number == 1 or not any(cell.strip() for cell in row):
            continue
        if len(row) < 2 or row[1].strip() not in ("0", "1"):
            raise InputError(table, f"line {number}: label: expected 0 or 1, got {row[1].strip() if len(row) > 1 else 'nothing'!r}")
        name = slashes(row[0]).rpartition("/")[2]
        if name in listed:
            raise InputError(table, f"line {number}: {name} is there twice")
        listed[name] = (int(row[1]), "")
    return listed


def _from_json(table: Path) -> dict[str, tuple[int, str]]:
    """{file name: (label, original)} of `metadata.json`."""
    content = read_json(table)
    if not isinstance(content, dict):
        raise InputError(table, "expected {file name: {label, split, original}}")
    listed = {}
    for name, entry in content.items():
        word = entry.get("label") if isinstance(entry, dict) else None
        if word not in ("REAL", "FAKE"):
            raise InputError(table, f"{name}: label: expected REAL or FAKE, got {word!r}")
        listed[name] = (REAL if word == "REAL" else FAKE, str(entry.get("original") or ""))
    return listed
