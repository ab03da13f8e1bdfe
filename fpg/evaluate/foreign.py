"""Scores of other tools: a CSV, or what DeepfakeBench saves, become results like fpg's own, so that one table can hold both.

DeepfakeBench (NeurIPS 2023) saves two pickles per data set in aligned order: `data_dict_test.pickle` with `image` (paths of
frames) and `metric_dict_best.pickle` with `pred` and `label`. Pickles can run code and are not read here: `PICKLES` says how to
turn them into JSON where they were made. Its own video AUC groups frames by the name of their folder alone, which mixes the
manipulations of FaceForensics++; here a video is told by the whole path.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fpg.common.errors import InputError
from fpg.common.files import sha256
from fpg.data.layouts.base import read_json, read_text, slashes
from fpg.data.manifest import FAKE, REAL
from fpg.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from fpg.evaluate.protocol import Result
from fpg.runtime.judgement import FaceScore, FrameScore, Judgement, printable
from fpg.runtime.scores import video_score

COLUMNS = {
    "video": ("video", "path", "filename", "file"),
    "label": ("label",),
    "score": ("score", "pred", "prediction", "probability"),
    "dataset": ("dataset",),
    "method": ("method",),
    "frame": ("frame",),
}
"""What a CSV's columns may be called; the first three are needed."""
WORDS = {"0": REAL, "real": REAL, "1": FAKE, "fake": FAKE, "0.0": REAL, "1.0": FAKE}
KEPT_APART = frozenset({"frames", "videos", "faces", "crops"})
"""Folders that say how data lie on disk, not which video it is."""
NO_BOX = (0.0, 0.0, 0.0, 0.0)
PICKLES = (
    'pickles can run code and are not read; where they were made, run: python -c "import json, pickle; '
    "a = pickle.load(open('data_dict_test.pickle', 'rb')); b = pickle.load(open('metric_dict_best.pickle', 'rb')); "
    "json.dump({'image': list(a['image']), 'pred': [float(v) for v in b['pred']], 'label': [int(v) for v in b['label']]}, "
    "open('scores.json', 'w'))\" and give scores.json"
)
PROTOCOL = {
    "unit": "video",
    "frames": "as the other tool chose",
    "sampling": "as the other tool chose",
    "crop": "as the other tool chose",
    "aggregation": "video score = mean over the frames in the file, or the video's own score where it holds one",
    "frames_text": "frames as the other tool chose",
    "aggregation_text": "scores read from a file",
}


@dataclass(frozen=True)
class _Row:
    place: str
    parts: tuple[str, ...]
    """Of the video's path, without suffix."""
    label: int
    score: float | None
    dataset: str
    method: str
    frame: int | None


def read_scores(path: str | os.PathLike[str], threshold: float = 0.5) -> list[Result]:
    """Results of another tool, sorted by key.

    Args:
        path: a CSV with a heading (`video,label,score`, optionally `dataset,method,frame`: one line per video, or per frame), or a
            JSON `{"image": [..], "pred": [..], "label": [..]}`, or `{DATASET: such}`. A missing score is a failed video.
        threshold: probability from which a verdict says fake.

    Raises:
        InputError: not such a file, a label or score that is none (with its line), a video twice or with two labels.
    """
    path = Path(path)
    if path.suffix.lower() in (".pickle", ".pkl"):
        raise InputError(path, PICKLES)
    rows = list(_from_json(path) if path.suffix.lower() == ".json" else _from_csv(path))
    if not rows:
        raise InputError(path, "holds no scores")
    videos: dict[tuple[str, ...], list[_Row]] = {}
    for row in rows:
        videos.setdefault((row.dataset, row.method, *row.parts), []).append(row)
    return sorted((_result(path, list(group), threshold) for group in videos.values()), key=lambda r: (r.dataset, r.method, r.video))


def describe_tool(path: str | os.PathLike[str], threshold: float) -> dict[str, Any]:
    """What judged, as `fpg.runtime.judgement.describe_model` says it for fpg's own models."""
    return {
        "file": printable(path),
        "sha256": sha256(path),
        "backend": "scores",
        "backbone": None,
        "image_size": None,
        "precision": None,
        "threshold": threshold,
        "temperature": None,
        "warnings": [],
        "provenance": {"method": "scores of another tool"},
    }


def _from_csv(path: Path) -> Iterator[_Row]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    try:
        lines = list(reader)
    except csv.Error as error:
        raise InputError(path, f"line {reader.line_num}: is not CSV: {error}") from error
    if not lines:
        raise InputError(path, "is empty")
    heading = [name.strip().lower() for name in lines[0]]
    at = {name: next((heading.index(word) for word in words if word in heading), None) for name, words in COLUMNS.items()}
    missing = [name for name in ("video", "label", "score") if at[name] is None]
    if missing:
        raise InputError(path, f"heading: expected video,label,score, optionally dataset,method,frame; got {','.join(lines[0])[:80]}")
    for number, cells in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(heading):
            raise InputError(path, f"line {number}: expected {len(heading)} cells, got {len(cells)}")
        value = {name: "" if column is None else cells[column].strip() for name, column in at.items()}
        place = f"line {number}"
        if not value["video"]:
            raise InputError(path, f"{place}: names no video")
        frame = _frame(path, place, value["frame"]) if at["frame"] is not None else None
        label, score = _label(path, place, value["label"]), _score(path, place, value["score"])
        yield _Row(place, identifying_parts(value["video"]), label, score, value["dataset"], value["method"], frame)


def _from_json(path: Path) -> Iterator[_Row]:
    content = read_json(path)
    if isinstance(content, dict) and "per_video" in content:
        raise InputError(path, "is an evaluation of fpg-eval already: give it to fpg-compare or to --against as it is")
    sets = {"": content} if isinstance(content, dict) and "pred" in content else content
    if not isinstance(sets, dict) or not all(isinstance(v, dict) for v in sets.values()):
        raise InputError(path, 'expected {"image": [..], "pred": [..], "label": [..]}, or {DATASET: such}')
    for dataset, value in sets.items():
        lists = [value.get(name) for name in ("image", "pred", "label")]
        if not all(isinstance(v, list) for v in lists) or len({len(v) for v in lists if isinstance(v, list)}) != 1:
            raise InputError(path, f"{dataset or 'top'}: expected lists image, pred and label of one length")
        for index, (image, score, label) in enumerate(zip(*(v for v in lists if v is not None), strict=True)):
            place = f"{dataset + ': ' if dataset else ''}image[{index}]"
            name = image[0] if isinstance(image, list) and image else image  # a clip of frames is judged at once by video networks
            if not isinstance(name, str) or not identifying_parts(name, whole=True):
                raise InputError(path, f"{place}: expected the path of a frame, got {image!r:.60}")
            *folder, file = identifying_parts(name, whole=True)
            number = re.findall(r"\d+", file)
            parts = _told(folder or [file])
            yield _Row(
                place,
                parts,
                _label(path, place, str(label)),
                _score(path, place, "" if score is None else str(score)),
                str(dataset),
                "",
                int(number[-1][-18:]) if number else index,
            )


def identifying_parts(name: str, whole: bool = False) -> tuple[str, ...]:
    """A path's parts without suffix and, unless `whole`, without folders that do not tell videos apart."""
    text = slashes(name)
    suffix = Path(text).suffix
    if suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
        text = text[: -len(suffix)]
    parts = [p for p in text.split("/") if p and p != "."]
    return tuple(parts) if whole else _told(parts)


def _told(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(p for p in parts[:-1] if p.lower() not in KEPT_APART) + tuple(parts[-1:])


def _label(path: Path, place: str, text: str) -> int:
    if text.strip().lower() not in WORDS:
        raise InputError(path, f"{place}: label: expected 0, 1, real or fake, got {text!r}")
    return WORDS[text.strip().lower()]


def _score(path: Path, place: str, text: str) -> float | None:
    if text.strip().lower() in ("", "nan", "none", "null"):
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise InputError(path, f"{place}: score: expected a probability from 0 to 1, got {text!r:.40} (apply the sigmoid to logits first)")
    return value


def _frame(path: Path, place: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(path, f"{place}: frame: expected a whole number, got {text!r}") from None


def _result(path: Path, rows: list[_Row], threshold: float) -> Result:
    first = rows[0]
    name = "/".join(first.parts)
    if len({row.label for row in rows}) > 1:
        raise InputError(path, f"{name}: is real on {rows[0].place} and fake elsewhere, or the reverse")
    frames = [row.frame for row in rows]
    if len(rows) > 1 and (None in frames):
        raise InputError(path, f"{rows[1].place}: {name} comes twice (also on {first.place}); frames need a column `frame`")
    kept = sorted((row for row in rows if row.score is not None), key=lambda row: row.frame or 0)
    scores = tuple(FrameScore(row.frame or 0, 0.0, (FaceScore(NO_BOX, row.score),)) for row in kept if row.score is not None)
    value = video_score(f.score for f in scores)
    verdict = None if value is None else "fake" if value >= threshold else "real"
    error = f"has no score in {printable(path)}" if value is None else None
    dataset = first.dataset or path.stem
    method = "" if first.label == REAL else first.method or _method(first.parts)
    judgement = Judgement(printable(name), value, verdict, threshold, scores, error, None if error is None else "missing")
    return Result(dataset, method, printable(name), first.label, judgement, len(rows))


def _method(parts: tuple[str, ...]) -> str:
    """The folder above a fake video, compression levels aside."""
    above = [p for p in parts[:-1] if p not in ("raw", "c23", "c40")]
    return above[-1] if above else ""


def match(results: Sequence[Result], reference: str | os.PathLike[str]) -> tuple[list[Result], list[str]]:
    """Give results the keys (data set, manipulation, video) of the same videos in an evaluation of fpg-eval, told by the ends of their
    paths.

    Returns:
        the results, and the names of those that the reference does not have (they keep their own keys).

    Raises:
        InputError: the reference is no evaluation; a name fits several of its videos; two names fit one; labels contradict.
    """
    path = Path(reference)
    content = read_json(path)
    entries = content.get("per_video") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise InputError(path, "is not an evaluation of fpg-eval (it has no list per_video)")
    index: dict[str, list[tuple[dict[str, Any], list[tuple[str, ...]]]]] = {}
    for entry in entries:
        whole = "/".join(str(entry.get(name, "")) for name in ("dataset", "method", "video"))
        tails = [_lower(identifying_parts(whole)), _lower(identifying_parts(str(entry.get("source", ""))))]
        for last in {tail[-1] for tail in tails if tail}:
            index.setdefault(last, []).append((entry, tails))
    found, unknown = [], []
    taken: dict[tuple[str, str, str], str] = {}
    for result in results:
        own = _lower(identifying_parts(f"{result.dataset}/{result.video}"))
        ranked = sorted(
            ((max(common_end(own, tail) for tail in tails), entry) for entry, tails in index.get(own[-1], [])), key=lambda p: -p[0]
        )
        best = [entry for length, entry in ranked if length == ranked[0][0]]
        same = [entry for entry in best if entry.get("label") == result.label]
        if not best:
            unknown.append(result.name)
            found.append(result)
            continue
        if not same:
            raise InputError(path, f"{result.name}: is {'fake' if result.label else 'real'} in the scores and the reverse here")
        keys = [(str(e.get("dataset", "")), str(e.get("method", "")), str(e.get("video", ""))) for e in same]
        if len(keys) > 1:
            names = " and ".join("/".join(filter(None, key)) for key in keys[:2])
            raise InputError(path, f"{result.name}: fits {names}; write more of its path, or the columns dataset and method")
        if keys[0] in taken:
            raise InputError(path, f"{'/'.join(filter(None, keys[0]))}: fits both {taken[keys[0]]} and {result.name}")
        taken[keys[0]] = result.name
        dataset, method, video = keys[0]
        compression = str(same[0].get("compression") or "")
        found.append(replace(result, dataset=dataset, method=method, video=video, compression=compression))
    return found, unknown


def _lower(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.lower() for part in parts)


def common_end(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Length of the common end."""
    length = 0
    for a, b in zip(reversed(first), reversed(second), strict=False):
        if a != b:
            break
        length += 1
    return length
