"""fpg-detect: judge videos, images and folders of them."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fpg.cli.entry import run
from fpg.common.console import one_line, progress
from fpg.common.errors import InputError, UsageError
from fpg.common.files import write_json
from fpg.data.pool import WorkerDied
from fpg.data.ray_pool import run_on_ray
from fpg.data.sources import natural
from fpg.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from fpg.engines import Engine, load_engine
from fpg.faces import default_analyzer
from fpg.runtime.pipeline import Analyzer, Judgement, describe_model, describe_protocol, failure, judge, judge_many, printable
from fpg.runtime.report import let_go, write_detect_report

EXAMPLES = """examples:
  fpg-detect run/model.safetensors clip.mp4
  fpg-detect engine/model.xml clip.mp4 photo.jpg folder/ --json out.json --report out.html
  fpg-detect engine/model.xml long.mp4 --frames all --threshold 0.7

One line per input goes to the standard output: score, verdict, path. The exit code is 1 when an input could not be judged
(damaged, no face, ...): it is named on the standard error and in the output files, and the other inputs are still judged."""

FACES = "MediaPipe's face detector and mesh, in every frame looked at"


def parser() -> argparse.ArgumentParser:
    """The command line of fpg-detect."""
    p = argparse.ArgumentParser(
        prog="fpg-detect",
        description="Judge whether the faces in videos and images were forged. Folders are searched for videos and images, recursively.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "model", metavar="CKPT_OR_ENGINE", help="weights (.safetensors) or an engine (.xml, .onnx), with its .spec.json beside it"
    )
    p.add_argument("inputs", metavar="INPUT", nargs="+", help="a video, an image or a folder")
    p.add_argument("--json", metavar="FILE", help="write every score as JSON")
    p.add_argument("--report", metavar="FILE", help="write a report: one self-contained HTML page")
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
        default=32,
        metavar="N|all",
        help="frames per video, evenly spaced (default: 32); data prepared by fpg-prepare keeps its own",
    )
    p.add_argument("--batch", type=positive, default=16, metavar="N", help="faces per call of the network (default: 16)")
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


def expand(inputs: Sequence[str]) -> tuple[list[Path], list[InputError]]:
    """Files to judge: folders give every video and image in them, recursively, each file once.

    Returns:
        the files in order, and an error for each folder without any.

    Raises:
        UsageError: an empty name.
    """
    files: dict[Path, None] = {}
    errors: list[InputError] = []
    for name in inputs:
        if not name:
            raise UsageError("INPUT: expected a file or folder, got an empty name")
        path = Path(name)
        if not os.path.isdir(path):
            files.setdefault(path)
            continue
        found = [p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES and not _hidden(p, path) and p.is_file()]
        for file in sorted(found, key=natural):
            files.setdefault(file)
        if not found:
            errors.append(InputError(path, "the folder holds no videos or images"))
    return list(files), errors


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


@dataclass(frozen=True)
class _Judge:
    """Judges files on a Ray worker: calling it builds engine and analyzer and gives the function that does."""

    engine: Callable[[], Engine]
    analyzer: Callable[[], Analyzer]
    options: dict[str, Any]

    def __call__(self) -> Callable[[str], Judgement]:
        engine, analyzer = self.engine(), self.analyzer()
        return lambda path: judge(path, engine, analyzer, **self.options)


def _judgements(arguments: argparse.Namespace, files: Sequence[Path], engine: Engine, **options: Any) -> Iterator[tuple[int, Judgement]]:
    """(index, judgement) of every file, here or on a Ray cluster, where the order is that of completion."""
    if arguments.ray is None:
        yield from enumerate(judge_many(files, engine, default_analyzer(), **options))
        return
    load = functools.partial(load_engine, os.path.abspath(arguments.model), device=arguments.device, threads=arguments.threads or 1)
    work = _Judge(load, default_analyzer, options)
    gpus = int(arguments.device.startswith("cuda"))
    with contextlib.closing(run_on_ray([os.path.abspath(f) for f in files], work, arguments.ray, gpus=gpus)) as outcomes:
        for index, outcome in outcomes:
            if isinstance(outcome, WorkerDied):
                outcome = failure(files[index], InputError(files[index], outcome.reason), engine, options["threshold"])
            yield index, replace(outcome, input=printable(files[index]))


def detect(arguments: argparse.Namespace, engine: Engine) -> int:
    """Judge everything and write what was asked for; the exit code."""
    files, errors = expand(arguments.inputs)
    threshold = engine.spec.threshold if arguments.threshold is None else arguments.threshold
    results: list[Judgement] = []
    order: list[int] = []
    with progress("judging") as bar:
        task = bar.add_task("", total=len(files))
        highlights = 6 * bool(arguments.report)
        options = {"frames": arguments.frames, "batch": arguments.batch, "threshold": threshold, "highlights": highlights}
        for index, result in _judgements(arguments, files, engine, **options):
            order.append(index)
            results.append(result)
            let_go(results)
            bar.advance(task)
    results = [results[at] for at in sorted(range(len(order)), key=order.__getitem__)]
    results += [Judgement(printable(e.path), None, None, threshold, error=e.reason) for e in errors]
    model, protocol = describe_model(engine.spec, arguments.model), {**describe_protocol(arguments.frames), "faces": FACES}
    try:
        if arguments.json:
            write_json(arguments.json, {"model": model, "protocol": protocol, "results": [r.to_json() for r in results]})
        if arguments.report:
            write_detect_report(arguments.report, results, model, protocol, threshold)
    finally:  # a file that cannot be written does not hide the verdicts, and `| head` does not stop the files
        show(results)
    return 1 if any(r.error for r in results) else 0


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
        arguments = parser().parse_args(argv)
        check_outputs(arguments.json, arguments.report)
        engine = load_engine(arguments.model, device=arguments.device, threads=arguments.threads)
        return detect(arguments, engine)

    return run(body)


if __name__ == "__main__":
    sys.exit(main())
