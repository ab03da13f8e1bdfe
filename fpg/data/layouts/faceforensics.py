"""FaceForensics++ (ICCV 2019) with all its methods and compressions, and DeepFakeDetection (DFD), which lies in the same tree."""

from __future__ import annotations

from pathlib import Path

from fpg.common.errors import InputError
from fpg.data.layouts.base import Clip, Diagnostics, Expected, VideoSource, child, clips, folders, read_json
from fpg.data.manifest import FAKE, REAL, SPLITS

COMPRESSIONS = ("raw", "c0", "c23", "c40")
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
DFD_METHOD = "DeepFakeDetection"
_PLACES: tuple[tuple[str, ...], ...] = ((), ("splits",), ("dataset", "splits"))
_PER_SPLIT = (("train", 720), ("val", 140), ("test", 140))


def identity_splits(root: Path, findings: Diagnostics) -> dict[str, tuple[str, str]] | None:
    """The official split by video id, `{id: (split, partner)}`, from `{train,val,test}.json`: lists of pairs of ids.

    None when a file is missing or faulty, which is an error among the findings.
    """
    splits: dict[str, tuple[str, str]] = {}
    whole = True
    for split in SPLITS:
        path = next((p for place in _PLACES if (p := child(root, *place, f"{split}.json"))), None)
        if path is None:
            findings.error(
                "split_file_missing", root / f"{split}.json", "is missing: the official split is in train.json, val.json, test.json"
            )
            whole = False
            continue
        try:
            pairs = _pairs(path)
        except InputError as error:
            findings.error("split_file_faulty", error.path, error.reason)
            whole = False
            continue
        for first, second in pairs:
            for own, other in ((first, second), (second, first)):
                if splits.setdefault(own, (split, other))[0] != split:
                    findings.error("split_conflict", path, f"has the id {own}, which {splits[own][0]}.json has too")
                    whole = False
    return splits if whole else None


def _pairs(path: Path) -> list[tuple[str, str]]:
    content = read_json(path)
    if not isinstance(content, list) or not content:
        raise InputError(path, "expected a list of pairs of ids")
    for number, pair in enumerate(content):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(i, str) and i for i in pair)):
            raise InputError(path, f"entry {number}: expected a pair of ids such as ['071', '054'], got {pair!r}"[:300])
    return [(first, second) for first, second in content]


def _versions(folder: Path) -> list[tuple[str, Path]]:
    """(compression, folder) of every version of a method; `("", folder)` where there is no folder of a compression."""
    names = folders(folder)
    found = [(name, names[name]) for name in COMPRESSIONS if name in names]
    return found or [("", folder)]


def _id(compression: str, clip: Clip) -> str:
    return f"{compression}/{clip.id}" if compression else clip.id


class FaceForensics:
    """`original_sequences/youtube/<c>/videos`, `manipulated_sequences/<method>/<c>/videos/<target>_<source>.mp4`."""

    name = "ff++"
    title = (
        "FaceForensics++: original_sequences/youtube and manipulated_sequences/<method>, each /{raw,c23,c40}/videos; {train,val,test}.json"
    )
    dataset = "FF++"
    official: tuple[Expected, ...] = tuple(
        Expected(count, method, label, split)
        for method, label in (("", REAL), *((method, FAKE) for method in METHODS))
        for split, count in _PER_SPLIT
    )

    def matches(self, root: Path) -> bool:
        """The tree with anything but DFD in it."""
        return root.is_dir() and bool(self._parts(root))

    @staticmethod
    def _parts(root: Path) -> list[tuple[str, Path]]:
        """(method, folder) of what is there; `""` are the real videos."""
        found = [("", youtube)] if (youtube := child(root, "original_sequences", "youtube")) else []
        manipulated = child(root, "manipulated_sequences")
        known = {method.lower(): method for method in METHODS}
        below = folders(manipulated) if manipulated else {}
        return found + [(known.get(name, folder.name), folder) for name, folder in below.items() if name != DFD_METHOD.lower()]

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video, with the split of its identities."""
        splits = identity_splits(root, findings)
        sources = []
        for method, folder in self._parts(root):
            for compression, version in _versions(folder):
                found = clips(version)
                sources += [self._source(dataset, method, compression, clip, splits or {}, findings) for clip in found]
                if found and splits:
                    self._missing(method, version, {clip.id for clip in found}, splits, findings)
        return sources

    @staticmethod
    def _source(
        dataset: str, method: str, compression: str, clip: Clip, splits: dict[str, tuple[str, str]], findings: Diagnostics
    ) -> VideoSource:
        target, _, donor = clip.id.rpartition("/")[2].partition("_")
        split, why = splits.get(target, (None, ""))[0], ""
        if split is None:
            why = "its id is in none of train.json, val.json, test.json"
        elif method and splits.get(donor, (None, ""))[0] != split:
            split, why = None, f"{target} is in {split}.json and {donor or 'its source'} is not"
        if splits and split is None:
            findings.warning("not_in_split", clip.path, f"{why}: it has no place in the official split and is left out")
        known = f"{split}.json" if split else why
        label = FAKE if method else REAL
        return VideoSource(dataset, method, _id(compression, clip), label, split, clip.path, clip.kind, compression, target, donor, known)

    @staticmethod
    def _missing(method: str, folder: Path, present: set[str], splits: dict[str, tuple[str, str]], findings: Diagnostics) -> None:
        listed = [f"{own}_{other}" for own, (_, other) in splits.items()] if method else list(splits)
        for name in sorted(set(listed) - present):
            findings.warning("listed_not_on_disk", folder / "videos" / f"{name}.mp4", "the split files name it, and it is not on disk")


class DeepFakeDetection:
    """`original_sequences/actors` and `manipulated_sequences/DeepFakeDetection` in the tree of FaceForensics++."""

    name = "dfd"
    title = (
        "DFD: original_sequences/actors and manipulated_sequences/DeepFakeDetection, each /{raw,c23,c40}/videos; no split, all of it tests"
    )
    dataset = "DFD"
    official: tuple[Expected, ...] = (Expected(363, "", REAL), Expected(3068, DFD_METHOD, FAKE))

    def matches(self, root: Path) -> bool:
        """One of its two folders."""
        return root.is_dir() and bool(self._parts(root))

    @staticmethod
    def _parts(root: Path) -> list[tuple[str, Path]]:
        places = (("", ("original_sequences", "actors")), (DFD_METHOD, ("manipulated_sequences", DFD_METHOD)))
        return [(method, folder) for method, place in places if (folder := child(root, *place))]

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video; `01_02__scene__X.mp4` shows actor 01 with the face of actor 02."""
        sources = []
        for method, folder in self._parts(root):
            for compression, version in _versions(folder):
                for clip in clips(version):
                    target, _, donor = clip.id.rpartition("/")[2].partition("__")[0].partition("_")
                    label, why = FAKE if method else REAL, "DFD has no split: all of it is for testing"
                    video = _id(compression, clip)
                    sources.append(
                        VideoSource(dataset, method, video, label, "test", clip.path, clip.kind, compression, target, donor, why)
                    )
        return sources
