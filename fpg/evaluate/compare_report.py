"""The page and the terminal table that `fpg-compare` writes: one table, differences with their intervals, ROC curves, what to beware of."""

from __future__ import annotations

import os
import sys
from typing import Any

from markupsafe import Markup

from fpg.common import html
from fpg.common.console import one_line
from fpg.evaluate.compare import BASELINE, BETTER, WORSE, Comparison, Group, Interval, Row
from fpg.evaluate.compare_table import MEAN, aligned, blocks, note_lines, points, spread, text_lines, wrapped
from fpg.evaluate.compare_table import difference as method_difference
from fpg.evaluate.metrics import roc
from fpg.evaluate.runs import Cost, EvaluatedRun

COLOURS = ("#4361a8", "#c2410c", "#0f766e", "#a2528e", "#8a7a1c", "#3b8fb5", "#7a5ac2", "#6b7280")
"""Of the runs in charts, in order; from the ninth on they repeat, dashed."""
MOST_CURVES = 6
"""Groups with ROC curves of their own on the page."""
MOST_SENTENCES = 8
"""In words on the page; the table holds all."""
MOST_NAMED = 50
"""Videos left out that the page names; the JSON file names all."""


def cells(group: str, videos: int, row: Row, run: EvaluatedRun) -> list[str]:
    """A line of the table: run, data, videos, AUC, AP, EER, difference, verdict, images, time."""
    return [
        row.run,
        group,
        str(videos),
        _with_interval(row.auc, row.auc_interval),
        html.percent(row.ap),
        html.percent(row.eer),
        _difference(row.difference, row.difference_interval),
        row.verdict,
        images(run.cost),
        time(run.cost),
    ]


HEADINGS = ["run", "data", "videos", "AUC [95 %]", "AP", "EER", "difference [95 %]", "verdict", "images", "training"]


def show(comparison: Comparison) -> None:
    """The table by method, the cost of each run, what it means, and the notes on the standard output, 80 columns wide."""
    for line in text_lines(comparison):
        print(line)
    cost = [[one_line(run.name), "–" if run.seed is None else str(run.seed), images(run.cost), time(run.cost)] for run in comparison.runs]
    for line in [*aligned(["run", "seed", "images", "training"], cost), ""]:
        print(line)
    spoken = method_sentences(comparison) if comparison.seeded else sentences(comparison)
    told = [f"note: {note}" for note in [*comparison.notes, *left_out_notes(comparison)]]
    for text in [*spoken, *note_lines(comparison), *told, reading(comparison)]:
        for line in wrapped(text, "  "):
            print(line)
    sys.stdout.flush()


READING = (
    "Intervals: paired bootstrap over videos. They cover the choice of videos, not the randomness of one training run: "
    "for that, train with several seeds."
)


def reading(comparison: Comparison) -> str:
    """What the intervals cover."""
    if not comparison.seeded:
        return READING
    return "All runs are resampled on the same videos; seeds are paired if both methods have the same ones."


def method_sentences(comparison: Comparison) -> list[str]:
    """What the table by method says, in words: one sentence per method and data set, the means first."""
    parts = blocks(comparison)
    found = []
    for block in [*parts[-1:], *parts[:-1]] if comparison.methods_mean else parts:
        for row in block.rows:
            if row.difference is None:
                continue
            place = f"over the {MEAN}" if block.name == MEAN else f"on {block.name}"
            seeds = f"{len(row.seeds)} seed{'s' if len(row.seeds) != 1 else ''}"
            found.append(f"{row.method} ({seeds}) {place}: {row.verdict}, AUC {method_difference(row)} points against the baseline.")
    return found


def sentences(comparison: Comparison) -> list[str]:
    """What the table says, in words: one sentence per run and group, the means first."""
    named = [("", row) for row in comparison.mean or []]
    named += [(group.name, row) for group in comparison.groups for row in group.rows]
    return [_sentence(row, name, comparison.baseline) for name, row in named if row.difference is not None]


def _sentence(row: Row, group: str, baseline: str) -> str:
    place = f"on {group}" if group else f"over the {MEAN}"
    judged = row.verdict in (BETTER, WORSE)
    start = f"{row.run} {place}: {row.words} than {baseline}" if judged else f"{row.run} against {baseline} {place}: {row.words}"
    bounds = f", {_bounds(row.difference_interval)}" if row.difference_interval is not None else ""
    return f"{start}. AUC {points(row.difference or 0.0)} points{bounds}."


def left_out_notes(comparison: Comparison) -> list[str]:
    """Videos that not every run scored, and data sets that not every run was evaluated on, by name."""
    notes = []
    for group in comparison.groups:
        if group.missing:
            notes.append(f"{group.name}: not evaluated by {', '.join(group.missing)}")
        if group.left_out:
            first = "; ".join(f"{v.video} ({_why(v.reasons)})" for v in group.left_out[:3])
            more = f"; and {len(group.left_out) - 3} more (all in the JSON file)" if len(group.left_out) > 3 else ""
            notes.append(f"{group.name}: {len(group.left_out)} videos left out, as not every run scored them: {first}{more}")
        notes += [f"{group.name}: {note}" for note in group.notes]
    return notes


def _why(reasons: dict[str, str]) -> str:
    return ", ".join(f"{run}: {reason}" for run, reason in reasons.items())


def _bounds(bounds: Interval) -> str:
    return f"95 % interval {points(bounds[0])} to {points(bounds[1])}"


def _with_interval(value: float | None, bounds: Interval | None) -> str:
    if value is None or bounds is None:
        return "–"
    return f"{100 * value:.1f} [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"


def _difference(value: float | None, bounds: Interval | None) -> str:
    return "–" if value is None or bounds is None else f"{points(value)} [{points(bounds[0])}, {points(bounds[1])}]"


def images(cost: Cost) -> str:
    """Images of the training for people: `1.2 M`."""
    if cost.images is None:
        return "–"
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if cost.images >= limit:
            return f"{cost.images / (1e6 if unit == 'M' else 1e3):.1f} {unit}"
    return str(cost.images)


def time(cost: Cost) -> str:
    """Time of the training for people: `2:05 min`, with the number of processes where there were several."""
    if cost.seconds is None:
        return "–"
    seconds = round(cost.seconds)
    if cost.seconds < 60:
        text = f"{cost.seconds:.1f} s"
    elif seconds < 3600:
        text = f"{seconds // 60}:{seconds % 60:02d} min"
    else:
        text = f"{seconds // 3600}:{seconds % 3600 // 60:02d} h"
    return text if cost.processes == 1 else f"{text} x {cost.processes}"


def write_comparison_report(path: str | os.PathLike[str], comparison: Comparison, command: str) -> None:
    """Write the page, atomically.

    Raises:
        InputError: the file cannot be written.
    """
    runs = {run.name: run for run in comparison.runs}
    drawn = [group for group in comparison.groups if group.rows and group.real and group.fake]
    html.write_page(
        path,
        "compare.html.j2",
        c=comparison,
        headings=HEADINGS,
        groups=_sections(comparison, runs),
        sentences=sentences(comparison)[:MOST_SENTENCES],
        forest=forest(comparison),
        curves=[(group.name, roc_overlay(group, comparison, f"roc{i}")) for i, group in enumerate(drawn[:MOST_CURVES])],
        not_drawn=max(0, len(drawn) - MOST_CURVES),
        notes=[*comparison.notes, *(note for group in comparison.groups for note in _about(group))],
        left_out=[(group.name, v.video, _why(v.reasons)) for group in comparison.groups for v in group.left_out][:MOST_NAMED],
        left_out_total=sum(len(group.left_out) for group in comparison.groups),
        legend=[(run.name, _colour(i), run.method) for i, run in enumerate(comparison.runs)],
        methods=blocks(comparison) if comparison.seeded else [],
        method_cells=lambda row: [row.method, len(row.runs), spread(row), method_difference(row), row.verdict],
        reading=reading(comparison),
        command=command,
    )


def _about(group: Group) -> list[str]:
    missing = [f"{group.name}: not evaluated by {', '.join(group.missing)}"] if group.missing else []
    return missing + [f"{group.name}: {note}" for note in group.notes]


def _sections(comparison: Comparison, runs: dict[str, EvaluatedRun]) -> list[dict[str, Any]]:
    """Groups with their lines, for the page's table."""

    def line(name: str, videos: int, row: Row) -> dict[str, Any]:
        kind = row.verdict if row.verdict in (BETTER, WORSE, BASELINE) else "none"
        return {"cells": cells(name, videos, row, runs[row.run]), "kind": kind, "failed": row.failed, "no_face": row.no_face}

    sections = [{"name": g.name, "about": g.protocol, "rows": [line(g.name, g.videos, r) for r in g.rows]} for g in comparison.groups]
    if comparison.mean:
        shared = [group for group in comparison.groups if not group.missing]
        total = sum(group.videos for group in shared)
        sections.append({"name": MEAN, "about": f"{len(shared)} data sets", "rows": [line(MEAN, total, r) for r in comparison.mean]})
    return sections


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _dash(index: int) -> Any:
    return "solid" if index < len(COLOURS) else (0, (4, 2))


def forest(comparison: Comparison) -> Markup | None:
    """Differences of AUC to the baseline with their intervals, one line per run and group; None without any."""
    order = {run.name: i for i, run in enumerate(comparison.runs)}
    named: list[tuple[str, Row]] = [(group.name, row) for group in comparison.groups for row in group.rows]
    named += [(MEAN, row) for row in comparison.mean or []]
    lines = [(name, row, row.difference, row.difference_interval) for name, row in named]
    drawn = [(name, row, d, b) for name, row, d, b in lines if d is not None and b is not None]
    if not drawn:
        return None
    several = len({name for name, *_ in drawn}) > 1
    figure, axes = html.chart(6.4, 0.9 + 0.34 * len(drawn))
    axes.axvline(0, color=html.INK, linewidth=0.8, linestyle=(0, (3, 3)))
    for y, (_, row, difference, bounds) in enumerate(drawn):
        colour = _colour(order[row.run])
        axes.plot([100 * b for b in bounds], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
        for edge in bounds:
            axes.plot([100 * edge] * 2, [y - 0.16, y + 0.16], color=colour, linewidth=1.4)
        axes.plot([100 * difference], [y], marker="o", markersize=6, color=colour)
    axes.set_yticks(range(len(drawn)), [html.plot_text(f"{row.run}, {name}" if several else row.run) for name, row, *_ in drawn])
    axes.set(ylim=(len(drawn) - 0.5, -0.5), xlabel=html.plot_text(f"AUC minus that of {comparison.baseline}, percentage points"))
    reach = max(1.0, *(abs(100 * edge) for *_, bounds in drawn for edge in bounds)) * 1.08
    axes.set_xlim(-reach, reach)
    return html.inline_svg(figure, "forest", f"Differences of AUC to {comparison.baseline} with 95 % intervals")


def roc_overlay(group: Group, comparison: Comparison, name: str) -> Markup:
    """ROC curves of every run on the same videos."""
    order = {run.name: i for i, run in enumerate(comparison.runs)}
    figure, axes = html.chart(4.6, 3.8)
    axes.plot([0, 1], [0, 1], color=html.INK, linewidth=0.7, alpha=0.5, linestyle=(0, (2, 3)))
    for row, scores in zip(group.rows, group.scores, strict=True):
        index = order[row.run]
        label = html.plot_text(f"{row.run}  {100 * (row.auc or 0):.1f}")
        axes.plot(*roc(group.labels, scores), color=_colour(index), linestyle=_dash(index), linewidth=1.7, label=label, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
    axes.legend(frameon=False, fontsize=8, labelcolor=html.INK, loc="lower right")
    return html.inline_svg(figure, name, f"ROC curves on {group.name}")
