"""What every layout shares: one `VideoSource` per video, the findings of reading a data set, and walking over folders."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from fpg.common.errors import InputError
from fpg.common.strict_json import parse_json
from fpg.data.images import IMAGE_SUFFIXES
from fpg.data.manifest import FAKE, REAL
from fpg.data.video import VIDEO_SUFFIXES

Kind = Literal["video", "frames", "image"]
Level = Literal["error", "warning", "note"]
Split = Literal["train", "val", "test"]

LABEL_WORDS = {"real": REAL, "fake": FAKE, "0": REAL, "1": FAKE}
SPLIT_WORDS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
BESIDE_VIDEOS = ("frames", "landmarks", "retina", "masks")
"""Folders that preparation by SBI, FPG or DeepfakeBench leaves next to the videos; none of them holds videos."""
SPLIT_CODES = frozenset(["split_file_missing", "split_file_faulty", "split_conflict", "not_in_split"])
"""Findings that do not matter when the split is given from outside."""
_BY_HASH = "by hash of its id: 80 % train, 10 % val, 10 % test"


@dataclass(frozen=True)
class VideoSource:
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
    compression: str = ""
    """`raw`, `c23` or `c40` in the FaceForensics++ family; `""` where there is one version only."""
    target: str = ""
    """Whose video it is: the id of the person or real video that a fake was made from (a real video's own); `""` unknown."""
    donor: str = ""
    """Whose face was put in; `""` for real videos and where unknown."""
    why: str = ""
    """What the split was read from; `""` when it is by hash."""
    attributes: dict[str, str] = field(default_factory=dict, hash=False)
    """What a list says about the video in columns of its own (sex, camera ...): groups of an evaluation."""

    @property
    def key(self) -> tuple[str, str, str]:
        """(data set, method, video): what identifies a video."""
        return self.dataset, self.method, self.video

    @property
    def split_reason(self) -> str:
        """Why the video is in the split that `split_of` says."""
        return self.why or _BY_HASH


def split_of(source: VideoSource) -> str:
    """The split of a source: its own, or by hash 80 % train, 10 % val, 10 % test.

    The hash is over data set and target (the id where no target is known), not over the method: a video, its manipulations
    and its compressed versions fall together.
    """
    if source.split is not None:
        return source.split
    identity = source.target or source.video
    fraction = int.from_bytes(hashlib.sha256(f"{source.dataset}\0{identity}".encode()).digest()[:4], "big") / 2**32
    return "train" if fraction < 0.8 else "val" if fraction < 0.9 else "test"


@dataclass(frozen=True)
class Diagnostic:
    """Something about a data set that its user should know."""

    level: Level
    """`error`: nothing is read until it is mended; `warning`: read without what is named; `note`: a fact."""
    code: str
    """Machine-readable kind, such as `listed_not_on_disk`."""
    path: str
    text: str


@dataclass
class Diagnostics:
    """Collects findings in order."""

    items: list[Diagnostic] = field(default_factory=list)

    def add(self, level: Level, code: str, path: str | os.PathLike[str], text: str) -> None:
        """Remember one."""
        self.items.append(Diagnostic(level, code, os.fspath(path), " ".join(text.split())))

    def error(self, code: str, path: str | os.PathLike[str], text: str) -> None:
        """Remember one that stops reading."""
        self.add("error", code, path, text)

    def warning(self, code: str, path: str | os.PathLike[str], text: str) -> None:
        """Remember one that does not."""
        self.add("warning", code, path, text)

    def note(self, code: str, path: str | os.PathLike[str], text: str) -> None:
        """Remember a fact."""
        self.add("note", code, path, text)


@dataclass(frozen=True)
class Expected:
    """An official count: videos with this method, label and split (None: any), in one compression."""

    count: int
    method: str | None = None
    label: int | None = None
    split: str | None = None


class Layout(Protocol):
    """One way in which people keep their videos."""

    name: str
    """What `--layout` calls it."""
    title: str
    """One line for people."""
    dataset: str
    """Name of its data set; `""`: that of the folder or file."""
    official: tuple[Expected, ...]
    """Published numbers of videos."""

    def matches(self, root: Path) -> bool:
        """Whether `root` looks like this layout, without reading it all."""
        ...

    def find(self, root: Path, dataset: str, findings: Diagnostics) -> list[VideoSource]:
        """Every video under `root`, those that a list names and that are not there included; what is wrong goes to `findings`.

        A source whose split is None and whose `why` is not empty has no place in the official split: it is left out unless
        a split is given from outside. Raises `InputError` for what cannot be this layout.
        """
        ...


class Clip(NamedTuple):
    """A video, folder of frames or image on disk."""

    id: str
    path: Path
    kind: Kind


def clips(folder: Path) -> list[Clip]:
    """The videos of one class or method: in `folder/videos/` or directly in `folder`, at any depth; what has only frames, in
    `folder/frames/<id>/`."""
    names = folders(folder)
    base = names.get("videos", folder)
    skip = set() if base != folder else {names[name] for name in BESIDE_VIDEOS if name in names}
    found = [Clip(identifier(base, path, kind), path, kind) for path, kind in media(base, skip)]
    if "frames" in names:
        seen = {clip.id for clip in found}
        frames = [(identifier(names["frames"], path, kind), path, kind) for path, kind in media(names["frames"])]
        found += [Clip(*entry) for entry in frames if entry[0] not in seen]
    return found


def child(folder: Path, *parts: str) -> Path | None:
    """The file or folder below `folder`, whatever the case of its letters; None when it is not there."""
    for part in parts:
        exact = folder / part
        if exact.exists():
            folder = exact
            continue
        try:
            found = next((p for p in sorted(folder.iterdir()) if p.name.lower() == part.lower()), None)
        except OSError:
            return None
        if found is None:
            return None
        folder = found
    return folder


def slashes(path: str) -> str:
    """A path from a list, written on any system, with `/` and without a leading `./`."""
    text = path.strip().replace("\\", "/")
    return re.sub(r"^(\./)+", "", text)


def read_text(path: Path) -> str:
    """A small text file as UTF-8.

    Raises:
        InputError: missing, unreadable or not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(path, "no such file", "missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"is not readable text: {error}") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: missing, unreadable or not JSON.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except ValueError as error:
        raise InputError(path, f"is not JSON: {error}", "invalid") from error


def frame_files(folder: Path) -> list[Path]:
    """The images of a folder of frames in natural order (`2.png` before `10.png`)."""
    try:
        return sorted((p for p in folder.iterdir() if is_media(p, IMAGE_SUFFIXES)), key=natural)
    except OSError as error:
        raise InputError.of(folder, error) from error


def frame_time(index: int) -> float:
    """Time in seconds of a frame in a folder of frames, which has no clock: one frame per second stands in for it."""
    return float(index)


def natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key by which `frame_2` comes before `frame_10`, whatever the case of letters."""
    parts = re.split(r"([0-9]+)", path.as_posix().lower())
    return [(0, int(part), "") if number % 2 else (1, 0, part) for number, part in enumerate(parts)], path.as_posix()


def kind_of(path: Path) -> Kind:
    """What a path names, by its suffix where it is no folder."""
    if os.path.isdir(path):
        return "frames"
    return "image" if path.suffix.lower() in IMAGE_SUFFIXES else "video"


def is_media(path: Path, suffixes: frozenset[str]) -> bool:
    """Whether the name is that of a visible file with one of these suffixes."""
    return path.suffix.lower() in suffixes and not path.name.startswith(".")


def folders(path: Path, unique: Iterable[str] = ()) -> dict[str, Path]:
    """The folders directly in `path` by lower-case name; two spellings of one of the names `unique` are an error."""
    names: dict[str, Path] = {}
    try:
        for folder in sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")):
            name = folder.name.lower()
            if name in names and name in unique:
                raise InputError(path, f"has both {names[name].name}/ and {folder.name}/")
            names.setdefault(name, folder)
    except OSError as error:
        raise InputError.of(path, error) from error
    return names


def media(root: Path, skip: set[Path] | None = None, frames: Callable[[Path, list[Path]], bool] | None = None) -> list[tuple[Path, Kind]]:
    """Videos, images and folders of frames under `root`, sorted; links are followed, once each.

    Args:
        root: where to look.
        skip: folders not to look into.
        frames: says of a folder below `root` and its images, without videos, whether they are one video of frames; None: they are.
    """
    found: list[tuple[Path, Kind]] = []
    for folder, names in _walk(root, skip or set()):
        videos = [folder / f for f in names if is_media(folder / f, VIDEO_SUFFIXES)]
        images = [folder / f for f in names if is_media(folder / f, IMAGE_SUFFIXES)]
        found += [(path, "video") for path in videos]
        if images and not videos and folder != root and (frames is None or frames(folder, images)):
            found.append((folder, "frames"))
        else:
            found += [(path, "image") for path in images]
    return sorted(found)


def _walk(root: Path, skip: set[Path]) -> Iterator[tuple[Path, list[str]]]:
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise InputError.of(error.filename or root, error) from error

    for name, below, files in os.walk(root, followlinks=True, onerror=refuse):
        folder = Path(name)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen or folder in skip:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(f for f in below if not f.startswith("."))
        yield folder, files


def identifier(root: Path, path: Path, kind: Kind, prefix: str = "") -> str:
    """The id of a video: its path relative to `root` without suffix."""
    relative = path.relative_to(root)
    relative = relative if kind == "frames" else relative.with_suffix("")
    return text_of((Path(prefix.lower()) / relative).as_posix())


def text_of(name: str) -> str:
    """A name as text: bytes of a file name that are not UTF-8 are spelled out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
