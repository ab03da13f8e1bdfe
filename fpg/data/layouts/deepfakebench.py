"""DeepfakeBench's JSON (NeurIPS 2023): `{DATASET: {LABEL: {split: [{c23, c40, raw}:] {VIDEO: {label, frames[], masks[]}}}}}`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from fpg.common.errors import InputError
from fpg.data.layouts.base import SPLIT_WORDS, Diagnostics, Expected, Kind, VideoSource, read_json, slashes
from fpg.data.layouts.faceforensics import COMPRESSIONS
from fpg.data.manifest import FAKE, REAL

_METHODS = {
    "FF-DF": "Deepfakes",
    "FF-F2F": "Face2Face",
    "FF-FS": "FaceSwap",
    "FF-NT": "NeuralTextures",
    "FF-FH": "FaceShifter",
    "DFD_fake": "DeepFakeDetection",
    "CelebDFv1_fake": "Celeb-synthesis",
    "CelebDFv2_fake": "Celeb-synthesis",
    "DFDC_Fake": "DFDC",
    "UADFV_Fake": "UADFV",
    "DFDCP_FakeA": "method_A",
    "DFDCP_FakeB": "method_B",
}
_DATA_SETS = {"DeepFakeDetection": "DFD", "FaceShifter": "FF++", "FaceForensics++": "FF++"}
_BY_WEIGHT = ("test", "val", "train")
"""Which split counts for a video that is in several: what is ever tested on is never trained on."""


@dataclass(frozen=True)
class _Entry:
    dataset: str
    word: str
    split: str
    compression: str
    video: str
    content: dict[str, Any]


class DeepfakeBench:
    """One of its JSON files; the frames are looked for from the file's folder upwards, by the longest part of their paths that is there."""

    name = "deepfakebench"
    title = "a JSON of DeepfakeBench (or DF40) and its folders of frames"
    dataset = ""
    official: tuple[Expected, ...] = ()

    def matches(self, root: Path) -> bool:
        """A file whose name ends in `.json`."""
        return root.is_file() and root.suffix.lower() == ".json"

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """One source per video, whatever number of splits name it."""
        content = read_json(root)
        if not isinstance(content, dict) or not content:
            raise InputError(root, "expected {DATASET: {LABEL: {split: {VIDEO: {label, frames}}}}}")
        locate = _Locator(root)
        sources: dict[tuple[str, str, str], VideoSource] = {}
        several: set[tuple[str, str, str]] = set()
        for entry in _entries(root, content, findings):
            source = self._source(root, entry, locate, findings)
            if source is None:
                continue
            known = sources.get(source.key)
            if known is None:
                sources[source.key] = source
            elif known.label != source.label:
                findings.error("label_contradiction", root, f"{'/'.join(source.key)} is real in one place and fake in another")
            elif known.split != source.split:
                several.add(source.key)
                split = min(str(known.split), str(source.split), key=_BY_WEIGHT.index)
                sources[source.key] = replace(known, split=split, why=f"{root.name}, where several splits have it: {split} counts")
        for name, count in Counter(dataset for dataset, _, _ in several).items():
            findings.note("several_splits", root, f"{name}: {count} videos are in more than one split; test counts before val before train")
        for source in sources.values():
            if not os.path.exists(source.path):
                findings.warning("listed_not_on_disk", source.path, f"{root.name} names it, and it is not on disk")
        return list(sources.values())

    @staticmethod
    def _source(root: Path, entry: _Entry, locate: _Locator, findings: Diagnostics) -> VideoSource | None:
        where = f"{entry.dataset}/{entry.word}/{entry.split}/{entry.video}"
        label = _label(entry.word)
        stated = _label(str(entry.content.get("label", entry.word)))
        if label is None or stated is None:
            got = entry.content.get("label", entry.word)
            what = f"{where}: label: expected a name with 'real' or 'fake' in it or one of FF++'s, got {got!r}"
            findings.error("label_faulty", root, what)
            return None
        if label != stated:
            findings.error("label_contradiction", root, f"{where}: is under {entry.word} and its label is {entry.content['label']!r}")
            return None
        frames = entry.content.get("frames")
        if not isinstance(frames, list) or not frames or not all(isinstance(f, str) for f in frames):
            findings.warning("no_frames", root, f"{where}: names no frame and is left out")
            return None
        homes = {str(PurePosixPath(slashes(f)).parent) for f in frames}
        single = len(frames) == 1
        if len(homes) > 1:
            findings.warning("no_frames", root, f"{where}: its frames lie in {len(homes)} folders and it is left out")
            return None
        path = locate(slashes(frames[0]) if single else homes.pop())
        if not single and path.is_dir():
            _compare(path, frames, where, findings)
        method = "" if label == REAL else _METHODS.get(entry.word, entry.dataset)
        dataset = "FF++" if entry.dataset.startswith("FF-") else _DATA_SETS.get(entry.dataset, entry.dataset)
        video = f"{entry.compression}/{entry.video}" if entry.compression else entry.video
        target, _, donor = entry.video.partition("_") if dataset == "FF++" else ("", "", "")
        kind: Kind = "image" if single else "frames"
        why = f"{root.name}, {entry.split}"
        return VideoSource(dataset, method, video, label, SPLIT_WORDS[entry.split], path, kind, entry.compression, target, donor, why)


class _Locator:
    """Where a path of the JSON lies here: the longest tail of it that exists under the JSON's folder or a folder above."""

    def __init__(self, root: Path) -> None:
        home = root.resolve().parent
        self._bases = [home, home / "datasets", *list(home.parents)[:4]]
        self._last: tuple[Path, int] | None = None

    def __call__(self, listed: str) -> Path:
        parts = PurePosixPath(listed).parts
        if self._last and self._last[1] <= len(parts) - 2 and (found := self._last[0].joinpath(*parts[self._last[1] :])).exists():
            return found
        if PurePosixPath(listed).is_absolute() and Path(listed).exists():
            return Path(listed)
        drop = 1 if parts and (parts[0] == "/" or parts[0].endswith(":")) else 0
        for skip in range(drop, max(drop + 1, len(parts) - 1)):
            for base in self._bases:
                if (found := base.joinpath(*parts[skip:])).exists():
                    self._last = base, skip
                    return found
        return self._bases[0].joinpath(*parts[drop:])


def _entries(root: Path, content: dict[str, Any], findings: Diagnostics) -> Iterator[_Entry]:
    for dataset, words in content.items():
        for word, splits in _dict(root, words, dataset, findings):
            for split, videos in _dict(root, splits, f"{dataset}/{word}", findings):
                place = f"{dataset}/{word}/{split}"
                if split.lower() not in SPLIT_WORDS:
                    findings.error("split_file_faulty", root, f"{place}: expected train, val or test, got {split!r}")
                    continue
                levels = _dict(root, videos, place, findings)
                packed = bool(levels) and all(name in COMPRESSIONS for name, _ in levels)
                for compression, below in levels if packed else [("", videos)]:
                    for video, entry in _dict(root, below, place, findings):
                        if isinstance(entry, dict):
                            yield _Entry(dataset, word, split.lower(), compression, video, entry)
                        else:
                            findings.warning("no_frames", root, f"{place}: {video!r} is not a video and is left out")


def _dict(root: Path, value: Any, place: str, findings: Diagnostics) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    findings.error("split_file_faulty", root, f"{place}: expected an object, got {type(value).__name__}")
    return []


def _label(word: str) -> int | None:
    if word in _METHODS:
        return FAKE
    text = word.lower()
    return REAL if "real" in text else FAKE if "fake" in text else None


def _compare(folder: Path, frames: list[str], where: str, findings: Diagnostics) -> None:
    listed = {PurePosixPath(slashes(f)).name for f in frames}
    present = {name for name in os.listdir(folder) if not name.startswith(".")}
    if missing := sorted(listed - present):
        findings.warning("frames_missing", folder, f"{where}: {len(missing)} of {len(listed)} frames are not on disk, first {missing[0]}")
    if extra := sorted(present - listed):
        findings.warning(
            "frames_not_listed", folder, f"{where}: {len(extra)} files on disk are not in the list and are read too, first {extra[0]}"
        )
