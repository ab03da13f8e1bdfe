"""The command line of fpg-eval: options, what may be combined, files to write."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from fpg.cli.entry import add_version
from fpg.cli.help import Help
from fpg.cli.model_option import add_model, one_of
from fpg.cli.options import add_images, add_shared, check_outputs, face_pixels, probability, rate, resamples, seed
from fpg.common.errors import UsageError
from fpg.evaluate.bootstrap import RESAMPLES
from fpg.evaluate.perturbations import BY_NAME
from fpg.evaluate.protocol import SPLITS
from fpg.evaluate.robustness import QUICK_VIDEOS
from fpg.faces.sizes import MIN_FACE

EXAMPLES = """examples:
  fpg-eval --data prepared/ --out evaluation/
  fpg-eval --model engine/model.xml --data celeb/ dfdc/ --split all --json metrics.json --report report.html
  fpg-eval run/model.safetensors --data prepared/ --calibrate --fpr 0.01
  fpg-eval new/model.safetensors --data celeb/ --against old/metrics.json
  fpg-eval engine/model.xml --data celeb/ --robustness field --out evaluation/
  fpg-eval --scores other_tool.csv --against metrics.json --json other.json

A DIR is either what fpg-prepare wrote (it contains manifest.parquet) or raw data: a published data set as it was downloaded, folders
real/ and fake/ of videos, frames or images, a CSV or a DeepfakeBench list (fpg-prepare --layout list shows what is read).
Every number comes with its protocol. The exit code is 1 if a video failed or had no face: it is named on standard error,
in the JSON file and in the report, left out of the metrics, and counted as 0.5 in the numbers "as released"."""


def parser() -> argparse.ArgumentParser:
    """The command line of fpg-eval."""
    p = argparse.ArgumentParser(
        prog="fpg-eval",
        description="Evaluate a detector on labelled videos: metrics with 95 % intervals, calibration, breakdowns, report.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    add_version(p)
    p.add_argument("named", metavar="MODEL", nargs="?", help="the same as --model MODEL")
    add_model(p)
    p.add_argument("--data", metavar="DIR", nargs="+", help="prepared or raw folders of labelled videos")
    p.add_argument(
        "--scores",
        metavar="FILE",
        help="another tool's scores, instead of a model and data: CSV video,label,score[,dataset,method,frame] or DeepfakeBench's JSON",
    )
    p.add_argument("--split", choices=SPLITS, help="which split (default: test, val to calibrate; all of a raw folder without splits)")
    p.add_argument("--layout", metavar="NAME", help="layout of raw data on disk (default: recognised)")
    add_images(p)
    p.add_argument(
        "--min-face",
        type=face_pixels,
        metavar="PIXELS",
        help="smallest face that is looked for and judged: square root of the area of its box (default: "
        f"{MIN_FACE}; from a prepared folder, all that were prepared)",
    )
    p.add_argument(
        "--attributes",
        metavar="FILE",
        help="CSV keyed by video (a column video or path): every other column defines groups, with AUC, FPR, TPR and gaps; in a list of "
        "videos, columns beyond path,label,split,method define groups even without this option",
    )
    _add_outputs(p)
    _add_statistics(p)
    _add_robustness(p)
    add_shared(p)
    return p


def _add_outputs(p: argparse.ArgumentParser) -> None:
    p.add_argument("--out", metavar="DIR", help="folder for everything: metrics.json, report.html, report.md and plots/ as SVG and PNG")
    p.add_argument("--json", metavar="FILE", help="write the metrics and every video's and frame's score as JSON")
    p.add_argument("--report", metavar="FILE", help="write a report: one self-contained HTML page")
    p.add_argument(
        "--against", metavar="OTHER", help="metrics of another run (JSON of fpg-eval, or a run's folder): differences with paired intervals"
    )


def _add_statistics(p: argparse.ArgumentParser) -> None:
    p.add_argument("--calibrate", action="store_true", help="fit the temperature on these videos and store it in the model's .spec.json")
    p.add_argument(
        "--fpr",
        type=rate,
        metavar="RATE",
        help="with --calibrate: store the threshold that calls at most this fraction of real videos fake",
    )
    p.add_argument(
        "--threshold", type=probability, metavar="P", help="probability from which the verdict is fake (default: the model's own, or 0.5)"
    )
    p.add_argument(
        "--resamples", type=resamples, default=RESAMPLES, metavar="N", help=f"bootstrap resamples for the intervals (default: {RESAMPLES})"
    )
    p.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the bootstrap (default: 0)")


def _add_robustness(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--robustness",
        metavar="all|field|chains|quick|NAMES",
        help="also evaluate under perturbations of whole frames, five levels each: the usual seven (field), chains as in messengers "
        "and screen recordings (chains), all of them (all), a sample of all (quick), or some of "
        f"{', '.join(BY_NAME)}, separated by commas; attack, on your own detector, runs only if it is named",
    )
    p.add_argument(
        "--quick",
        action="store_true",
        help=f"perturb only at levels 1, 3, 5, and at most {QUICK_VIDEOS} real and {QUICK_VIDEOS} fake videos",
    )
    p.add_argument(
        "--robustness-log",
        metavar="FILE",
        help="file for the scores under perturbations, written as they come; a stopped run resumes from it (default: beside the JSON file)",
    )


def check_usage(a: argparse.Namespace) -> None:
    """Refuse combinations that mean nothing; `a.model` is what either way of naming a model said.

    Raises:
        UsageError: naming them.
    """
    a.model = one_of(a.model, a.named)
    if a.scores and (a.model or a.data):
        raise UsageError("--scores replaces a model and --data")
    if not a.scores and not a.data:
        raise UsageError("give --data (and --model for a model other than the starter), or --scores")
    if a.calibrate and (a.scores or a.threshold is not None):
        raise UsageError("--calibrate needs a model, and chooses the threshold itself (--fpr)")
    if a.robustness and (a.scores or a.calibrate):
        raise UsageError("--robustness needs a model, and a run of its own")
    if a.fpr is not None and not a.calibrate:
        raise UsageError("--fpr needs --calibrate")


@dataclass(frozen=True)
class Outputs:
    """Files to write; None is none."""

    json: str | None
    report: str | None
    markdown: str | None = None
    plots: str | None = None

    @staticmethod
    def of(a: argparse.Namespace) -> Outputs:
        """Those that the arguments ask for.

        Raises:
            UsageError: one is a folder, two are the same, or `--out` is a file.
        """
        if a.out and os.path.exists(a.out) and not os.path.isdir(a.out):
            raise UsageError(f"--out: {a.out} is a file; name a folder")
        home = Path(a.out) if a.out else None
        found = Outputs(
            a.json or (str(home / "metrics.json") if home else None),
            a.report or (str(home / "report.html") if home else None),
            str(home / "report.md") if home else None,
            str(home / "plots") if home else None,
        )
        check_outputs(found.json, found.report, found.markdown)
        return found
