"""What makes a number about a data set worthless although every file is whole: copies across classes and splits, classes that something
other than a forgery tells apart, and a class whose faces are not found. `fpg-doctor data`, `fpg-prepare` and `fpg-eval` say so."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpg.data.layouts.base import Diagnostics, VideoSource, split_of
from fpg.data.manifest import FAKE, REAL, Manifest

_ENDS = 1 << 16
"""Bytes at the beginning and at the end of a file that are compared when two files are of one size."""
_FEWEST = 8
"""Files of each class from which a difference between the classes means something."""
_APART = 0.95
"""Area under the curve of one property alone, from which it is said that it tells the classes apart."""
_MARKED = 1.2
"""And by how much the medians have to differ for it: identical files differ a little, too."""
_NO_FACE = 0.1
"""Fraction of a class without a face that is said."""
_WORDS = {REAL: "real", FAKE: "fake"}


@dataclass(frozen=True)
class FileTraits:
    """What is known of one file of a class without a detector."""

    label: int | None
    suffix: str
    width: int = 0
    height: int = 0
    bytes_per_pixel: float = 0.0
    """Of the file, over all pixels of all frames; 0: unknown."""


def compare_files(sources: Sequence[VideoSource], findings: Diagnostics) -> None:
    """Copies among the files, and classes of different formats; no file is opened, but those of equal size are read at their ends."""
    find_copies([s for s in sources if s.kind != "frames"], findings)
    compare_traits([FileTraits(s.label, s.path.suffix.lower()) for s in sources if s.kind != "frames"], findings)


def find_copies(sources: Iterable[VideoSource], findings: Diagnostics) -> None:
    """Files of one size whose beginnings and ends are equal; those that are in two classes or splits come first."""
    sizes: dict[int, list[VideoSource]] = {}
    for source in sources:
        try:
            sizes.setdefault(os.path.getsize(source.path), []).append(source)
        except OSError:
            continue  # not there: said elsewhere
    pairs: list[tuple[list[str], VideoSource, VideoSource]] = []
    for size, group in sizes.items():
        seen: dict[bytes, VideoSource] = {}
        for source in group if len(group) > 1 and size else []:
            first = seen.setdefault(file_fingerprint(source.path), source)
            if first is not source and os.path.realpath(first.path) != os.path.realpath(source.path):
                differ = [w for w, a, b in (("labels", first.label, source.label), ("splits", split_of(first), split_of(source))) if a != b]
                pairs.append((differ, first, source))
    for differ, first, source in sorted(pairs, key=lambda pair: ("labels" not in pair[0], not pair[0])):
        but = f", and they have different {' and '.join(differ)}" if differ else ""
        findings.warning("duplicate_content", source.path, f"has the content of {first.path}{but}")


def file_fingerprint(path: Path) -> bytes:
    """SHA-256 of a file's beginning and end; of its name where it cannot be read."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read(_ENDS))
            file.seek(max(file.tell(), os.path.getsize(path) - _ENDS))
            digest.update(file.read(_ENDS))
    except OSError:
        return os.fsencode(path)
    return digest.digest()


def compare_traits(traits: Sequence[FileTraits], findings: Diagnostics) -> None:
    """Say which single property tells real from fake: a detector learns it, and a score measures it, instead of forgeries."""
    classes = {label: [t for t in traits if t.label == label] for label in (REAL, FAKE)}
    if min(map(len, classes.values())) < _FEWEST:
        return
    suffixes = {label: sorted({t.suffix for t in found if t.suffix}) for label, found in classes.items()}
    if all(suffixes.values()) and not set(suffixes[REAL]) & set(suffixes[FAKE]):
        text = f"format alone tells the classes apart: real are {', '.join(suffixes[REAL])}, fake {', '.join(suffixes[FAKE])}"
        findings.warning("classes_differ_by_format", "classes", text)
    for code, what, values in (
        ("size", "size in pixels", {k: [float(t.width * t.height) for t in v if t.width] for k, v in classes.items()}),
        ("bytes_per_pixel", "bytes per pixel", {k: [t.bytes_per_pixel for t in v if t.bytes_per_pixel] for k, v in classes.items()}),
    ):
        if min(map(len, values.values())) < _FEWEST:
            continue
        auc = _auc(np.array(values[REAL]), np.array(values[FAKE]))
        real, fake = (float(np.median(values[label])) for label in (REAL, FAKE))
        if auc >= _APART and max(real, fake) >= _MARKED * min(real, fake):
            text = f"{what} alone tells the classes apart (AUC {auc:.2f}): median {real:.4g} for real, {fake:.4g} for fake"
            findings.warning(f"classes_differ_by_{code}", "classes", text)


def _auc(real: np.ndarray, fake: np.ndarray) -> float:
    """How well a property orders two classes, whichever way round: 0.5 to 1."""
    order = np.sort(real)
    below, upto = np.searchsorted(order, fake, "left"), np.searchsorted(order, fake, "right")
    value = float((below + upto).sum() / (2 * len(real) * len(fake)))
    return max(value, 1 - value)


def compare_faces(fates: Iterable[tuple[int, bool]], findings: Diagnostics) -> None:
    """Say in which class how many have no face.

    Args:
        fates: (label, whether a face was found) of every input that was read.
        findings: gets the warnings.
    """
    counts = {label: [0, 0] for label in (REAL, FAKE)}
    for label, face in fates:
        counts[label][0] += 1
        counts[label][1] += not face
    for label, (number, without) in counts.items():
        if without >= 2 and without >= _NO_FACE * number:
            text = f"{without} of {number} {_WORDS[label]} inputs ({without / number:.0%}) have no face, {_others(counts, label)}"
            findings.warning("no_face", "classes", f"{text}: what is measured is the rest of them")


def _others(counts: Mapping[int, Sequence[int]], label: int) -> str:
    other = FAKE if label == REAL else REAL
    number, without = counts[other]
    return f"{without} of {number} {_WORDS[other]} ones" if number else f"and there are no {_WORDS[other]} ones"


def compare_manifest(manifest: Manifest, findings: Diagnostics) -> None:
    """The same of a prepared data set: sizes of frames, formats, faces, and crops that are in two classes or splits."""
    sizes = {row.key: row.frame_size for row in manifest.faces}
    known = [(video, sizes.get(video.key, (0, 0))) for video in manifest.videos]
    compare_traits([FileTraits(v.label, Path(v.source).suffix.lower(), width, height) for v, (height, width) in known], findings)
    compare_faces([(v.label, v.status == "prepared") for v in manifest.videos if v.status != "failed"], findings)
    seen: dict[tuple[int, tuple[int, int]], tuple[int, str, str]] = {}
    for row in manifest.faces:
        if row.crc32 is None:
            continue
        label, split, path = seen.setdefault((row.crc32, row.size), (row.label, row.split, row.path))
        if (label, split) != (row.label, row.split):
            where = f"{_WORDS[label]} in {split} and {_WORDS[row.label]} in {row.split}"
            findings.warning("copies_across", row.path, f"is the same crop as {path}: {where}")
