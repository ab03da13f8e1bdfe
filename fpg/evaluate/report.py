"""The page and the Markdown that `fpg-eval` writes: protocol, numbers with intervals, curves, breakdown, mistakes, how to repeat it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from fpg.common import html
from fpg.common.files import atomic_write
from fpg.data.manifest import FAKE
from fpg.evaluate import compare_report
from fpg.evaluate.compare import Comparison
from fpg.evaluate.plots import Plot, plots
from fpg.evaluate.protocol import Result, WorstFaces
from fpg.evaluate.robustness_report import robustness_markdown, robustness_section
from fpg.evaluate.tables import tables
from fpg.runtime.overlay import map_scale
from fpg.runtime.report import face_figure, model_facts

FEW = 50
"""Below this many videos of a class the report warns about chance."""
TITLES = {
    "auc": "AUC",
    "ap": "Average precision",
    "eer": "Equal error rate",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "tpr_at_fpr_1": "Fakes found at 1 % false alarms",
    "tpr_at_fpr_01": "Fakes found at 0.1 % false alarms",
    "brier": "Brier score",
}
MEANINGS = {
    "auc": "chance that a fake scores above a real video",
    "ap": "depends on the fraction of fakes",
    "eer": "where both kinds of error are as frequent; lower is better",
    "accuracy": "right verdicts at the threshold; depends on the fraction of fakes",
    "balanced_accuracy": "mean of the right verdicts on real and on fake",
    "tpr_at_fpr_1": "at most 1 in 100 real videos called fake",
    "tpr_at_fpr_01": "at most 1 in 1000 real videos called fake",
    "brier": "mean squared error of the score; lower is better",
    "ece": "distance of scores from the fraction of fakes; lower is better",
}
KINDS = (
    ("by_dataset", "Data set", "dataset"),
    ("by_method", "Manipulation", "method"),
    ("by_compression", "Compression", "compression"),
    ("by_face_size", "Size of the face", "face_size"),
    ("by_sharpness", "Sharpness of the face", "sharpness"),
)


def drawings(results: Sequence[Result], metrics: dict[str, Any]) -> list[Plot]:
    """The figures of an evaluation."""
    scored = [r for r in results if r.score is not None]
    labels, scores = np.array([r.label for r in scored], np.int64), np.array([r.score for r in scored], np.float64)
    return plots(labels, scores, metrics)


def write_evaluation_report(
    path: str | os.PathLike[str],
    metrics: dict[str, Any],
    results: Sequence[Result],
    worst: WorstFaces,
    model: dict[str, Any],
    command: str,
    *,
    drawn: Sequence[Plot] | None = None,
    comparison: Comparison | None = None,
) -> None:
    """Write the report of one run of `fpg-eval` as one self-contained page, atomically.

    Args:
        path: of the HTML file.
        metrics: `fpg.evaluate.summary.summarise`, optionally with `robustness` and `calibrated`.
        results: every video.
        worst: the faces of the videos furthest from their label.
        model: `describe_model`.
        command: what was called, to show.
        drawn: `drawings`, where they are there already.
        comparison: with another evaluation.

    Raises:
        InputError: the file cannot be written.
    """
    mistakes = sum(_wrong(r) for r in results)
    html.write_page(
        path,
        "evaluate.html.j2",
        m=metrics,
        tiles=tiles(metrics),
        headline=headline(metrics),
        small_sample_warning=small_sample_warning(metrics),
        plots=drawings(results, metrics) if drawn is None else drawn,
        breakdown=breakdown(metrics),
        tables=tables(metrics),
        robustness=robustness_section(metrics["robustness"]) if metrics.get("robustness") else None,
        mistakes=mistakes,
        worst=_worst_faces(worst, mistakes),
        rows=[_row(r) for r in sorted(results, key=lambda r: (r.score is not None, -(r.score or 0), r.name))],
        model=model_facts(model),
        against=None if comparison is None else _against(comparison),
        command=command,
        versions=versions(),
    )


def tiles(m: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(name, value, about) of the numbers on top of the page."""

    def one(name: str, title: str) -> tuple[str, str, str]:
        bounds = m["intervals"].get(name)
        return title, html.percent(m[name]), _range(bounds) if bounds else f"over {m['scored']} videos"

    shown = (("auc", "AUC"), ("ap", "AP"), ("eer", "EER"), ("accuracy", "Accuracy"), ("tpr_at_fpr_1", "TPR at 1 % FPR"))
    return [*(one(*pair) for pair in shown), ("ECE", html.percent(m["calibration"]["ece"]), "calibration error")]


def headline(m: dict[str, Any]) -> list[dict[str, str]]:
    """Rows of the table of all metrics: by video, by frame, as released."""
    rows = [
        {
            "name": title,
            "about": MEANINGS[name],
            "video": with_interval(m, name),
            "frame": with_interval(m["frame_level"], name),
            "released": _value(name, m["as_released"][name]),
        }
        for name, title in TITLES.items()
    ]
    ece = {"video": html.percent(m["calibration"]["ece"]), "frame": html.percent(m["frame_level"]["ece"]), "released": "–"}
    return [*rows, {"name": "Calibration error (ECE)", "about": MEANINGS["ece"], **ece}]


def with_interval(values: dict[str, Any], name: str) -> str:
    """A metric as `93.1 % [90.2, 95.5]`."""
    bounds = values["intervals"].get(name)
    text = _value(name, values[name])
    if not bounds or values[name] is None:
        return text
    return f"{text} [{bounds[0]:.3f}, {bounds[1]:.3f}]" if name == "brier" else f"{text} [{_range(bounds, ', ')}]"


def _value(name: str, value: float | None) -> str:
    return html.number(value) if name == "brier" else html.percent(value)


def _range(bounds: Sequence[float], between: str = " to ") -> str:
    return f"{100 * bounds[0]:.1f}{between}{100 * bounds[1]:.1f}"


def small_sample_warning(m: dict[str, Any]) -> str | None:
    """A warning where the numbers are mostly chance."""
    smaller = min((g for g in (m["real"], m["fake"]) if g), default=0)
    if not m["scored"] or smaller >= FEW:
        return None
    counts = f"{m['real']} real and {m['fake']} fake videos"
    return (
        f"With {counts} these numbers move a lot by chance, and their intervals are too narrow: they show that the path works, "
        "not how good the model is."
    )


def breakdown(m: dict[str, Any]) -> list[dict[str, Any]]:
    """Tables of the parts; those with a single part are left out, it would repeat the headline."""
    tables = []
    for key, title, name in KINDS:
        parts = m[key]
        if len(parts) < 2:
            continue
        rows = [
            {
                "name": " / ".join(filter(None, (g.get("dataset") if name != "dataset" else None, g[name] or "–"))),
                "real": g["real"],
                "fake": g["fake"],
                "without_score": g["without_score"],
                "auc": with_interval(g, "auc"),
                "ap": html.percent(g["ap"]),
                "eer": html.percent(g["eer"]),
                "accuracy": html.percent(g["accuracy"]),
            }
            for g in parts
        ]
        tables.append({"title": title, "key": name, "rows": rows})
    return tables


def versions() -> str:
    """What the numbers were computed with."""
    from fpg import __version__

    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scikit-learn"))
    return f"fpg {__version__}, Python {platform.python_version()}, {packages}"


def _against(comparison: Comparison) -> dict[str, Any]:
    lines = [
        {"cells": compare_report.cells(group.name, group.videos, row, run), "row": row}
        for group in comparison.groups
        for row in group.rows
        for run in comparison.runs
        if run.name == row.run
    ]
    return {
        "baseline": comparison.baseline,
        "rows": lines,
        "sentences": compare_report.sentences(comparison),
        "notes": [*comparison.notes, *compare_report.left_out_notes(comparison)],
        "forest": compare_report.forest(comparison),
        "resamples": comparison.resamples,
    }


def _wrong(result: Result) -> bool:
    return result.score is not None and (result.judgement.verdict == "fake") != (result.label == FAKE)


def _worst_faces(worst: WorstFaces, mistakes: int) -> list[dict[str, str]]:
    chosen = [(r, h[0]) for r, h in worst.kept if h and (_wrong(r) or not mistakes)][: 12 if mistakes else 6]
    scale = map_scale(h for _, h in chosen)
    return [
        face_figure(h, scale, video=r.frames > 1, prefix=f"{r.name}: {_truth(r)}, video score {r.judgement.score:.3f}. Face: ")
        for r, h in chosen
    ]


def _truth(result: Result) -> str:
    return "fake" if result.label == FAKE else "real"


def _row(result: Result) -> dict[str, Any]:
    j = result.judgement
    return {
        "name": result.name,
        "truth": _truth(result),
        "score": j.score,
        "verdict": j.verdict,
        "wrong": _wrong(result),
        "error": j.error,
        "frames": result.frames,
        "with_face": j.frames_with_face,
    }


def write_markdown(
    path: str | os.PathLike[str],
    metrics: dict[str, Any],
    model: dict[str, Any],
    command: str,
    *,
    pictures: Sequence[str] = (),
    comparison: Comparison | None = None,
) -> None:
    """Write the report as Markdown, atomically: the same numbers without the faces.

    Args:
        path: of the file.
        metrics, model, command, comparison: as in `write_evaluation_report`.
        pictures: plots to show, relative to the file.

    Raises:
        InputError: the file cannot be written.
    """
    m = metrics
    parts = ["# Evaluation of a forgery detector", _plain(m["protocol"]["text"]) + "."]
    parts += [f"**About this model:** {_plain(warning)}." for warning in model.get("warnings", ())]
    if m["reason"]:
        parts.append(f"**AUC, AP and EER are undefined:** {_plain(m['reason'])}.")
    if warning := small_sample_warning(m):
        parts.append(f"**Few videos.** {warning}")
    rows = [[r["name"], r["video"], r["frame"], r["released"]] for r in headline(m)]
    parts += [
        "## Metrics",
        _table(["", f"videos ({m['scored']}) [95 %]", f"frames ({m['frame_level']['frames']}) [95 %]", "videos, as released"], rows),
        f"Intervals: {m['bootstrap']['method']}, {m['bootstrap']['resamples']} resamples, seed {m['bootstrap']['seed']}. "
        f"As released: {m['as_released']['rule']}. Calibration: {m['calibration']['rule']}. Threshold {m['threshold']:.4g}.",
    ]
    unscored = [*m["failed_videos"], *m["no_face_videos"]]
    if unscored:
        listed = [[v["video"], v["reason"]] for v in unscored]
        parts += ["## Videos without a score", f"{m['failed']} failed, {m['no_face']} had no face.", _table(["video", "reason"], listed)]
    for table in breakdown(m):
        columns = ["name", "real", "fake", "without_score", "auc", "ap", "eer"]
        cells = [[str(row[c]) for c in columns] for row in table["rows"]]
        parts += [f"## {table['title']}", _table([table["title"], "real", "fake", "no score", "AUC [95 %]", "AP", "EER"], cells)]
    for extra in tables(m):
        parts += [f"## {_plain(extra.title)}", _table(extra.head, extra.rows), _plain(extra.about)]
    if comparison is not None:
        found = _against(comparison)
        parts += [f"## Against {_plain(found['baseline'])}", _table(compare_report.HEADINGS[:8], [r["cells"][:8] for r in found["rows"]])]
        parts += [_list([*found["sentences"], *found["notes"]]), compare_report.READING]
    if m.get("robustness"):
        parts.append(robustness_markdown(m["robustness"]).rstrip())
    if pictures:
        parts += ["## Figures", "\n".join(f"![{name}]({name})" for name in pictures)]
    facts = [["file", model.get("file")], ["SHA-256", model.get("sha256")], ["network", model.get("backbone")]]
    facts += [["threshold", model.get("threshold")], ["temperature", model.get("temperature")]]
    parts += [
        "## Protocol",
        _list([*m["protocol"]["data"], m["protocol"]["aggregation"], m["protocol"]["crop"], m["protocol"]["unscored"]]),
    ]
    parts += ["## Model", _table(["", ""], [[str(k), "–" if v is None else str(v)] for k, v in facts])]
    parts += ["## Reproduce", f"```\n{command}\n```", versions()]
    with atomic_write(path, "w") as file:
        file.write("\n\n".join(part for part in parts if part) + "\n")


def _plain(text: str) -> str:
    """Text of a file as one line of Markdown that means what it says."""
    line = " ".join(text.split())
    return "".join("\\" + c if c in "\\`*_[]<>|#" else c for c in line)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_plain(line)}" for line in lines)
