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
from fpg.cli.inputs import InputList, expand
from fpg.cli.live import Live, merge_streams
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
from fpg.engines.resolve import ResolvedModel, resolve_model
from fpg.faces import default_analyzer
from fpg.faces.sizes import MIN_FACE
from fpg.record.exhibit import examine
from fpg.record.run import RunRecord, card_of, command_line, now, record_model
from fpg.record.schema import SCHEMA
from fpg.record.spool import ResultSpool, write_results
from fpg.runtime.face_engines import engine_analyzer
from fpg.runtime.inputs import is_url
from fpg.runtime.judgement import Judgement, describe_judging, describe_model, printable
from fpg.runtime.judging import Analyzer
from fpg.runtime.pipeline import VideoDetector
from fpg.runtime.report import write_detect_report
from fpg.runtime.report_pdf import find_browser, print_page

UNFINISHED = ".unfinished.jsonl"
"""Behind the name of `--json`: results of a run that has not ended, where no `--jsonl` is named."""


@dataclass(frozen=True)
class Loaded:
    """A model, ready to judge."""

    engine: Engine
    model: ResolvedModel


@dataclass(frozen=True)
class _Judge:
    """Judges files on a Ray worker: calling it builds engines and analyzer and gives the function that does."""

    engines: tuple[Callable[[], Engine], ...]
    names: tuple[str, ...]
    analyzer: Callable[[], Analyzer]
    options: dict[str, Any]

    def __call__(self) -> Callable[[str], Judgement | WorkerDied]:
        return VideoDetector([load() for load in self.engines], self.analyzer, names=self.names, **self.options).judge


@dataclass
class _Session:
    """One run: what judges, what is judged, and where results go."""

    arguments: argparse.Namespace
    models: list[Loaded]
    detector: VideoDetector
    finder: Callable[[], Analyzer]
    options: dict[str, Any]
    inputs: InputList
    screen: Screen
    results: Results
    overlays: Overlays | None

    def judge(self) -> None:
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
        for number, result in self._judged(todo):
            self._take((FILES, number), files[number], result)
        for number, error in enumerate(self.inputs.errors):
            if not self.results.take_known((LOST, number), error.path):
                self._take((LOST, number), None, self._failed(error.path, error))
        if endless:
            self._live(endless)
        if self.arguments.watch is not None:
            self._watch()

    def _judged(self, todo: Sequence[int]) -> Iterator[tuple[int, Judgement]]:
        """(number, judgement) of every file as it ends, here or on a Ray cluster."""
        arguments, files = self.arguments, [self.inputs.files[number] for number in todo]
        if arguments.ray is None:
            yield from ((todo[at], judged) for at, judged in self.detector.judge_each(files))
            return
        paths = [os.path.abspath(loaded.model.path) for loaded in self.models]
        loads = tuple(functools.partial(load_engine, path, device=arguments.device, threads=arguments.threads or 1) for path in paths)
        names = tuple(loaded.model.name for loaded in self.models)
        work = _Judge(loads, names, self.finder, vars(replace(self.detector.options, seen=None)))
        workers = None if isinstance(arguments.jobs, Default) else arguments.jobs
        gpus = int(arguments.device.startswith("cuda"))
        tasks = [str(name) if is_url(name) else os.path.abspath(name) for name in files]
        with contextlib.closing(run_on_ray(tasks, work, arguments.ray, workers, gpus)) as outcomes:
            for at, outcome in outcomes:
                if isinstance(outcome, WorkerDied):
                    outcome = self._failed(files[at], InputError(files[at], outcome.reason, "worker"))
                yield todo[at], replace(outcome, input=printable(files[at]))

    def _take(self, place: Place, name: Path | str | None, result: Judgement, extra: dict[str, Any] | None = None) -> None:
        """A result: drawn, kept, shown. What cannot be drawn is a failure of its own, beside the verdict."""
        lost = self.overlays.draw(name, result, self.screen.notice) if self.overlays is not None and name is not None else []
        self.results.add(place, result, extra)
        self.screen.result(result)
        for error in lost:
            self._take(self.results.next(LOST), None, self.detector.failed(error.path, error))

    def _failed(self, path: Path | str, error: InputError) -> Judgement:
        """What became of an input that was not looked at, with what can be said of it."""
        return replace(self.detector.failed(path, error), exhibit=examine(path, self.options["anchors"]))

    def _watch(self) -> None:
        given: list[Path] = []

        def coming() -> Iterator[Path | None]:
            for path in arrivals(self.arguments.watch):
                if path is None or not self.results.take_known(self.results.next(ARRIVED), path):
                    given.extend([path] if path is not None else [])
                    yield path

        for number, result in self.detector.judge_each(coming()):
            self._take(self.results.next(ARRIVED), given[number], result)

    def _live(self, names: Sequence[str]) -> None:
        frames = None if isinstance(self.arguments.frames, Default) else self.arguments.frames
        every, patience = self.options["every"], self.options["timeout"]
        seconds = self.arguments.live or LIVE_S
        sources = [Live(self.detector, name, seconds, every, frames, patience, self.screen.notice) for name in names]
        for stretch in merge_streams(sources):
            self._take(self.results.next(ARRIVED), None, stretch.result, {"live": stretch.live})


def _is_endless(name: Path | str, arguments: argparse.Namespace) -> bool:
    return str(name).startswith(CAMERA) or (arguments.live is not None and is_url(name))


def detect(arguments: argparse.Namespace, models: list[Loaded]) -> int:
    """Judge everything and write what was asked for; the exit code."""
    options = options_of(arguments)
    if arguments.pdf:
        find_browser()  # complain before anything is judged
    inputs = expand(arguments.inputs)
    overlays = Overlays(arguments.overlay, inputs.files, arguments.watch) if arguments.overlay else None
    if arguments.decode == "cuda":
        check_device("cuda")
    finder = _finder(arguments, arguments.min_face)
    record = RunRecord(
        tuple(record_model(loaded.engine.spec, loaded.model.name, loaded.model.path) for loaded in models),
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
        VideoDetector(
            [loaded.engine for loaded in models],
            finder,
            jobs=arguments.jobs,
            names=[loaded.model.name for loaded in models],
            **options,
            seen=screen.seen,
        ) as detector,
    ):
        results = Results(spool)
        session = _Session(arguments, models, detector, finder, options, inputs, screen, results, overlays)
        start = time.perf_counter()
        interrupted: BaseException | None = None
        try:
            session.judge()
        except (KeyboardInterrupt, Terminated) as stop:
            if total is not None:
                raise
            interrupted = stop  # the way to end what has no end
        screen.summary(results.levels)
        try:
            _write(session, replace(record, ended=now()))
        finally:  # a file that cannot be written hides nothing of the rest
            screen.notes(inputs.notes)
            if arguments.stats:
                screen.stats(detector.times, time.perf_counter() - start)
    if unfinished is not None:
        Path(unfinished).unlink(missing_ok=True)
    if interrupted is not None:
        raise interrupted
    return 1 if results.failed else 0


def _spool(arguments: argparse.Namespace, unfinished: str | None, record: RunRecord) -> ResultSpool:
    """Where results are kept. Without `--jsonl` nobody asked for the file: where it cannot be beside the JSON, none is seen."""
    try:
        return ResultSpool(arguments.jsonl or unfinished, record, resume=arguments.resume)
    except InputError:
        if arguments.jsonl or arguments.resume:
            raise
        return ResultSpool(None, record)


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


def _write(session: _Session, record: RunRecord) -> None:
    """The files that were asked for."""
    arguments, results, options = session.arguments, session.results, session.options
    described = [describe_model(loaded.engine.spec, loaded.model.name) for loaded in session.models]
    crop, count = session.models[0].engine.spec.crop, len(described)
    protocol = describe_judging(options["frames"], options["every"], options["decode"], crop, min_face=arguments.min_face, models=count)
    if arguments.json:
        head: dict[str, Any] = {"schema": SCHEMA, "record": record.to_json(), "model": described[0]}
        head |= {"models": described} if len(described) > 1 else {}
        head |= {"protocol": protocol, "warnings": list(dict.fromkeys(text for model in described for text in model["warnings"]))}
        skipped = [{"path": printable(item.path), "reason": item.reason} for item in session.inputs.skipped]
        write_results(arguments.json, head, results, {"skipped": skipped})
    if arguments.csv:
        write_csv(arguments.csv, results)
    if arguments.report or arguments.pdf:
        details = results.with_pictures(session.detector.judge)
        threshold = session.detector.threshold
        cards = [card_of(loaded.model.path) for loaded in session.models]

        def report(path: str | os.PathLike[str]) -> None:
            write_detect_report(path, results, details, described, protocol, threshold, record.to_json(), cards)

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
        if not arguments.model:
            before, arguments.inputs = model_before(None, arguments.inputs)
            arguments.model = [before] if before is not None else []
        if arguments.verify is None and not arguments.inputs and arguments.watch is None:
            p.error("expected at least one INPUT")
        check(arguments)
        if arguments.verify is not None:
            return verify(arguments, load_engine, functools.partial(_finder, arguments))
        models = []
        for name in arguments.model or [None]:
            with needed():
                model = resolve_model(name, device=arguments.device)
                engine = load_engine(model.path, device=arguments.device, threads=arguments.threads)
            models.append(Loaded(engine, model))
        for loaded in models:
            tell_model(loaded.engine.spec, loaded.model, arguments.threshold)
        return detect(arguments, models)

    return run(body)


if __name__ == "__main__":
    sys.exit(main())
