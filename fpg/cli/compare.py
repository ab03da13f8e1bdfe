"""fpg-compare: which of several detectors is better, on the same videos, and whether the difference means anything."""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import partial

from fpg.cli.entry import add_version, run
from fpg.cli.help import Help
from fpg.cli.options import check_outputs
from fpg.common.files import write_json
from fpg.evaluate.compare import compare_runs
from fpg.evaluate.compare_report import show, write_comparison_report
from fpg.evaluate.compare_table import csv_text, latex, markdown, write_text
from fpg.evaluate.runs import read_runs
from fpg.evaluate.sheets import write_sheets

EXAMPLES = """examples:
  fpg-eval --model runs/fpg --data celeb --out runs/fpg/eval
  fpg-eval --model runs/sbi --data celeb --out runs/sbi/eval
  fpg-compare runs/sbi runs/fpg --out compare.html --json compare.json
  fpg-compare runs/sbi-* runs/fpg-* --latex table.tex --csv table.csv --sheets sheets
  fpg-compare sbi=a sbi=b fpg=c fpg=d --markdown table.md
  fpg-compare before=old/metrics.json after=new/metrics.json --by manipulation

A RUN is a folder of fpg-train with evaluations anywhere in it (metrics*.json, eval*.json), a folder that fpg-eval --out
wrote, or a JSON file of fpg-eval; NAME=PATH names it. Runs that differ in nothing but their seed, or that are given the same NAME,
are seeds of one method and form one row: mean, standard deviation, intervals and tests over videos and seeds.
All are compared with the first one, on the videos that all of them scored; videos that some did not score are named.
The exit code is 0 whatever the verdicts are."""


def parser() -> argparse.ArgumentParser:
    """The command line of fpg-compare."""
    p = argparse.ArgumentParser(
        prog="fpg-compare",
        description="Compare evaluated detectors: AUC, AP, EER, differences with paired bootstrap intervals over videos, training cost.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    add_version(p)
    p.add_argument("runs", metavar="[NAME=]RUN", nargs="+", help="a folder of fpg-train with its evaluation, or a JSON file of fpg-eval")
    p.add_argument("--out", metavar="FILE", help="write the table and plots: one self-contained HTML page")
    p.add_argument("--json", metavar="FILE", help="write every number as JSON")
    p.add_argument("--latex", metavar="FILE", help="write the table as LaTeX (booktabs), a row per method, a column per data set")
    p.add_argument("--markdown", metavar="FILE", help="write it as Markdown")
    p.add_argument("--csv", metavar="FILE", help="write it as CSV, a row per method and data set, with intervals, p values and protocol")
    p.add_argument("--sheets", metavar="DIR", help="write a data sheet per run: training, evaluations with protocol, warnings")
    p.add_argument("--baseline", metavar="NAME", help="the run or method to compare with (default: the first)")
    p.add_argument(
        "--by", choices=("dataset", "manipulation"), default="dataset", help="a row per data set, or per manipulation (default: dataset)"
    )
    p.add_argument("--resamples", type=_resamples, default=2000, metavar="N", help="bootstrap resamples (default: 2000)")
    p.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of the bootstrap (default: 0)")
    return p


def _number(text: str, low: int, high: int) -> int:
    value = int(text)
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text}")
    return value


def _resamples(text: str) -> int:
    return _number(text, 100, 1_000_000)


def _seed(text: str) -> int:
    return _number(text, 0, 2**63 - 1)


def main(argv: list[str] | None = None) -> int:
    """Entry point of `fpg-compare`."""

    def body(command: str) -> None:
        a = parser().parse_args(argv)
        check_outputs(a.out, a.json, a.latex, a.markdown, a.csv)
        comparison = compare_runs(read_runs(a.runs), baseline=a.baseline, resamples=a.resamples, seed=a.seed, by=a.by)
        try:
            if a.json:
                write_json(a.json, {**comparison.to_json(), "command": command})
            if a.out:
                write_comparison_report(a.out, comparison, command)
            if a.latex:
                write_text(a.latex, latex(comparison, command))
            if a.markdown:
                write_text(a.markdown, markdown(comparison))
            if a.csv:
                write_text(a.csv, csv_text(comparison))
            if a.sheets:
                write_sheets(a.sheets, comparison.runs)
        finally:  # a file that cannot be written does not hide the numbers
            show(comparison)

    return run(partial(body, shlex.join(["fpg-compare", *(sys.argv[1:] if argv is None else argv)])))


if __name__ == "__main__":
    sys.exit(main())
