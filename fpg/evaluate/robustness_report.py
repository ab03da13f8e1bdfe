"""Robustness for people: the section of the report, its figure, the tables on the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from fpg.common import html
from fpg.evaluate.perturbations import ATTACK, LEVELS

COLUMNS = 4
ATTACK_WORDS = (
    "made with the detector's own weights against the network's input image, within the budget; no change that an ordinary video goes "
    "through, and no part of any average over perturbations"
)


def robustness_section(result: dict[str, Any]) -> Markup:
    """The section of the HTML report: table, curves, what has no score.

    Args:
        result: `fpg.evaluate.robustness.tabulate`.
    """
    figure = robustness_figure(result)
    return Markup(
        html.render(
            "robustness.html.j2",
            r=result,
            levels=range(1, LEVELS + 1),
            points=drop_in_points,
            chart=html.inline_svg(figure, "robustness", "AUC at five levels of each perturbation"),
            remarks=remarks(result),
            lost=[(cell_name(c), v) for c in result["cells"] for v in c["without_score"] if v["clean_score"] is not None],
        )
    )


def robustness_figure(result: dict[str, Any]) -> Any:
    """A panel per perturbation: AUC at levels 0 (clean) to 5 with 95 % intervals, the clean AUC as a dotted line."""
    from matplotlib.ticker import FixedLocator

    rows = result["rows"]
    lines = -(-len(rows) // COLUMNS)
    figure, first = html.chart(2.1 * min(COLUMNS, len(rows)) + 0.4, 1.75 * lines + 0.2)
    first.remove()
    grid = figure.subplots(lines, min(COLUMNS, len(rows)), sharex=True, sharey=True, squeeze=False)
    lowest = 100.0
    for axes, row in zip(grid.flat, rows, strict=False):
        _dress(axes)
        aucs = [result["clean"], *row["auc"]]
        spans = [result["clean_cell"]["interval"], *row["interval"]]
        known = [(x, 100 * v, span) for x, (v, span) in enumerate(zip(aucs, spans, strict=True)) if v is not None]
        if result["clean"] is not None:
            axes.axhline(100 * result["clean"], color=html.INK, linewidth=0.7, alpha=0.5, linestyle=(0, (2, 3)))
        banded = [(x, 100 * span[0], 100 * span[1]) for x, _, span in known if span]
        if banded:
            axes.fill_between(*np.array(banded).T, color=html.ACCENT, alpha=0.16, linewidth=0)
        axes.plot([x for x, _, _ in known], [v for _, v, _ in known], color=html.ACCENT, linewidth=1.6, marker="o", markersize=3.2)
        axes.set_title(row["type"], fontsize=9, color=html.INK)
        axes.xaxis.set_major_locator(FixedLocator(range(LEVELS + 1)))
        lowest = min([lowest, *(low for _, low, _ in banded), *(v for _, v, _ in known)])
    for axes in list(grid.flat)[len(rows) :]:
        axes.set_visible(False)
    grid[0, 0].set_ylim(max(0.0, lowest - 3), 101)
    figure.supxlabel("level (0: clean)", fontsize=9, color=html.INK)
    figure.supylabel("AUC, %", fontsize=9, color=html.INK)
    return figure


def _dress(axes: Any) -> None:
    """The page's style, which `html.chart` gives to its own axes only."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=html.INK, linewidth=0.7)
    axes.tick_params(color=html.INK, labelcolor=html.INK, labelsize=8, width=0.7, labelbottom=True)


def cell_name(cell: dict[str, Any]) -> str:
    """For example `Gaussian blur 3 (kernel 13)`."""
    return f"{cell['title']} {cell['level']} ({cell['meaning']} {cell['parameter']:g})"


def remarks(result: dict[str, Any]) -> list[str]:
    """What chains and the attack are; one sentence for every cell that some video has no score in, or that left videos as they were."""
    found = [f"{row['type']} is, at levels 1 to 5: {row['steps']}" for row in result["rows"] if row.get("steps")]
    found += [f"{row['type']}: {ATTACK_WORDS}" for row in result["rows"] if row["name"] == ATTACK.name]
    for cell in result["cells"]:
        parts = [
            f"{cell[key]} {words}"
            for key, words in (("failed", "failed"), ("no_face", "without a face"), ("unchanged", "left unchanged"))
            if cell[key]
        ]
        if parts:
            found.append(f"{cell_name(cell)}: of {result['videos']} videos {', '.join(parts)}")
    return found


def robustness_headline(result: dict[str, Any]) -> Iterator[str]:
    """The averages in one line each."""
    for average in result["averages"]:
        yield (
            f"robustness ({average['title']}): mean AUC {html.percent(average['auc'])}, "
            f"{drop_in_points(average['drop'])} points against clean, clean AUC {html.percent(result['clean'])}"
        )


def drop_in_points(value: float | None) -> str:
    """A drop as the change of the AUC in percentage points: a drop of 0.03 is -3.0."""
    return "–" if value is None else f"{0 - 100 * value:+.1f}"


def robustness_rows(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and body of the table: AUC in % with its change in points, level by level."""
    head = ["perturbation", *(f"level {level}" for level in range(1, LEVELS + 1)), "mean AUC", "change"]
    return head, [_line(row) for row in result["rows"]]


def robustness_tables(result: dict[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Title, head and body of two narrow tables, of AUCs and of their changes, for terminals."""
    head = ["perturbation", *(f"level {level}" for level in range(1, LEVELS + 1)), "mean"]
    for key, title, show in (("auc", "AUC in %", _hundredths), ("drop", "change in points", drop_in_points)):
        yield title, head, [[row["type"], *map(show, row[key]), show(row["mean"][key])] for row in result["rows"]]


def _hundredths(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _line(row: dict[str, Any]) -> list[str]:
    cells = ["–" if auc is None else f"{100 * auc:.1f} ({drop_in_points(drop)})" for auc, drop in zip(row["auc"], row["drop"], strict=True)]
    return [row["type"], *cells, html.percent(row["mean"]["auc"]), drop_in_points(row["mean"]["drop"])]


def robustness_markdown(result: dict[str, Any]) -> str:
    """The section as Markdown."""
    head, rows = robustness_rows(result)

    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    lines = [
        "## Robustness",
        "",
        f"{result['text'][:1].upper()}{result['text'][1:]}. Clean AUC {html.percent(result['clean'])} over {result['videos']} videos "
        f"({result['real']} real, {result['fake']} fake). Cells: AUC in % (change in points).",
        "",
        row(head),
        row(["---", *["--:"] * (len(head) - 1)]),
        *map(row, rows),
        "",
        *(f"- {line}" for line in [*robustness_headline(result), *remarks(result)]),
    ]
    return "\n".join(lines).rstrip() + "\n"
