"""What there is to prepare or to score: from a folder, a list or a file to one `VideoSource` per video.

The ways in which data lie on disk are in `fpg.data.layouts`, one small class each; here they are recognised, read, checked for
what holds for all of them, and given their splits. Videos are keyed by (data set, method, id).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from fpg.common.errors import InputError, UsageError
from fpg.data.layouts import layout_named, recognise
from fpg.data.layouts.base import (
    SPLIT_CODES,
    Diagnostic,
    Diagnostics,
    Kind,
    Layout,
    VideoSource,
    frame_files,
    frame_time,
    natural,
    split_of,
    text_of,
)
from fpg.data.layouts.generic import Plain, RealFake
from fpg.data.layouts.pictures import CODE, IMAGES
from fpg.data.manifest import SPLITS
from fpg.data.walk import summarise_skipped, walk

__all__ = ["Diagnostic", "Kind", "Survey", "VideoSource", "find_sources", "frame_files", "frame_time", "natural", "split_of", "survey"]

NOT_MEDIA = "not_media"
"""Of the finding that counts what is neither picture nor video."""
SAID = (CODE, NOT_MEDIA)
"""Notes that programs say, not `fpg-doctor data` alone."""
HASH = "hash"
"""As a split: by hash of the id, whatever the data set says."""


@dataclass(frozen=True)
class Survey:
    """What was found, and what about it is wrong or worth knowing."""

    root: Path
    layouts: tuple[tuple[Layout, Path], ...]
    sources: list[VideoSource]
    """Sorted by key."""
    left_out: list[VideoSource]
    """Those on disk that have no place in the official split of their data set."""
    findings: list[Diagnostic]

    def require(self) -> list[VideoSource]:
        """The sources, if they can be used.

        Raises:
            InputError: the first error among the findings, or that there is nothing.
        """
        errors = [finding for finding in self.findings if finding.level == "error"]
        if errors:
            more = f" (and {len(errors) - 1} more errors: fpg-doctor data lists them)" if len(errors) > 1 else ""
            advice = "; or give --split hash, train, val or test" if errors[0].code in SPLIT_CODES else ""
            raise InputError(errors[0].path, errors[0].text + advice + more)
        if not self.sources:
            raise InputError(self.root, "holds no video and no image", "empty")
        return self.sources

    def warnings(self) -> list[str]:
        """One line per kind of warning, with its level: how many, and the first; how folders of pictures were read, and what was not."""
        kinds: dict[str, list[Diagnostic]] = {}
        for finding in self.findings:
            if finding.level == "warning" or finding.code in SAID:
                kinds.setdefault(finding.code, []).append(finding)
        lines = []
        for found in kinds.values():
            more = f" (and {len(found) - 1} more: fpg-doctor data lists them)" if len(found) > 1 else ""
            lines.append(f"{found[0].level}: {found[0].path}: {found[0].text}{more}")
        return lines


def survey(
    path: str | os.PathLike[str],
    *,
    layout: str | None = None,
    dataset: str | None = None,
    split: str | None = None,
    images: str = "auto",
) -> Survey:
    """Read a data set's folders and lists (no video is opened).

    Args:
        path: a folder, a `.csv` or DeepfakeBench `.json` list, a video or an image.
        layout: one of `fpg.data.layouts.LAYOUTS` by name; None recognises it.
        dataset: name of the data set; None is the layout's, else the folder's or file's name.
        split: `train`, `val` or `test` for every source; `hash` divides all of them by hash; None is the data set's own.
        images: how a folder of pictures is read where nothing else says it: as `frames` of one video, as `stills`, or by its names and
            sizes (`auto`), see `fpg.data.layouts.pictures`.

    Raises:
        InputError: nothing there.
        UsageError: an unknown `split`, `layout` or `images`.
    """
    path = Path(path)
    if split is not None and split not in (*SPLITS, HASH):
        raise UsageError(f"split: expected one of {', '.join(SPLITS)}, {HASH}, got {split}")
    if not os.path.exists(path):
        raise InputError(path, "no such file or folder", "missing")
    if images not in IMAGES:
        raise UsageError(f"images: expected one of {', '.join(IMAGES)}, got {images}")
    findings = Diagnostics()
    found: list[VideoSource] = []
    try:
        layouts = [(layout_named(layout), path)] if layout else recognise(path)
    except InputError as error:
        findings.error("unreadable", error.path, error.reason)
        layouts = []
    for kind, root in layouts:
        if isinstance(kind, RealFake | Plain):
            kind = type(kind)(images)
        try:
            found += kind.find(root, dataset or kind.dataset or text_of(path.resolve().stem) or "data", findings)
        except InputError as error:
            findings.error("unreadable", error.path, error.reason)
    if layout and not found and not layouts[0][0].matches(path):
        findings = Diagnostics()  # whatever its reader missed follows from that
        findings.error("layout", path, f"does not look like {layout}, which is {layouts[0][0].title}")
    for source in found:
        if "\0" in os.fspath(source.path):
            findings.error("unreadable", path, f"names a path with a null byte: {os.fspath(source.path)!r:.80}")
    found = [source for source in found if "\0" not in os.fspath(source.path)]
    sources = sorted((_placed(s, split) for s in found), key=lambda s: s.key)
    for source in sources:
        if os.path.islink(source.path) and not os.path.exists(source.path):
            findings.warning("dead_link", source.path, f"is a link to {os.readlink(source.path)}, which is not there")
    _contradictions(sources, findings)
    for kind, root in layouts:
        if isinstance(kind, RealFake | Plain) and root.is_dir():  # others have files of their own next to the videos
            _not_read(root, {os.fspath(source.path) for source in sources}, findings)
    for first, second in pairwise(sources):
        if first.key == second.key:
            name = "/".join(filter(None, second.key))
            findings.error("duplicate_id", second.path, f"has the same name ({name}) as {first.path}")
    kept = [f for f in findings.items if not (split and f.code in SPLIT_CODES)]
    homeless = [s for s in sources if s.split is None and s.why]
    return Survey(path, tuple(layouts), [s for s in sources if s.split or not s.why], homeless, kept)


def _contradictions(sources: list[VideoSource], findings: Diagnostics) -> None:
    """One file under two labels, or in two splits."""
    places: dict[str, VideoSource] = {}
    for source in sources:
        first = places.setdefault(os.path.realpath(source.path), source)
        if first.label != source.label:
            real, fake = sorted((first, source), key=lambda s: s.label or 0)
            text = f"is listed as real ({_named(real)}) and as fake ({_named(fake)}): one of them is wrong"
            findings.error("contradictory_labels", source.path, text)
        elif split_of(first) != split_of(source):
            text = f"is in two splits: {split_of(first)} ({_named(first)}) and {split_of(source)} ({_named(source)})"
            findings.warning("same_file_in_two_splits", source.path, text)


def _named(source: VideoSource) -> str:
    return "/".join(filter(None, source.key))


def _not_read(root: Path, known: set[str], findings: Diagnostics) -> None:
    """Files under a data set that are neither pictures nor videos, counted; pictures and videos of kinds that are not read, named."""
    try:
        found = walk(root)
    except InputError:
        return  # said already by whoever reads it
    for error in found.unusable:
        if error.path in known:
            continue
        findings.warning("not_read", error.path, error.reason)
    if found.skipped:
        findings.note(NOT_MEDIA, root, summarise_skipped(item.reason for item in found.skipped))


def find_sources(
    path: str | os.PathLike[str],
    *,
    layout: str | None = None,
    dataset: str | None = None,
    split: str | None = None,
    images: str = "auto",
) -> list[VideoSource]:
    """What is to be read, sorted by key; arguments as of `survey`.

    Files that a list names and that are missing are no error here: they fail by name when they are read.

    Raises:
        InputError: nothing there, a missing or faulty split file, unknown labels or splits, or two files for one key.
        UsageError: an unknown `split` or `layout`.
    """
    return survey(path, layout=layout, dataset=dataset, split=split, images=images).require()


def _placed(source: VideoSource, split: str | None) -> VideoSource:
    if split is None:
        return source
    if split == HASH:
        return replace(source, split=None, why="")
    return replace(source, split=split, why="given from outside (--split)")
