"""fpg-detect: judge videos, images and folders of them."""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fpg.cli.entry import needed, run
from fpg.cli.inputs import expand
from fpg.cli.model_option import add_model, model_before, tell_model
from fpg.cli.options import add_timeout
from fpg.common.console import one_line, progress
from fpg.common.errors import InputError, UsageError
from fpg.common.files import atomic_write, cell, write_json
from fpg.data.pool import WorkerDied
from fpg.data.ray_pool import run_on_ray
from fpg.data.seek import check_device
from fpg.data.video import IMAGE_SUFFIXES
from fpg.engines import Engine, load_engine
from fpg.engines.resolve import Model, resolve
from fpg.faces import default_analyzer
from fpg.faces.sizes import MIN_FACE
from fpg.runtime.face_engines import engine_analyzer
from fpg.runtime.inputs import DECODERS, URL_EVERY, is_url
from fpg.runtime.judgement import FACES, Judgement, describe_model, describe_protocol, failure, limit, printable
from fpg.runtime.pipeline import Analyzer, VideoDetector
from fpg.runtime.report import let_go, write_detect_report
from fpg.runtime.show_frames import ShownFrames
from fpg.runtime.stages import StageTimes
from fpg.runtime.video_overlay import write_overlay

EXAMPLES = """examples:
  fpg-detect clip.mp4
  fpg-detect clip.mp4 photo.jpg folder/ --json out.json --report out.html
  fpg-detect long.mp4 --every 25 --threshold 0.7 --overlay seen.mp4
  fpg-detect --model engine/model.xml folder/ --jobs 4 --csv faces.csv --stats

The first line on the standard output says what judges; then comes one per input: score, verdict, path. A model file in front of the
inputs is taken for the model, too. The exit code is 1 when an input could not be judged
(damaged, no face, ...): it is named on the standard error and in the output files, with a code, and the other inputs are still judged.
It is 2 when nothing could be judged: wrong usage, or a model that cannot be used."""


class _Default(int):
    """A number that nobody gave: told apart from the same one given."""


DEFAULT_FRAMES = _Default(32)


def parser() -> argparse.ArgumentParser:
    """The command line of fpg-detect."""
    p = argparse.ArgumentParser(
        prog="fpg-detect",
        description="Judge whether the faces in videos and images were forged. Folders are searched for videos and images, recursively.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("inputs", metavar="INPUT", nargs="+", help="a video, an image or a folder")
    add_model(p)
    p.add_argument("--json", metavar="FILE", help="write every score as JSON")
    p.add_argument("--csv", metavar="FILE", help="write a line per judged face, and one per input that could not be judged")
    p.add_argument("--report", metavar="FILE", help="write a report: one self-contained HTML page")
    p.add_argument(
        "--overlay",
        metavar="OUT",
        help="write the video with boxes, scores of tracks and heat maps drawn on it: a file for one input (.mp4, or .png for an image), "
        "else a folder",
    )
    p.add_argument(
        "--show-frames", metavar="DIR", help="write the frames and crops that were judged as PNG, upright as judged, and an index.json"
    )
    p.add_argument("--every", type=positive, metavar="N", help="look at every N-th frame instead of a number of them")
    p.add_argument(
        "--decode",
        choices=list(DECODERS),
        default="whole",
        help="whole: all up to the last wanted frame, and damage before it is an error (default); needed: only what the wanted frames "
        "need, for long videos; cuda: the same on the GPU's decoder",
    )
    p.add_argument(
        "--min-face",
        type=face_pixels,
        default=MIN_FACE,
        metavar="PIXELS",
        help="smallest face that is looked for and judged: root of the area of its box (default: %(default)s)",
    )
    p.add_argument("--face-engines", metavar="DIR", help="run the face networks on the engines there (fpg-export --faces)")
    p.add_argument("--jobs", type=positive, default=1, metavar="N", help="inputs judged at the same time (default: 1)")
    p.add_argument("--stats", action="store_true", help="say at the end how long each stage took, on the standard error")
    p.add_argument(
        "--urls",
        action="store_true",
        help="open inputs that are URLs (https, rtsp, ...): one frame in --every (default: 25), up to --frames of them",
    )
    p.add_argument(
        "--threshold", type=probability, metavar="P", help="probability from which the verdict is fake (default: the model's own)"
    )
    p.add_argument("--ray", metavar="ADDRESS", help="judge on this Ray cluster (HOST:PORT, auto, local); its nodes share model and inputs")
    add_shared(p)
    return p


def add_shared(p: argparse.ArgumentParser) -> None:
    """Options that fpg-detect and fpg-eval share."""
    p.add_argument(
        "--frames",
        type=frame_count,
        default=DEFAULT_FRAMES,
        metavar="N|all",
        help="frames per video, evenly spaced (default: 32); data prepared by fpg-prepare keeps its own",
    )
    p.add_argument("--batch", type=positive, default=16, metavar="N", help="faces per call of the network (default: 16)")
    add_timeout(p)
    p.add_argument("--device", default="auto", help="where the network runs: auto, cpu, cuda, ... (default: auto)")
    p.add_argument("--threads", type=thread_count, metavar="N", help="CPU threads of the network (default: all)")


def probability(text: str) -> float:
    """argparse type: a number in [0, 1]."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return value


def positive(text: str) -> int:
    """argparse type: a whole number from 1 to a million."""
    value = int(text)
    if not 1 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 1000000, got {text}")
    return value


def face_pixels(text: str) -> int:
    """argparse type: the size of a face, a whole number of pixels from 1 to 10000."""
    value = int(text)
    if not 1 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"expected a whole number of pixels from 1 to 10000, got {text}")
    return value


def thread_count(text: str) -> int:
    """argparse type: a whole number from 1 to 1024."""
    value = int(text)
    if not 1 <= value <= 1024:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 1024, got {text}")
    return value


def frame_count(text: str) -> int | None:
    """argparse type: an integer of at least 1, or `all` (None)."""
    return None if text == "all" else positive(text)


def check_outputs(*paths: str | None) -> None:
    """Refuse output names that are folders, before any work is done.

    Raises:
        UsageError: one of them is a folder, or two are the same file.
    """
    given = [os.path.abspath(p) for p in paths if p]
    for path in given:
        if os.path.isdir(path):
            raise UsageError(f"{path} is a folder: name the file to write")
    if len(set(given)) < len(given):
        raise UsageError("two outputs name the same file")


@dataclass(frozen=True)
class _Judge:
    """Judges files on a Ray worker: calling it builds engine and analyzer and gives the function that does."""

    engine: Callable[[], Engine]
    analyzer: Callable[[], Analyzer]
    options: dict[str, Any]

    def __call__(self) -> Callable[[str], Judgement | WorkerDied]:
        return VideoDetector(self.engine(), self.analyzer, **self.options).judge


def _judgements(
    arguments: argparse.Namespace, model: Model, files: Sequence[Path | str], detector: VideoDetector, finder: Callable[[], Analyzer]
) -> Iterator[tuple[int, Judgement]]:
    """(index, judgement) of every file, here or on a Ray cluster, where the order is that of completion."""
    if arguments.ray is None:
        yield from enumerate(detector.judge_many(files))
        return
    options = detector.options
    load = functools.partial(load_engine, os.path.abspath(model.path), device=arguments.device, threads=arguments.threads or 1)
    work = _Judge(load, finder, vars(options))
    gpus = int(arguments.device.startswith("cuda"))
    paths = [str(name) if is_url(name) else os.path.abspath(name) for name in files]
    with contextlib.closing(run_on_ray(paths, work, arguments.ray, gpus=gpus)) as outcomes:
        for index, outcome in outcomes:
            if isinstance(outcome, WorkerDied):
                outcome = failure(files[index], InputError(files[index], outcome.reason, "worker"), detector.engine, options.threshold)
            yield index, replace(outcome, input=printable(files[index]))


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those of `fpg.runtime.options.Options`.

    Raises:
        UsageError: options that contradict each other.
    """
    if arguments.show_frames and arguments.ray:
        raise UsageError("--show-frames: not with --ray, whose nodes have folders of their own")
    urls = [is_url(name) for name in arguments.inputs]
    some_urls = any(urls)
    frames, every = arguments.frames, arguments.every
    if every is not None and some_urls and not all(urls):
        raise UsageError("--every: give files and URLs in calls of their own (of a URL at most --frames are looked at, of a file all)")
    if every is not None and not some_urls:
        if frames is not None and not isinstance(frames, _Default):
            raise UsageError("--frames and --every: give one of them")
        frames = None
    return {
        "frames": frames,
        "every": every or (URL_EVERY if some_urls else 1),
        "batch": arguments.batch,
        "threshold": arguments.threshold,
        "highlights": 6 * bool(arguments.report),
        "maps": bool(arguments.overlay),
        "urls": arguments.urls,
        "decode": arguments.decode,
        "min_face": arguments.min_face,
        "shown": ShownFrames(arguments.show_frames) if arguments.show_frames else None,
        "timeout": arguments.timeout or None,
    }


def detect(arguments: argparse.Namespace, engine: Engine, model: Model) -> int:
    """Judge everything and write what was asked for; the exit code."""
    options = options_of(arguments)
    inputs = expand(arguments.inputs)
    files, errors = inputs.files, list(inputs.errors)
    overlays = overlay_paths(arguments.overlay, files) if arguments.overlay else {}
    results: list[Judgement] = []
    order: list[int] = []
    if arguments.decode == "cuda":
        check_device("cuda")
    finder: Callable[[], Analyzer] = default_analyzer
    if arguments.min_face != MIN_FACE:
        finder = functools.partial(default_analyzer, min_face=arguments.min_face)
    if arguments.face_engines:
        folder = os.path.abspath(arguments.face_engines)
        finder = functools.partial(engine_analyzer, folder, device=arguments.device, min_face=arguments.min_face)
        with needed():
            finder()  # complain before anything is judged
    with VideoDetector(engine, finder, jobs=arguments.jobs, **options) as detector, progress("judging") as bar:
        task = bar.add_task("", total=len(files))
        start = time.perf_counter()
        for index, result in _judgements(arguments, model, files, detector, finder):
            if index in overlays:
                errors += _overlay(overlays[index], result)
                result = replace(result, frames=tuple(frame.without_maps() for frame in result.frames))
            order.append(index)
            results.append(result)
            let_go(results)
            bar.advance(task)
        seconds = time.perf_counter() - start
    threshold = limit(engine, arguments.threshold)
    results = [results[at] for at in sorted(range(len(order)), key=order.__getitem__)]
    results += [failure(e.path, e, engine, threshold) for e in errors]
    described = describe_model(engine.spec, model.name)
    protocol = describe_protocol(options["frames"], options["every"], options["decode"], engine.spec.crop)
    protocol |= {"faces": FACES, "min_face": arguments.min_face}
    try:
        if arguments.json:
            value = {"model": described, "protocol": protocol, "warnings": described["warnings"], "results": [r.to_json() for r in results]}
            value["skipped"] = [{"path": printable(item.path), "reason": item.reason} for item in inputs.skipped]
            write_json(arguments.json, value)
        if arguments.csv:
            write_csv(arguments.csv, results)
        if arguments.report:
            write_detect_report(arguments.report, results, described, protocol, threshold)
        if options["shown"]:
            options["shown"].finish()
    finally:  # a file that cannot be written does not hide the verdicts, and `| head` does not stop the files
        show(results)
        for note in inputs.notes:
            print(one_line(f"note: {note}"), file=sys.stderr, flush=True)
        if arguments.stats:
            show_stats(results, detector.times, seconds)
    return 1 if any(r.error for r in results) else 0


def overlay_paths(out: str, files: Sequence[Path | str]) -> dict[int, Path]:
    """Where the drawn copy of each input goes, by its place among them.

    Raises:
        UsageError: one file for several inputs, two copies of one name, or a copy that would take its input's place.
    """
    one = bool(os.path.splitext(out)[1])
    if one and len(files) > 1:
        raise UsageError(f"--overlay: {out} is one file, for {len(files)} inputs: name a folder")
    paths: dict[int, Path] = {}
    for index, name in enumerate(map(Path, files)):
        image = name.suffix.lower() in IMAGE_SUFFIXES
        paths[index] = Path(out) if one else Path(out) / f"{name.stem}-overlay{'.png' if image else '.mp4'}"
    twice = next((path for path, count in Counter(paths.values()).items() if count > 1), None)
    if twice is not None:
        raise UsageError(f"--overlay: two inputs would be drawn to {twice}; judge them apart")
    taken = {os.path.realpath(name) for name in files} & {os.path.realpath(path) for path in paths.values()}
    if taken:
        raise UsageError(f"--overlay: {taken.pop()} is an input and would be lost: name another file")
    return paths


def _overlay(path: Path, result: Judgement) -> list[InputError]:
    """Draw a judgement; what cannot be drawn is an error of its own, beside the verdict."""
    if result.frames:
        try:
            write_overlay(path, result)
        except InputError as error:
            return [error]
    return []


def write_csv(path: str | os.PathLike[str], results: Sequence[Judgement]) -> None:
    """A line per judged face, and one with the reason per input that could not be judged; atomically.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_write(path, "w") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["input", "frame", "time_s", "x0", "y0", "x1", "y1", "score", "track", "error", "error_code", "warnings"])
        for result in results:
            name, warnings = cell(result.input), cell("; ".join(result.warnings))
            if result.error:
                lines.writerow([name, *[""] * 8, cell(result.error), result.error_code, warnings])
            for frame in result.frames:
                for face in frame.faces:
                    box = [f"{v:.2f}" for v in face.box]
                    lines.writerow([name, frame.index, f"{frame.time_s:.4f}", *box, f"{face.score:.6f}", face.track, "", "", warnings])


def show_stats(results: Sequence[Judgement], times: StageTimes, seconds: float) -> None:
    """What `--stats` prints."""
    frames = sum(len(r.frames) for r in results)
    faces = sum(len(f.faces) for r in results for f in r.frames)
    judged = sum(r.score is not None for r in results)
    rates = f"{judged / seconds:.2f} inputs/s, {frames / seconds:.1f} frames/s, {faces / seconds:.1f} faces/s"
    print(f"\n{judged} inputs, {frames} frames and {faces} faces in {seconds:.2f} s: {rates}", file=sys.stderr)
    print("stage      count   share   p50 ms   p95 ms   p99 ms", file=sys.stderr)
    for row in times.summary():
        ms = "".join(f"{v:9.1f}" for v in (row.p50_ms, row.p95_ms, row.p99_ms))
        print(f"{row.stage:<8}{row.number:>8}{row.total_s / seconds:>8.0%}{ms}", file=sys.stderr)
    print("share: of the whole time; stages run at the same time. Decoding is per frame looked at, the network per batch.", file=sys.stderr)


def show(results: Sequence[Judgement]) -> None:
    """One line per judged input on the standard output, one per failure on the standard error."""
    print("score  verdict  frames  input", flush=True)
    for r in results:
        if r.score is None:
            print(f"    -  -             -  {one_line(r.input)}", flush=True)
            print(f"error: {one_line(r.input)}: {one_line(r.error or '')}", file=sys.stderr, flush=True)
        else:
            print(f"{r.score:5.3f}  {r.verdict:<7}  {r.frames_with_face:>6}  {one_line(r.input)}", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Entry point of `fpg-detect`."""

    def body() -> int:
        p = parser()
        arguments = p.parse_args(argv)
        check_outputs(arguments.json, arguments.csv, arguments.report)
        arguments.model, arguments.inputs = model_before(arguments.model, arguments.inputs)
        if not arguments.inputs:
            p.error("expected at least one INPUT")
        with needed():
            model = resolve(arguments.model, device=arguments.device)
            engine = load_engine(model.path, device=arguments.device, threads=arguments.threads)
        tell_model(engine.spec, model, arguments.threshold)
        return detect(arguments, engine, model)

    return run(body)


if __name__ == "__main__":
    sys.exit(main())
