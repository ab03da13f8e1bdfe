"""fpg-detect: judge videos, images and folders of them."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fpg.cli.detect_options import LIVE_S, check, is_live, options_of, parser, settings
from fpg.cli.entry import Terminated, needed, run
from fpg.cli.inputs import Inputs, expand
from fpg.cli.live import Live, together
from fpg.cli.model_option import model_before, tell_model
from fpg.cli.options import Default
from fpg.cli.overlays import Overlays
from fpg.cli.results import ARRIVED, FILES, LOST, Place, Results, write_csv
from fpg.cli.screen import Screen
from fpg.cli.verify import verify
from fpg.cli.watch import arrivals
from fpg.common.errors import InputError
from fpg.data.pool import WorkerDied
from fpg.data.ray_pool import run_on_ray
from fpg.data.seek import check_device
from fpg.data.video import CAMERA
from fpg.engines import Engine, load_engine
from fpg.engines.resolve import Model, resolve
from fpg.faces import default_analyzer
from fpg.faces.sizes import MIN_FACE
from fpg.record.run import RunRecord, command_line, now, record_model
from fpg.record.schema import SCHEMA
from fpg.record.spool import Spool, write_results
from fpg.runtime.face_engines import engine_analyzer
from fpg.runtime.inputs import is_url
from fpg.runtime.judgement import Judgement, describe_model, describe_protocol, failure, limit, printable
from fpg.runtime.pipeline import Analyzer, VideoDetector
from fpg.runtime.report import write_detect_report
from fpg.runtime.report_pdf import find_browser, print_page

FACES = "MediaPipe's face detector and mesh, in every frame looked at: the whole, then tiles while a face that counts could be missed"
UNFINISHED = ".unfinished.jsonl"
"""Behind the name of `--json`: results of a run that has not ended, where no `--jsonl` is named."""


@dataclass(frozen=True)
class _Judge:
    """Judges files on a Ray worker: calling it builds engine and analyzer and gives the function that does."""

    engine: Callable[[], Engine]
    analyzer: Callable[[], Analyzer]
    options: dict[str, Any]

    def __call__(self) -> Callable[[str], Judgement | WorkerDied]:
        return VideoDetector(self.engine(), self.analyzer, **self.options).judge


@dataclass
class _Session:
    """One run: what judges, what is judged, and where results go."""

    arguments: argparse.Namespace
    engine: Engine
    model: Model
    options: dict[str, Any]
    inputs: Inputs
    screen: Screen
    results: Results
    overlays: Overlays | None

    def judge(self, detector: VideoDetector, finder: Callable[[], Analyzer]) -> None:
        """Judge everything that is there and that comes."""
        files = self.inputs.files
        endless = [str(name) for name in files if _is_endless(name, self.arguments)]
        todo = [
            number
            for number, name in enumerate(files)
            if not (_is_endless(name, self.arguments) or self.results.take_known((FILES, number), name))
        ]
        self.screen.known(len(self.results))
        self.screen.head()
        for number, result in self._judged(detector, finder, todo):
            self._take((FILES, number), files[number], result)
        for number, error in enumerate(self.inputs.errors):
            if not self.results.take_known((LOST, number), error.path):
                self._take((LOST, number), None, failure(error.path, error, self.engine, self.arguments.threshold))
        if endless:
            self._live(detector, endless)
        if self.arguments.watch is not None:
            self._watch(detector)

    def _judged(self, detector: VideoDetector, finder: Callable[[], Analyzer], todo: Sequence[int]) -> Iterator[tuple[int, Judgement]]:
        """(number, judgement) of every file as it ends, here or on a Ray cluster."""
        arguments, files = self.arguments, [self.inputs.files[number] for number in todo]
        if arguments.ray is None:
            yield from ((todo[at], judged) for at, judged in detector.judge_each(files))
            return
        load = functools.partial(load_engine, os.path.abspath(self.model.path), device=arguments.device, threads=arguments.threads or 1)
        work = _Judge(load, finder, vars(replace(detector.options, seen=None)))
        gpus = int(arguments.device.startswith("cuda"))
        paths = [str(name) if is_url(name) else os.path.abspath(name) for name in files]
        with contextlib.closing(run_on_ray(paths, work, arguments.ray, gpus=gpus)) as outcomes:
            for at, outcome in outcomes:
                if isinstance(outcome, WorkerDied):
                    error = InputError(files[at], outcome.reason, "worker")
                    outcome = failure(files[at], error, self.engine, arguments.threshold)
                yield todo[at], replace(outcome, input=printable(files[at]))

    def _take(self, place: Place, name: Path | str | None, result: Judgement, extra: dict[str, Any] | None = None) -> None:
        """A result: drawn, kept, shown. What cannot be drawn is a failure of its own, beside the verdict."""
        lost = self.overlays.draw(name, result) if self.overlays is not None and name is not None else []
        self.results.add(place, result, extra)
        self.screen.result(result)
        for error in lost:
            self._take(self.results.next(LOST), None, failure(error.path, error, self.engine, self.arguments.threshold))

    def _watch(self, detector: VideoDetector) -> None:
        given: list[Path] = []

        def coming() -> Iterator[Path | None]:
            for path in arrivals(self.arguments.watch):
                if path is None or not self.results.take_known(self.results.next(ARRIVED), path):
                    given.extend([path] if path is not None else [])
                    yield path

        for number, result in detector.judge_each(coming()):
            self._take(self.results.next(ARRIVED), given[number], result)

    def _live(self, detector: VideoDetector, names: Sequence[str]) -> None:
        frames = None if isinstance(self.arguments.frames, Default) else self.arguments.frames
        every, patience = self.options["every"], self.options["timeout"]
        seconds = self.arguments.live or LIVE_S
        sources = [Live(detector, name, seconds, every, frames, patience, self.screen.notice) for name in names]
        for stretch in together(sources):
            self._take(self.results.next(ARRIVED), None, stretch.result, {"live": stretch.live})


def _is_endless(name: Path | str, arguments: argparse.Namespace) -> bool:
    return str(name).startswith(CAMERA) or (arguments.live is not None and is_url(name))


def detect(arguments: argparse.Namespace, engine: Engine, model: Model) -> int:
    """Judge everything and write what was asked for; the exit code."""
    options = options_of(arguments)
    if arguments.pdf:
        find_browser()  # complain before anything is judged
    inputs = expand(arguments.inputs)
    overlays = Overlays(arguments.overlay, inputs.files) if arguments.overlay else None
    if arguments.decode == "cuda":
        check_device("cuda")
    finder = _finder(arguments, arguments.min_face)
    record = RunRecord(
        (record_model(engine.spec, model.name, model.path),),
        settings(arguments, options),
        command_line(arguments.argv),
        arguments.case,
        arguments.examiner,
    )
    unfinished = f"{arguments.json}{UNFINISHED}" if arguments.json and not arguments.jsonl and _is_plain(arguments.json) else None
    total = None if arguments.watch is not None or is_live(arguments) else len(inputs.files) + len(inputs.errors)
    with (
        _spool(arguments, unfinished, record) as spool,
        Screen(total) as screen,
        VideoDetector(engine, finder, jobs=arguments.jobs, **options, seen=screen.seen) as detector,
    ):
        results = Results(spool)
        session = _Session(arguments, engine, model, options, inputs, screen, results, overlays)
        start = time.perf_counter()
        interrupted: BaseException | None = None
        try:
            session.judge(detector, finder)
        except (KeyboardInterrupt, Terminated) as stop:
            if total is not None:
                raise
            interrupted = stop  # the way to end what has no end
        try:
            _write(session, replace(record, ended=now()), detector)
        finally:  # a file that cannot be written hides nothing of the rest
            screen.notes(inputs.notes)
            if arguments.stats:
                screen.stats(detector.times, time.perf_counter() - start)
    if unfinished is not None:
        Path(unfinished).unlink(missing_ok=True)
    if interrupted is not None:
        raise interrupted
    return 1 if results.failed else 0


def _spool(arguments: argparse.Namespace, unfinished: str | None, record: RunRecord) -> Spool:
    """Where results are kept. Without `--jsonl` nobody asked for the file: where it cannot be beside the JSON, none is seen."""
    try:
        return Spool(arguments.jsonl or unfinished, record, resume=arguments.resume)
    except InputError:
        if arguments.jsonl or arguments.resume:
            raise
        return Spool(None, record)


def _is_plain(path: str) -> bool:
    """Whether something may lie beside a file: not beside `/dev/stdout`."""
    return not os.path.exists(path) or os.path.isfile(path)


def _finder(arguments: argparse.Namespace, min_face: float) -> Callable[[], Analyzer]:
    """What makes a face finder."""
    if not arguments.face_engines:
        return default_analyzer if min_face == MIN_FACE else functools.partial(default_analyzer, min_face=min_face)
    folder = os.path.abspath(arguments.face_engines)
    finder = functools.partial(engine_analyzer, folder, device=arguments.device, min_face=min_face)
    with needed():
        finder()  # complain before anything is judged
    return finder


def _write(session: _Session, record: RunRecord, detector: VideoDetector) -> None:
    """The files that were asked for."""
    arguments, results, options, spec = session.arguments, session.results, session.options, session.engine.spec
    described = describe_model(spec, session.model.name)
    protocol = describe_protocol(options["frames"], options["every"], options["decode"], spec.crop)
    protocol |= {"faces": FACES, "min_face": arguments.min_face}
    if arguments.json:
        head = {"schema": SCHEMA, "record": record.to_json(), "model": described, "protocol": protocol, "warnings": described["warnings"]}
        skipped = [{"path": printable(item.path), "reason": item.reason} for item in session.inputs.skipped]
        write_results(arguments.json, head, results, {"skipped": skipped})
    if arguments.csv:
        write_csv(arguments.csv, results)
    if arguments.report or arguments.pdf:
        details = results.with_pictures(detector.judge)
        threshold = limit(session.engine, arguments.threshold)

        def report(path: str | os.PathLike[str]) -> None:
            write_detect_report(path, results, details, described, protocol, threshold, record.to_json())

        if arguments.report:
            report(arguments.report)
        if arguments.pdf:
            print_page(arguments.pdf, report)
    if options["shown"]:
        options["shown"].finish()


def main(argv: list[str] | None = None) -> int:
    """Entry point of `fpg-detect`."""

    def body() -> int:
        p = parser()
        arguments = p.parse_args(argv)
        arguments.argv = argv
        arguments.model, arguments.inputs = model_before(arguments.model, arguments.inputs)
        if arguments.verify is None and not arguments.inputs and arguments.watch is None:
            p.error("expected at least one INPUT")
        check(arguments)
        if arguments.verify is not None:
            return verify(arguments, load_engine, functools.partial(_finder, arguments))
        with needed():
            model = resolve(arguments.model, device=arguments.device)
            engine = load_engine(model.path, device=arguments.device, threads=arguments.threads)
        tell_model(engine.spec, model, arguments.threshold)
        return detect(arguments, engine, model)

    return run(body)


if __name__ == "__main__":
    sys.exit(main())
