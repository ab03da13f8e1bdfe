"""Data sets whose folders say what they hold: FFIW, DeeperForensics-1.0, WildDeepfake, DF40, UADFV."""

from __future__ import annotations

import re
from pathlib import Path

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
    identifier,
    media,
    read_text,
    slashes,
)
from fpg.data.manifest import FAKE, REAL, SPLITS


class FFIW:
    """FFIW10K (CVPR 2021): `source` is real, `target` fake, each with `train/` and `val/`."""

    name = "ffiw"
    title = "FFIW10K: {source,target}/{train,val}, flat or with videos/; source is real, target fake"
    dataset = "FFIW"
    official: tuple[Expected, ...] = (Expected(250, "", REAL, "test"), Expected(250, "FFIW", FAKE, "test"))
    _CLASSES = (("source", REAL), ("target", FAKE))

    def matches(self, root: Path) -> bool:
        """`source` and `target` with a split below."""
        if not root.is_dir() or not {"source", "target"} <= folders(root).keys():
            return False
        return all(folders(folders(root)[name]).keys() & {"train", "val", "test"} for name, _ in self._CLASSES)

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video; `val/` is what papers test on, so it is the test split unless there is a `test/`."""
        sources = []
        has_test = child(root, "target", "test") is not None
        for name, label in self._CLASSES:
            for split, folder in (folders(at) if (at := child(root, name)) else {}).items():
                if split not in SPLIT_WORDS:
                    continue
                known, why = SPLIT_WORDS[split], f"folder {split}/"
                if known == "val" and not has_test:
                    known, why = "test", "folder val/, which is what FFIW is tested on"
                for clip in clips(folder):
                    method, video = "FFIW" if label == FAKE else "", f"{split}/{clip.id}"
                    sources.append(VideoSource(dataset, method, video, label, known, clip.path, clip.kind, target=video, why=why))
        pairs = {label: {s.video for s in sources if s.label == label} for _, label in self._CLASSES}
        for video in sorted(pairs[REAL] ^ pairs[FAKE]):
            findings.note("unpaired", root / video, "is there as source or as target only: its partner is not on disk")
        return sources


class DeeperForensics:
    """DeeperForensics-1.0 (CVPR 2020): `manipulated_videos/<variant>`, `source_videos/<actor>`, `lists/splits/{train,val,test}.txt`."""

    name = "deeperforensics"
    title = "DeeperForensics-1.0: manipulated_videos/<variant>, source_videos/<actor>, lists/splits/{train,val,test}.txt"
    dataset = "DeeperForensics"
    _VARIANTS = (
        "end_to_end",
        "reenact_postprocess",
        "end_to_end_random_level",
        *(f"end_to_end_level_{i}" for i in range(1, 6)),
        *(f"end_to_end_mix_{i}_distortions" for i in range(2, 5)),
    )
    official: tuple[Expected, ...] = (
        *(Expected(count, method, FAKE, split) for method in _VARIANTS for split, count in (("train", 703), ("val", 96), ("test", 201))),
        Expected(48475, "", REAL),
    )

    def matches(self, root: Path) -> bool:
        """The manipulated videos."""
        return root.is_dir() and "manipulated_videos" in folders(root)

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video. A source video goes with its actor: the official split keeps the actors apart."""
        splits = self._splits(root, findings)
        actors = {name.partition("_")[2]: split for name, split in (splits or {}).items()}
        sources = []
        manipulated = child(root, "manipulated_videos")
        for method in folders(manipulated).values() if manipulated else []:
            found = clips(method)
            for clip in found:
                stem = clip.id.rpartition("/")[2]
                target, _, donor = stem.partition("_")
                split = (splits or {}).get(stem)
                why = f"{split}.txt" if split else "none of the lists names it"
                if splits and split is None:
                    findings.warning("not_in_split", clip.path, "none of lists/splits/*.txt names it: it is left out")
                sources.append(
                    VideoSource(dataset, method.name, clip.id, FAKE, split, clip.path, clip.kind, target=target, donor=donor, why=why)
                )
            present = {clip.id.rpartition("/")[2] for clip in found}
            for name in sorted((splits or {}).keys() - present) if found else []:
                what = "lists/splits names it, and it is not on disk"
                findings.warning("listed_not_on_disk", method / f"{name}.mp4", what)
        originals = child(root, "source_videos")
        for actor in folders(originals).values() if originals else []:
            split = actors.get(actor.name)
            why = f"the fakes with the face of actor {actor.name} are in {split}.txt" if split else "no list has its actor"
            for clip in clips(actor):
                video = f"{actor.name}/{clip.id}"
                sources.append(VideoSource(dataset, "", video, REAL, split, clip.path, clip.kind, target=actor.name, why=why))
        if originals:
            what = "its authors mean the FF++ videos (youtube, c23) as the real part; the source videos are what the faces came from"
            findings.note("reals", originals, what)
        return sources

    @staticmethod
    def _splits(root: Path, findings: Diagnostics) -> dict[str, str] | None:
        splits: dict[str, str] = {}
        whole = True
        for split in SPLITS:
            path = child(root, "lists", "splits", f"{split}.txt")
            if path is None:
                findings.error(
                    "split_file_missing", root / "lists" / "splits" / f"{split}.txt", "is missing: it is part of the official split"
                )
                whole = False
                continue
            try:
                names = [slashes(line).rpartition("/")[2].split()[0] for line in read_text(path).splitlines() if line.strip()]
            except InputError as error:
                findings.error("split_file_faulty", error.path, error.reason)
                whole = False
                continue
            for name in (re.sub(r"\.\w+$", "", name) for name in names):
                if not re.fullmatch(r"\d+_\w+", name):
                    findings.error("split_file_faulty", path, f"expected names such as 000_M101.mp4, got {name!r}")
                    whole = False
                elif splits.setdefault(name, split) != split:
                    findings.error("split_conflict", path, f"names {name}, which {splits[name]}.txt names too")
                    whole = False
        return splits if whole else None


class WildDeepfake:
    """WildDeepfake (ACM MM 2020): folders of face crops in `{real,fake}_{train,test}/`."""

    name = "wilddeepfake"
    title = "WildDeepfake: face crops in {real,fake}_{train,test}/N, at any depth"
    dataset = "WildDeepfake"
    official: tuple[Expected, ...] = (Expected(3805, "", REAL), Expected(3509, "WildDeepfake", FAKE))
    _PARTS = tuple((f"{label}_{split}", value, split) for label, value in (("real", REAL), ("fake", FAKE)) for split in ("train", "test"))

    def matches(self, root: Path) -> bool:
        """One of its four folders."""
        return root.is_dir() and any(part in folders(root) for part, _, _ in self._PARTS)

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every sequence of crops."""
        sources = []
        for part, label, split in self._PARTS:
            folder = folders(root).get(part)
            if folder is None:
                findings.warning("folder_missing", root / part, "is not there: the data set has four such folders")
                continue
            for archive in sorted(p for p in folder.rglob("*") if re.search(r"\.(tar|tar\.gz|tgz|zip)$", p.name.lower())):
                findings.warning("archive", archive, "is an archive: its crops are not read before it is unpacked")
            for path, kind in media(folder):
                video = f"{split}/{identifier(folder, path, kind)}"
                sources.append(
                    VideoSource(dataset, "WildDeepfake" if label else "", video, label, split, path, kind, why=f"folder {part}/")
                )
        if sources:
            findings.note("crops", root, "holds face crops, not whole frames: a face finder misses some of them, and margins are cut")
        return sources


class DF40:
    """DF40 (NeurIPS 2024): `<method>/{ff,cdf}` hold fakes only, `<method>/{fake,real}` both."""

    name = "df40"
    title = "DF40: <method>/{ff,cdf} (fakes; reals are those of FF++ and Celeb-DF) or <method>/{fake,real}"
    dataset = "DF40"
    official: tuple[Expected, ...] = ()
    _DOMAINS = (("ff", FAKE), ("cdf", FAKE), ("fake", FAKE), ("real", REAL))

    def matches(self, root: Path) -> bool:
        """Methods with the domains `ff` or `cdf` below; by its name also where methods have `fake` and `real`."""
        if not root.is_dir():
            return False
        wanted = {"ff", "cdf"} | ({"fake", "real"} if "df40" in root.resolve().name.lower() else set())
        return any(name not in LABELLED and wanted & folders(method).keys() for name, method in folders(root).items())

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video, sequence or image. The tree does not say how it is divided; a name with "train" in it does."""
        split = "train" if "train" in root.resolve().name.lower() else "test"
        why = "the folder is called so" if split == "train" else "DF40's folders have no split: what is not called train tests"
        sources = []
        for method in folders(root).values():
            for domain, label in self._DOMAINS:
                for clip in clips(folders(method)[domain]) if domain in folders(method) else []:
                    known = _pair(clip) if domain == "ff" else ("", "")
                    video = f"{domain}/{clip.id}" if label == FAKE else f"{method.name}/{domain}/{clip.id}"
                    sources.append(
                        VideoSource(
                            dataset, method.name if label else "", video, label, split, clip.path, clip.kind, "", known[0], known[1], why
                        )
                    )
        if not any(s.label == REAL for s in sources):
            findings.note("one_class", root, "holds fakes only: give the real videos of FF++ or Celeb-DF as well, or AUC is undefined")
        return sources


class UADFV:
    """UADFV (ICASSP 2019): `{real,fake}/*.mp4`."""

    name = "uadfv"
    title = "UADFV: {real,fake}/*.mp4 (or frames/); no split, all of it is for testing; recognised by the folder's name"
    dataset = "UADFV"
    official: tuple[Expected, ...] = (Expected(49, "", REAL), Expected(49, "UADFV", FAKE))

    def matches(self, root: Path) -> bool:
        """Both classes, in a folder that is called so."""
        return root.is_dir() and "uadfv" in root.resolve().name.lower() and {"real", "fake"} <= folders(root).keys()

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video; `0001_fake.mp4` was made from `0001.mp4`."""
        found = [(label, clip) for name, label in (("real", REAL), ("fake", FAKE)) if (at := child(root, name)) for clip in clips(at)]
        why = "UADFV has no split: all of it is for testing"
        return [
            VideoSource(dataset, "UADFV" if label else "", c.id, label, "test", c.path, c.kind, target=re.sub(r"_fake$", "", c.id), why=why)
            for label, c in found
        ]


LABELLED = frozenset(["real", "fake", *SPLIT_WORDS])


def _pair(clip: Clip) -> tuple[str, str]:
    """(target, donor) of a name `000_003`."""
    match = re.fullmatch(r"(\d{3})_(\d{3})", clip.id.rpartition("/")[2])
    return (match[1], match[2]) if match else ("", "")
