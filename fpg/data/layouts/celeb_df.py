"""Celeb-DF v1 and v2 (CVPR 2020) and Celeb-DF++ (arXiv 2507.18015): one tree, one list of test videos in which **1 is real**."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fpg.common.errors import InputError
from fpg.data.layouts.base import Clip, Diagnostics, Expected, VideoSource, child, clips, folders, read_text, slashes
from fpg.data.manifest import FAKE, REAL

LIST = "List_of_testing_videos.txt"
FAMILIES = ("FaceSwap", "FaceReenact", "TalkingFace")
_REAL_FOLDERS = {"celeb-real": "Celeb-real", "youtube-real": "YouTube-real"}
_SYNTHESIS = "Celeb-synthesis"


class _Listed(NamedTuple):
    number: int
    label: int
    path: str


class CelebDF:
    """`Celeb-real`, `YouTube-real`, `Celeb-synthesis`, flat or with `videos/`; what the list does not name is for training."""

    def __init__(self, name: str, dataset: str, what: str, official: tuple[Expected, ...]) -> None:
        self.name, self.dataset, self.official = name, dataset, official
        self.title = f"{dataset}: Celeb-real, YouTube-real, {what}, flat or with videos/; {LIST} (1 = real)"

    def matches(self, root: Path) -> bool:
        """Its folders; version 1 is told from version 2 by the folder's name, ++ by the folders of its scenarios."""
        if not root.is_dir() or not {"celeb-real", _SYNTHESIS.lower()} <= folders(root).keys():
            return False
        scenarios = any(child(root, _SYNTHESIS, family) for family in FAMILIES)
        first = re.search(r"v1\b|_1\b|-1\b", root.resolve().name.lower()) is not None
        return self.name == ("celeb-df++" if scenarios else "celeb-df-v1" if first else "celeb-df-v2")

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video of the three folders and of the list."""
        listed = self._listed(root, findings)
        sources = [self._source(dataset, place, clip) for place, clip in self._on_disk(root)]
        known = {s.video.lower(): s for s in sources}
        for entry in listed or []:
            video = self._video(entry.path)
            if video.lower() not in known:
                sources.append(self._absent(root, dataset, video, entry, findings))
                known[video.lower()] = sources[-1]
            elif known[video.lower()].label != entry.label:
                what = f"line {entry.number}: calls {entry.path} {_word(entry.label)}, its folder says otherwise (in this list 1 is real)"
                findings.error("label_contradiction", root / LIST, what)
        if listed is None:
            return sources
        test = {self._video(entry.path).lower() for entry in listed}
        return [_with_split(s, s.video.lower() in test) for s in sources]

    @staticmethod
    def _on_disk(root: Path) -> list[tuple[str, Clip]]:
        """(place, clip) of every video; the place is `Celeb-real`, `Celeb-synthesis/FaceSwap/Method` and the like."""
        found = [(place, clip) for name, place in _REAL_FOLDERS.items() if (at := child(root, name)) for clip in clips(at)]
        synthesis = child(root, _SYNTHESIS)
        methods = [
            (f"{_SYNTHESIS}/{family}/{method.name}", method)
            for family in FAMILIES
            if synthesis and (folder := child(synthesis, family))
            for method in folders(folder).values()
        ]
        if synthesis and not methods:
            methods = [(_SYNTHESIS, synthesis)]
        return found + [(place, clip) for place, folder in methods for clip in clips(folder)]

    @staticmethod
    def _video(listed: str) -> str:
        """Our id of a path in the list: without `videos/` and suffix, folders spelled our way."""
        parts = [part for part in listed.split("/") if part.lower() != "videos"]
        parts[0] = _REAL_FOLDERS.get(parts[0].lower(), _SYNTHESIS if parts[0].lower() == _SYNTHESIS.lower() else parts[0])
        return re.sub(r"\.\w+$", "", "/".join(parts))

    @staticmethod
    def _source(dataset: str, place: str, clip: Clip) -> VideoSource:
        label = FAKE if place.startswith(_SYNTHESIS) else REAL
        method = (place.partition("/")[2] or _SYNTHESIS) if label == FAKE else ""
        who = re.match(r"(id\d+)(?:_(id\d+))?_", clip.id.rpartition("/")[2])
        target, donor = (who[1], who[2] or "") if who else ("", "")
        return VideoSource(dataset, method, f"{place}/{clip.id}", label, None, clip.path, clip.kind, target=target, donor=donor)

    def _absent(self, root: Path, dataset: str, video: str, entry: _Listed, findings: Diagnostics) -> VideoSource:
        findings.warning("listed_not_on_disk", root / entry.path, f"line {entry.number} of {LIST} names it, and it is not on disk")
        place, _, name = video.rpartition("/")
        source = self._source(dataset, place, Clip(name, root / entry.path, "video"))
        if source.label != entry.label:
            what = f"line {entry.number}: calls {entry.path} {_word(entry.label)}, its folder says otherwise (in this list 1 is real)"
            findings.error("label_contradiction", root / LIST, what)
        return source

    @staticmethod
    def _listed(root: Path, findings: Diagnostics) -> list[_Listed] | None:
        """The lines of the list; None when there is no list to go by, which is an error among the findings."""
        path = child(root, LIST)
        if path is None:
            findings.error("split_file_missing", root / LIST, "is missing: it says which videos are for testing")
            return None
        try:
            return _parse(path)
        except InputError as error:
            findings.error("split_file_faulty", error.path, error.reason)
            return None


def _parse(path: Path) -> list[_Listed]:
    entries: list[_Listed] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        word, _, name = line.strip().partition(" ")
        if word not in ("0", "1") or "/" not in slashes(name):
            raise InputError(path, f"line {number}: expected '1 Celeb-real/name.mp4' (real) or '0 Celeb-synthesis/name.mp4', got {line!r}")
        name = slashes(name)
        if name.lower() in seen:
            raise InputError(path, f"line {number}: {name} is in line {seen[name.lower()]} too")
        seen[name.lower()] = number
        entries.append(_Listed(number, REAL if word == "1" else FAKE, name))
    if not entries:
        raise InputError(path, "names no video")
    return entries


def _with_split(source: VideoSource, test: bool) -> VideoSource:
    return replace(source, split="test", why=LIST) if test else replace(source, split="train", why=f"not in {LIST}")


def _word(label: int) -> str:
    return "real" if label == REAL else "fake"


_REALS = (Expected(590 + 300, "", REAL),)
CELEB_DF_V1 = CelebDF("celeb-df-v1", "Celeb-DF-v1", _SYNTHESIS, (Expected(408, "", REAL), Expected(795, _SYNTHESIS, FAKE)))
CELEB_DF_V2 = CelebDF(
    "celeb-df-v2",
    "Celeb-DF-v2",
    _SYNTHESIS,
    (*_REALS, Expected(5639, _SYNTHESIS, FAKE), Expected(178, None, REAL, "test"), Expected(340, None, FAKE, "test")),
)
CELEB_DF_PP = CelebDF("celeb-df++", "Celeb-DF++", _SYNTHESIS + "/{FaceSwap,FaceReenact,TalkingFace}/<method>", _REALS)
