"""fpg-eval: AUC, AP, EER and accuracy of a detector on labelled videos, by a stated protocol."""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

from fpg.cli.detect import add_shared, check_outputs
from fpg.cli.entry import run
from fpg.common.console import one_line, output, progress, table
from fpg.common.errors import UsageError
from fpg.common.files import write_json
from fpg.common.html import number, percent
from fpg.engines import Engine, load_engine
from fpg.evaluate.perturbations import BY_NAME, select
from fpg.evaluate.protocol import SPLITS, Result, Worst, plan, score
from fpg.evaluate.report import write_evaluation_report
from fpg.evaluate.robustness import QUICK_VIDEOS, Suite
from fpg.evaluate.robustness_report import headline, remarks, robustness_tables
from fpg.evaluate.summary import summarise
from fpg.faces import default_analyzer
from fpg.runtime.pipeline import describe_model

EXAMPLES = """examples:
  fpg-eval run/model.safetensors --data prepared/ --json metrics.json --report report.html
  fpg-eval engine/model.xml --data celeb/ dfdc/ --split all
  fpg-eval engine/model.xml --data celeb/ --robustness field --json metrics.json --report report.html

A DIR is either what fpg-prepare wrote (it holds manifest.parquet) or raw data: a published data set as it was downloaded, folders
real/ and fake/ of videos, frames or images, a CSV or a DeepfakeBench list (fpg-prepare --layout list shows what is read).
Every number comes with its protocol. The exit code is 1 when a video failed or had no face: it is named on the standard
error, in the JSON file and in the report, left out of the metrics, and counted as 0.5 in the numbers "as released"."""


def parser() -> argparse.ArgumentParser:
    """The command line of fpg-eval."""
    p = argparse.ArgumentParser(
        prog="fpg-eval",
        description="Evaluate a detector on labelled videos.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "model", metavar="CKPT_OR_ENGINE", help="weights (.safetensors) or an engine (.xml, .onnx), with its .spec.json beside it"
    )
    p.add_argument("--data", metavar="DIR", nargs="+", required=True, help="prepared or raw folders of labelled videos")
    p.add_argument("--split", choices=SPLITS, help="which part (default: test; all of a raw folder that knows no splits)")
    p.add_argument("--layout", metavar="NAME", help="how raw data lie on disk (default: it is recognised)")
    p.add_argument("--json", metavar="FILE", help="write the metrics and every video's score as JSON")
    p.add_argument("--report", metavar="FILE", help="write a report: one self-contained HTML page")
    p.add_argument(
        "--robustness",
        metavar="all|field|quick|NAMES",
        help="also under perturbations of whole frames, five levels each: the field's seven (field), all eleven, a sample of all (quick), "
        f"or some of {', '.join(BY_NAME)}, with commas between them",
    )
    p.add_argument(
        "--quick", action="store_true", help=f"perturb at levels 1, 3, 5, and at most {QUICK_VIDEOS} real and {QUICK_VIDEOS} fake videos"
    )
    p.add_argument(
        "--robustness-log",
        metavar="FILE",
        help="keeps the scores under perturbations as they come; a run that was stopped goes on from it (default: beside the --json file)",
    )
    add_shared(p)
    return p


def perturbed(arguments: argparse.Namespace, engine: Engine) -> Suite | None:
    """The suite that was asked for, checked before anything is scored."""
    if not arguments.robustness:
        if arguments.quick or arguments.robustness_log:
            raise UsageError("--quick and --robustness-log go with --robustness")
        return None
    quick = arguments.quick or arguments.robustness.strip().lower() == "quick"
    names = "all" if arguments.robustness.strip().lower() == "quick" else arguments.robustness
    log = arguments.robustness_log or (Path(arguments.json).with_suffix(".robustness.jsonl") if _is_file(arguments.json) else None)
    return Suite(
        engine,
        default_analyzer,
        select(names, quick=quick),
        arguments.frames,
        arguments.batch,
        log=log,
        most=QUICK_VIDEOS if quick else None,
    )


def _is_file(path: str | None) -> bool:
    return path is not None and (Path(path).is_file() or not Path(path).exists())


def evaluate(arguments: argparse.Namespace, engine: Engine, command: str) -> int:
    """Score everything and write what was asked for; the exit code."""
    suite = perturbed(arguments, engine)
    chosen = plan(
        arguments.data,
        engine,
        default_analyzer,
        split=arguments.split,
        layout=arguments.layout,
        frames=arguments.frames,
        batch=arguments.batch,
        highlights=bool(arguments.report),
    )
    results: list[Result] = []
    worst = Worst()
    with progress("scoring") as bar:
        task = bar.add_task("", total=len(chosen.items))
        for result in score(chosen.items):
            worst.offer(result)
            results.append(result.without_pictures())
            bar.advance(task)
    metrics = summarise(results, chosen.notes, engine.spec.threshold, arguments.frames)
    if suite is not None:
        with progress("robustness") as bar:
            task = bar.add_task("", total=suite.steps(chosen.items))
            metrics["robustness"] = suite.run(chosen.items, results, lambda cell: bar.update(task, advance=1, description=cell))
    model = describe_model(engine.spec, arguments.model)
    try:
        if arguments.json:
            write_json(arguments.json, {**metrics, "model": model, "command": command})
        if arguments.report:
            write_evaluation_report(arguments.report, metrics, results, worst, model, command)
    finally:  # a file that cannot be written does not hide the numbers, and `| head` does not stop the files
        show(metrics)
    perturbed_failures = sum(c["failed"] for c in metrics["robustness"]["cells"]) if suite is not None else 0
    return 1 if metrics["failed"] or metrics["no_face"] or perturbed_failures else 0


def show(m: dict[str, Any]) -> None:
    """The numbers with their protocol on the standard output; videos without a score on the standard error."""
    print(f"{_line(m)}  accuracy {percent(m['accuracy'])} at {m['threshold']}")
    print(f"protocol: {m['protocol']['text']}")
    if m["reason"]:
        print(f"note: {m['reason']}")
    if m["failed"] or m["no_face"]:
        print(f"as released ({m['as_released']['rule']}): {_line(m['as_released'])}")
    print(f"frame level: AUC {percent(m['frame_level']['auc'])} over {m['frame_level']['frames']} frames", flush=True)
    if len(m["by_method"]) > 1 or len(m["by_dataset"]) > 1:
        rows = [
            [
                g["dataset"] or "-",
                g.get("method", "all"),
                str(g["real"]),
                str(g["fake"]),
                number(g["auc"]),
                number(g["ap"]),
                number(g["eer"]),
            ]
            for g in m["by_dataset"] + m["by_method"]
        ]
        table("by data set and manipulation", ["data set", "manipulation", "real", "fake", "AUC", "AP", "EER"], rows)
    if "robustness" in m:
        show_robustness(m["robustness"])
    for v in m["failed_videos"] + m["no_face_videos"]:
        print(f"error: {one_line(v['source'])}: {one_line(v['reason'])}", file=sys.stderr, flush=True)


def show_robustness(r: dict[str, Any]) -> None:
    """The table on the standard output; what has no score under a perturbation on the standard error."""
    for line in headline(r):
        print(line, flush=True)
    for title, head, rows in robustness_tables(r):
        table(f"{title}, {r['videos']} videos", head, rows, to=output())
    for line in remarks(r):
        print(f"robustness: {line}", file=sys.stderr, flush=True)


def _line(m: dict[str, Any]) -> str:
    return f"AUC {percent(m['auc'])}  AP {percent(m['ap'])}  EER {percent(m['eer'])}"


def main(argv: list[str] | None = None) -> int:
    """Entry point of `fpg-eval`."""

    def body(command: str) -> int:
        arguments = parser().parse_args(argv)
        check_outputs(arguments.json, arguments.report)
        engine = load_engine(arguments.model, device=arguments.device, threads=arguments.threads)
        return evaluate(arguments, engine, command)

    return run(partial(body, shlex.join(["fpg-eval", *(sys.argv[1:] if argv is None else argv)])))


if __name__ == "__main__":
    sys.exit(main())
