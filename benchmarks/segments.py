"""Are forged parts and forged faces found where they are? Half-forged videos, videos with one forged face of two, and the same unforged.

    python benchmarks/segments.py PREPARED OUT [--split test] [--number 20] [--model MODEL] [--json FILE]

PREPARED is a folder that `fpg-prepare` made of photographs (as `fpg.data.calibration_clips` takes it). The videos are written to OUT once,
the same each time, and kept: photographs of its people under a moving virtual camera, forged by the classical face swap of
`fpg.data.faceswap` with another of them. Of each kind `--number`:

- `half/`: a face is forged for half of the video: its beginning, middle or end; `half-real/`: the same unforged;
- `two/`: two faces side by side, one of them forged all along; `two-real/`: the same unforged;
- `cut/`: two people's unforged videos one after the other.

A segment that is found counts where it lies on the forged face and overlaps the forged time by at least half (intersection over union).
Segments on unforged videos are counted apart, and so are cuts where there is none.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpg.common.console import console, progress, table
from fpg.common.errors import FpgError
from fpg.common.files import write_json
from fpg.common.rng import stream
from fpg.data.as_video import VideoConfig, draw_clip, moving, shrunk
from fpg.data.calibration_clips import Photograph, photographed
from fpg.data.encode import write_video
from fpg.data.faceswap import Donor, swap_face
from fpg.faces import FaceAnalyzer, default_analyzer
from fpg.runtime import VideoDetector
from fpg.runtime.judgement import Judgement

FRAMES, FPS = 96, 12.0
MOTION = VideoConfig(length=FRAMES, face_width=(90, 160), crf=(18, 28), pan=0.25, zoom=0.0004, roll=0.04, noise_sigma=(0.5, 3.0))
OVERLAP = 0.5
"""Intersection over union in time from which a segment is the forged part."""
Pictures = list[np.ndarray]


@dataclass(frozen=True)
class Truth:
    """What is forged in a video: time in seconds, and which of its faces from left to right; None where nothing is."""

    path: Path
    kind: str
    forged: tuple[float, float] | None = None
    face: int = 0
    faces: int = 1


def make(prepared: Path, split: str, out: Path, number: int) -> list[Truth]:
    """Write the videos, unless they are there, and what is forged in them (`truth.json`)."""
    record = out / "truth.json"
    if not record.is_file():
        analyzer = default_analyzer()
        people = photographed(prepared, split, analyzer, 2 * number + 1)
        rows = []
        with progress("Videos") as bar:
            task = bar.add_task("of each kind", total=number)
            for index in range(number):
                rows += [_row(truth, out) for truth in _write(people, index, out, analyzer)]
                bar.advance(task)
        write_json(record, rows)
    found = json.loads(record.read_text(encoding="utf-8"))
    return [Truth(out / row["path"], row["kind"], row["forged"] and tuple(row["forged"]), row["face"], row["faces"]) for row in found]


def _row(truth: Truth, out: Path) -> dict[str, object]:
    return {**vars(truth), "path": str(truth.path.relative_to(out))}


def _write(people: list[Photograph], index: int, out: Path, analyzer: FaceAnalyzer) -> Iterator[Truth]:
    rng = stream(0, "segments", str(index))
    params = draw_clip(rng, MOTION)
    one, other, third = (people[(2 * index + step) % len(people)] for step in (0, 1, 2))
    a, b = (list(moving(shrunk(p.image, float(p.face.box[2] - p.face.box[0]), params), params, FRAMES)) for p in (one, other))
    first = int(rng.choice([0, FRAMES // 4, FRAMES // 2]))
    part = range(first, first + FRAMES // 2)
    kinds: list[tuple[str, Pictures, tuple[float, float] | None, int, int]] = [
        ("half", _forged(a, part, other, index, analyzer), (first / FPS, (first + FRAMES // 2 - 1) / FPS), 0, 1),
        ("half-real", a, None, 0, 1),
    ]
    forged, side = _forged(a, range(FRAMES), third, index + 1, analyzer), int(rng.integers(2))
    whole = (0.0, (FRAMES - 1) / FPS)
    kinds += [("two", _beside(forged, b, side), whole, side, 2), ("two-real", _beside(a, b, side), None, 0, 2)]
    height, width = (min(x[0].shape[axis] for x in (a, b)) // 2 * 2 for axis in (0, 1))
    kinds.append(("cut", [x[:height, :width] for x in a[: FRAMES // 2] + b[: FRAMES // 2]], None, 0, 1))
    for kind, frames, when, face, faces in kinds:
        path = out / kind / f"{index:03d}.mp4"
        write_video(path, frames, fps=FPS, crf=params.crf)
        yield Truth(path, kind, when, face, faces)


def _forged(frames: Pictures, part: range, other: Photograph, index: int, analyzer: FaceAnalyzer) -> Pictures:
    assert other.face.landmarks is not None
    donor, result = Donor(other.image, other.face.landmarks), list(frames)
    for at in part:
        faces = [face for face in analyzer(frames[at]) if face.landmarks is not None and face.landmarks.shape == (81, 2)]
        if faces:
            result[at] = swap_face(frames[at], faces[0], donor, "poisson" if index % 2 else "feather")
    return result


def _beside(a: Pictures, b: Pictures, side: int) -> Pictures:
    """Two videos side by side, `a` in place `side`."""
    height = min(a[0].shape[0], b[0].shape[0]) // 2 * 2
    return [np.hstack([x[:height], y[:height]] if side == 0 else [y[:height], x[:height]]) for x, y in zip(a, b, strict=True)]


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Intersection over union of two stretches of time."""
    both = min(one[1], other[1]) - max(one[0], other[0])
    return max(0.0, both) / max(1e-9, max(one[1], other[1]) - min(one[0], other[0]))


def segments(judgement: Judgement, truth: Truth) -> list[tuple[int, float, float]]:
    """(face from left to right, start, end) of all suspicious segments."""
    middle: dict[int, list[float]] = {}
    for frame in judgement.frames:
        for face in frame.faces:
            middle.setdefault(face.track, []).append((face.box[0] + face.box[2]) / 2)
    width = (judgement.stream or {}).get("width") or 1
    place = {track: min(truth.faces - 1, int(truth.faces * float(np.mean(x)) / width)) for track, x in middle.items()}
    return [(place[track.track], part.start_s, part.end_s) for track in judgement.tracks for part in track.segments]


def measure(truths: list[Truth], judgements: list[Judgement]) -> dict[str, dict[str, float]]:
    """Per kind: videos, true and found segments, hits, precision, recall, F1, videos called fake, cuts."""
    rows: dict[str, dict[str, float]] = {}
    for truth, judgement in zip(truths, judgements, strict=True):
        row = rows.setdefault(truth.kind, dict.fromkeys(("videos", "called_fake", "forged", "found", "hits", "cuts"), 0.0))
        found = segments(judgement, truth)
        hit = truth.forged is not None and any(f == truth.face and overlap((s, e), truth.forged) >= OVERLAP for f, s, e in found)
        new = (1, judgement.verdict == "fake", truth.forged is not None, len(found), hit, len(judgement.shots) - 1)
        for name, value in zip(list(row), new, strict=True):
            row[name] += value
    forged = [row for row in rows.values() if row["forged"]]
    for row in (*forged, rows.setdefault("all forged", {name: sum(r[name] for r in forged) for name in forged[0]} if forged else {})):
        if row:
            row["precision"] = row["hits"] / row["found"] if row["found"] else 0.0
            row["recall"] = row["hits"] / row["forged"]
            total = row["precision"] + row["recall"]
            row["f1"] = 2 * row["precision"] * row["recall"] / total if total else 0.0
    return rows


def main(argv: list[str] | None = None) -> int:
    """Make, judge, measure; returns the exit code."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("prepared", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--split", default="test")
    p.add_argument("--number", type=int, default=20, help="videos of each kind (default: %(default)s)")
    p.add_argument("--model", help="as of fpg-detect (default: the starter)")
    p.add_argument("--frames", type=int, default=32, help="frames examined per video (default: %(default)s)")
    p.add_argument("--threshold", type=float, help="probability from which a face is called fake (default: the model's own)")
    p.add_argument("--json", type=Path, help="write the numbers")
    options = p.parse_args(argv)
    try:
        truths = make(options.prepared, options.split, options.out, options.number)
        judging = VideoDetector(options.model, frames=options.frames, threshold=options.threshold, highlights=0)
        with judging as detector, progress("Judging") as bar:
            judgements = list(bar.track(detector.judge_many([t.path for t in truths]), total=len(truths)))
    except FpgError as error:
        console.print(f"error: {error}", markup=False)
        return 1
    rows = measure(truths, judgements)
    if options.json:
        write_json(options.json, rows)
    head = ["kind", "videos", "called_fake", "forged", "found", "hits", "cuts", "precision", "recall", "f1"]
    table("segments", head, [[kind, *(f"{row[n]:.3g}" if n in row else "-" for n in head[1:])] for kind, row in rows.items()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
