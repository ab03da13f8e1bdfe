"""fpg-eval: AUC, AP, EER and accuracy of a detector on labelled videos, by a stated protocol."""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import partial
from typing import Any

from fpg.cli.detect import add_shared, check_outputs
from fpg.cli.entry import run
from fpg.common.console import one_line, progress, table
from fpg.common.files import write_json
from fpg.common.html import number, percent
from fpg.engines import Engine, load_engine
from fpg.evaluate.protocol import SPLITS, Result, Worst, plan, score
from fpg.evaluate.report import write_evaluation_report
from fpg.evaluate.summary import summarise
from fpg.faces import default_analyzer
from fpg.runtime.pipeline import describe_model

EXAMPLES = """examples:
  fpg-eval run/model.safetensors --data prepared/ --json metrics.json --report report.html
  fpg-eval engine/model.xml --data celeb/ dfdc/ --split all

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
    add_shared(p)
    return p


def evaluate(arguments: argparse.Namespace, engine: Engine, command: str) -> int:
    """Score everything and write what was asked for; the exit code."""
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
    model = describe_model(engine.spec, arguments.model)
    try:
        if arguments.json:
            write_json(arguments.json, {**metrics, "model": model, "command": command})
        if arguments.report:
            write_evaluation_report(arguments.report, metrics, results, worst, model, command)
    finally:  # a file that cannot be written does not hide the numbers, and `| head` does not stop the files
        show(metrics)
    return 1 if metrics["failed"] or metrics["no_face"] else 0


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
    for v in m["failed_videos"] + m["no_face_videos"]:
        print(f"error: {one_line(v['source'])}: {one_line(v['reason'])}", file=sys.stderr, flush=True)


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
