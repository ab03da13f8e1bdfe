"""fpg-eval: how good a detector is on labelled videos, by a stated protocol: metrics with intervals, calibration, breakdown, report."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fpg.cli.entry import needed, run
from fpg.cli.evaluate_options import Outputs, check_usage, parser
from fpg.cli.model_option import refuse_release, tell_model
from fpg.common.console import one_line, output, progress, table
from fpg.common.errors import FpgError, InputError, UsageError
from fpg.common.files import write_json
from fpg.common.html import number, percent
from fpg.data.checks import compare_faces
from fpg.data.layouts.base import Diagnostics
from fpg.engines import Engine, load_engine
from fpg.engines.resolve import ResolvedModel, resolve_model
from fpg.evaluate import foreign
from fpg.evaluate.attributes import Attributes, grouped, read_attributes
from fpg.evaluate.calibrate import calibrate, describe_calibration, store
from fpg.evaluate.compare import Comparison, compare_runs
from fpg.evaluate.compare_report import READING, left_out_notes
from fpg.evaluate.compare_report import sentences as describe_differences
from fpg.evaluate.perturbations import select
from fpg.evaluate.plots import write_plots
from fpg.evaluate.protocol import Plan, Result, WorstFaces, plan, score
from fpg.evaluate.report import drawings, with_interval, write_evaluation_report, write_markdown
from fpg.evaluate.robustness import QUICK_VIDEOS, Suite
from fpg.evaluate.robustness_report import remarks, robustness_headline, robustness_tables
from fpg.evaluate.runs import EvaluatedRun, read_runs, run_of
from fpg.evaluate.summary import summarise
from fpg.evaluate.tables import tables
from fpg.faces import default_analyzer
from fpg.faces.sizes import MIN_FACE
from fpg.runtime.judgement import describe_model, describe_protocol
from fpg.runtime.judging import Analyzer

LISTED = 20
"""Warnings about the data that are printed; the JSON has all."""


def perturbed(a: argparse.Namespace, engine: Engine, json: str | None) -> Suite | None:
    """The suite of perturbations that was asked for, checked before anything is scored."""
    if not a.robustness:
        if a.quick or a.robustness_log:
            raise UsageError("--quick and --robustness-log need --robustness")
        return None
    quick = a.quick or a.robustness.strip().lower() == "quick"
    names = "all" if a.robustness.strip().lower() == "quick" else a.robustness
    log = a.robustness_log or (Path(json).with_suffix(".robustness.jsonl") if json is not None and _is_file(json) else None)
    most = QUICK_VIDEOS if quick else None
    smallest = MIN_FACE if a.min_face is None else a.min_face
    return Suite(engine, _finder(a), select(names, quick=quick), a.frames, a.batch, log=log, most=most, min_face=smallest)


def _finder(a: argparse.Namespace) -> Callable[[], Analyzer]:
    """What makes a face finder."""
    return default_analyzer if a.min_face is None else partial(default_analyzer, min_face=a.min_face)


def _is_file(path: str) -> bool:
    return Path(path).is_file() or not Path(path).exists()


def score_model(a: argparse.Namespace, engine: Engine, pictures: bool) -> tuple[list[Result], WorstFaces, Plan]:
    """Score the videos: results without pictures, the worst with theirs, and what was planned."""
    chosen = plan(
        a.data,
        engine,
        _finder(a),
        split=a.split or ("val" if a.calibrate else None),
        layout=a.layout,
        images=a.images,
        frames=a.frames,
        batch=a.batch,
        threshold=a.threshold,
        highlights=2 * pictures,
        timeout=a.timeout or None,
        min_face=a.min_face,
    )
    results: list[Result] = []
    worst = WorstFaces()
    with progress("scoring") as bar:
        task = bar.add_task("", total=len(chosen.items))
        for result in score(chosen.items):
            worst.offer(result)
            results.append(result.without_pictures())
            bar.advance(task)
    return results, worst, chosen


def evaluate(a: argparse.Namespace, engine: Engine, model: ResolvedModel, command: str) -> int:
    """Score everything, calibrate if asked, and write what was asked for; the exit code."""
    if a.calibrate:
        refuse_release(model, "--calibrate")
    outputs, other, annotated = Outputs.of(a), _other(a.against), _annotated(a)
    suite = perturbed(a, engine, outputs.json)
    results, worst, chosen = score_model(a, engine, bool(outputs.report))
    spec = engine.spec
    calibrated: dict[str, Any] = {}
    if a.calibrate:
        found, results = calibrate(results, spec, a.fpr, [f"{Path(d).name or d} ({a.split or 'val'})" for d in a.data])
        spec = store(model.path, spec, found)
        worst = WorstFaces()  # its faces carry scores of the old temperature
        calibrated = {"calibrated": {**found.to_json(), "sentences": describe_calibration(found)}}
    threshold = spec.threshold if a.threshold is None else a.threshold
    results, told = grouped(results, annotated)
    protocol = describe_protocol(a.frames, crop=engine.spec.crop)
    metrics = summarise(results, [*chosen.notes, *told], threshold, a.frames, resamples=a.resamples, seed=a.seed, protocol=protocol)
    faces = Diagnostics()
    compare_faces([(r.label, r.status == "scored") for r in results if r.status != "failed"], faces)
    warnings = [*chosen.warnings, *(f"{finding.path}: {finding.text}" for finding in faces.items)]
    metrics["warnings"] = list(dict.fromkeys(warnings))
    if suite is not None:
        with progress("robustness") as bar:
            task = bar.add_task("", total=suite.steps(chosen.items))
            metrics["robustness"] = suite.run(chosen.items, results, lambda cell: bar.update(task, advance=1, description=cell))
    return finish(a, {**metrics, **calibrated}, results, worst, describe_model(spec, model.name), outputs, other, command)


def evaluate_scores(a: argparse.Namespace, command: str) -> int:
    """Evaluate the scores of another tool and write what was asked for; the exit code."""
    outputs, other, annotated = Outputs.of(a), _other(a.against), _annotated(a)
    threshold = 0.5 if a.threshold is None else a.threshold
    results = foreign.read_scores(a.scores, threshold)
    notes = [f"{a.scores}: {len(results)} videos with the scores of another tool"]
    if other is not None:
        results, unknown = foreign.match(results, other.files[0])
        if unknown:
            notes.append(f"{len(unknown)} of them are not in {other.files[0]}, first {unknown[0]}")
    results, told = grouped(results, annotated)
    notes += told
    metrics = summarise(results, notes, threshold, None, resamples=a.resamples, seed=a.seed, protocol=foreign.PROTOCOL)
    return finish(a, metrics, results, WorstFaces(), foreign.describe_tool(a.scores, threshold), outputs, other, command)


def _annotated(a: argparse.Namespace) -> Attributes | None:
    """What `--attributes` names, read before any work is done."""
    return None if a.attributes is None else read_attributes(a.attributes)


def _other(path: str | None) -> EvaluatedRun | None:
    """The run to compare with, read before any work is done."""
    return None if path is None else read_runs([path])[0]


def finish(
    a: argparse.Namespace,
    metrics: dict[str, Any],
    results: list[Result],
    worst: WorstFaces,
    model: dict[str, Any],
    outputs: Outputs,
    other: EvaluatedRun | None,
    command: str,
) -> int:
    """Compare, write, show; the exit code."""
    value = {**metrics, "model": model, "warnings": model["warnings"], "command": command}
    comparison, problem = _compare(a, value, other)
    if comparison is not None:
        value["against"] = comparison.to_json()
    try:
        if outputs.json:
            write_json(outputs.json, value)
        drawn = drawings(results, metrics) if outputs.report or outputs.plots else []
        if outputs.report:
            write_evaluation_report(outputs.report, metrics, results, worst, model, command, drawn=drawn, comparison=comparison)
        pictures = [f"plots/{path.name}" for path in write_plots(outputs.plots, drawn) if path.suffix == ".svg"] if outputs.plots else []
        if outputs.markdown:
            write_markdown(outputs.markdown, metrics, model, command, pictures=pictures, comparison=comparison)
    finally:  # a file that cannot be written does not hide the numbers, and `| head` does not stop the files
        show(metrics)
        if comparison is not None:
            show_differences(comparison)
    if problem is not None:
        raise problem
    perturbed_failures = sum(c["failed"] for c in metrics["robustness"]["cells"]) if "robustness" in metrics else 0
    return 1 if metrics["failed"] or metrics["no_face"] or perturbed_failures else 0


def _compare(a: argparse.Namespace, value: dict[str, Any], other: EvaluatedRun | None) -> tuple[Comparison | None, FpgError | None]:
    """The comparison with `--against`, or why there is none: the numbers themselves are not lost for it."""
    if other is None:
        return None, None
    try:
        path = Path(a.json or a.scores or value["model"]["file"])
        own = run_of(value, path, path.stem if a.scores else "this model")
        if own.name == other.name:
            other = replace(other, name=f"{other.name} (other)")
        return compare_runs([other, own], resamples=a.resamples, seed=a.seed), None
    except InputError as error:
        return None, error


def show(m: dict[str, Any]) -> None:
    """The numbers with their protocol on the standard output; videos without a score on the standard error."""
    print(
        f"AUC {with_interval(m, 'auc')}  AP {with_interval(m, 'ap')}  EER {with_interval(m, 'eer')}  "
        f"accuracy {percent(m['accuracy'])} at {m['threshold']:.4g}"
    )
    print(
        f"balanced accuracy {percent(m['balanced_accuracy'])}  TPR {percent(m['tpr_at_fpr_1'])} at 1 % FPR, "
        f"{percent(m['tpr_at_fpr_01'])} at 0.1 %  ECE {percent(m['calibration']['ece'])}  Brier {number(m['brier'])}"
    )
    print(f"protocol: {m['protocol']['text']}")
    if m["auc"] is not None:
        print(f"in brackets: 95 % intervals, {m['bootstrap']['resamples']} resamples of the videos")
    if m["reason"]:
        print(f"note: {m['reason']}")
    if m["failed"] or m["no_face"]:
        r = m["as_released"]
        print(f"as released ({r['rule']}): AUC {percent(r['auc'])}  AP {percent(r['ap'])}  EER {percent(r['eer'])}")
    print(f"frame level: AUC {with_interval(m['frame_level'], 'auc')} over {m['frame_level']['frames']} frames", flush=True)
    for line in m.get("calibrated", {}).get("sentences", []):
        print(f"stored: {line}", flush=True)
    parts = [g for key in ("by_dataset", "by_method", "by_compression") for g in m[key]]
    if any(len(m[key]) > 1 for key in ("by_dataset", "by_method", "by_compression")):
        rows = [
            [
                g["dataset"] or "-",
                g.get("method", g.get("compression", "all")),
                str(g["real"]),
                str(g["fake"]),
                with_interval(g, "auc"),
                percent(g["ap"]),
                percent(g["eer"]),
            ]
            for g in parts
        ]
        table("by data set, manipulation and compression", ["data set", "part", "real", "fake", "AUC [95 %]", "AP", "EER"], rows)
    for found in tables(m):
        print(one_line(f"{found.title}. {found.about}"), flush=True)
        table(found.title, found.head, found.rows, to=output())
    if "robustness" in m:
        show_robustness(m["robustness"])
    for line in m.get("warnings", [])[:LISTED]:
        print(f"warning: {one_line(line)}", file=sys.stderr, flush=True)
    for v in m["failed_videos"] + m["no_face_videos"]:
        print(f"error: {one_line(v['source'])}: {one_line(v['reason'])}", file=sys.stderr, flush=True)


def show_robustness(r: dict[str, Any]) -> None:
    """The table on the standard output; what has no score under a perturbation on the standard error."""
    for line in robustness_headline(r):
        print(line, flush=True)
    for title, head, rows in robustness_tables(r):
        table(f"{title}, {r['videos']} videos", head, rows, to=output())
    for line in remarks(r):
        print(f"robustness: {line}", file=sys.stderr, flush=True)


def show_differences(comparison: Comparison) -> None:
    """What the comparison says, in words."""
    for line in describe_differences(comparison):
        print(one_line(line))
    for note in [*comparison.notes, *left_out_notes(comparison)]:
        print(one_line(f"note: {note}"))
    print(READING, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Entry point of `fpg-eval`."""

    def body(command: str) -> int:
        p = parser()
        arguments = p.parse_args(argv)
        try:
            check_usage(arguments)
        except UsageError as error:
            p.error(str(error))
        Outputs.of(arguments)
        if arguments.scores:
            return evaluate_scores(arguments, command)
        with needed():
            model = resolve_model(arguments.model, device=arguments.device)
            engine = load_engine(model.path, device=arguments.device, threads=arguments.threads)
        tell_model(engine.spec, model, arguments.threshold)
        return evaluate(arguments, engine, model, command)

    return run(partial(body, shlex.join(["fpg-eval", *(sys.argv[1:] if argv is None else argv)])))


if __name__ == "__main__":
    sys.exit(main())
