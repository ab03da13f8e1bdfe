"""The table of a comparison by method, for a terminal of 80 columns, as Markdown, LaTeX and CSV; the protocol stands next to the numbers.

One line per method (its seeds averaged), one column or block per data set. Standard deviations are over seeds, an interval
in brackets is over videos and seeds, over videos alone where there is one seed.
"""

from __future__ import annotations

import csv
import io
import os
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fpg.common.console import one_line
from fpg.common.files import atomic_write, cell
from fpg.evaluate.compare import BETTER, WORSE, Comparison
from fpg.evaluate.seeds import Interval, MethodRow

WIDTH = 80
"""Characters that the table on the terminal keeps to."""
MEAN = "mean of the data sets"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Block:
    """The methods on one data set, or over all."""

    name: str
    protocol: str
    real: int | None
    fake: int | None
    rows: Sequence[MethodRow]


def blocks(comparison: Comparison) -> list[Block]:
    """Every data set, the means last."""
    found = [Block(g.name, g.protocol, g.real, g.fake, g.methods) for g in comparison.groups]
    if comparison.methods_mean:
        shared = sum(not g.missing for g in comparison.groups)
        found.append(Block(MEAN, f"unweighted mean over {shared} data sets", None, None, comparison.methods_mean))
    return found


def points(value: float) -> str:
    """A difference of fractions in percentage points, signed: `+3.2`."""
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", MINUS)


def percentage(value: float | None) -> str:
    """A fraction in percent, without the sign."""
    return "–" if value is None else f"{100 * value:.1f}"


def spread(row: MethodRow) -> str:
    """`93.1 ± 0.4`, or `93.1` with one seed."""
    return percentage(row.auc) if row.auc_std is None else f"{percentage(row.auc)} ± {100 * row.auc_std:.1f}"


def _bounds(bounds: Interval | None) -> str:
    return "" if bounds is None else f" [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"


def difference(row: MethodRow) -> str:
    """`+3.2 [+1.0, +5.4]`, the verdict where there is none."""
    if row.difference is None or row.difference_interval is None:
        return row.verdict
    low, high = row.difference_interval
    return f"{points(row.difference)} [{points(low)}, {points(high)}]"


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def text_lines(comparison: Comparison) -> Iterator[str]:
    """The table for a terminal, no line longer than `WIDTH`."""
    head = ["method", "AUC [95 %]", "AP", "EER", "difference [95 %]", "p"]
    for block in blocks(comparison):
        yield from wrapped(f"{block.name}: {block.protocol}")
        rows = [
            [_titled(row), spread(row) + _bounds(row.auc_interval), percentage(row.ap), percentage(row.eer), difference(row), _p(row.p)]
            for row in block.rows
        ]
        yield from aligned(head if comparison.seeded else head[:-1], [row if comparison.seeded else row[:-1] for row in rows])
        yield ""


def _titled(row: MethodRow) -> str:
    return one_line(row.method) + (f" ({len(row.runs)} seeds)" if len(row.runs) > 1 else "")


def wrapped(text: str, indent: str = "") -> list[str]:
    """Lines of at most `WIDTH` characters."""
    return textwrap.wrap(one_line(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False) or [""]


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in plain text: the first column takes what is left of `WIDTH` and is folded, the others are aligned right."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    first = max(6, min(widths[0], WIDTH - sum(w + 2 for w in widths[1:])))
    lines = []
    for line in [head, *rows]:
        names = textwrap.wrap(line[0], first, break_on_hyphens=False) or [""]
        rest = "".join(f"  {part:>{width}}" for part, width in zip(line[1:], widths[1:], strict=True))
        lines += [names[0].ljust(first) + rest, *names[1:]]
    return lines


def note_lines(comparison: Comparison) -> list[str]:
    """How to read the table: what standard deviation, interval and p are of."""
    found = [f"AUC, AP and EER in percent; differences in points, to {_base(comparison)}."]
    if comparison.seeded:
        found.append(
            "±: standard deviation over seeds. Intervals and p of methods with several seeds: over videos and seeds (bootstrap over "
            "videos, variance between seeds added, Student's t). With one seed they cover the choice of videos alone."
        )
    return found


def _base(comparison: Comparison) -> str:
    return next(family.name for family in comparison.families if comparison.baseline in family.runs)


def markdown(comparison: Comparison) -> str:
    """The table as Markdown: methods by data sets, then the protocol of each."""
    parts = blocks(comparison)
    lines = [["method", "seeds", *(f"{b.name}: AUC [95 %]" for b in parts), f"difference to {_base(comparison)} [95 %]"]]
    lines.append(["---", *["--:"] * (len(parts) + 2)])
    for family in comparison.families:
        at = [next((row for row in b.rows if row.method == family.name), None) for b in parts]
        known = [row for row in at if row is not None]
        cells = ["–" if row is None else spread(row) + _bounds(row.auc_interval) for row in at]
        lines.append([family.name, str(len(family.runs)), *cells, difference(known[-1]) if known else "–"])
    table = "\n".join("| " + " | ".join(map(_plain, line)) + " |" for line in lines)
    protocol = "\n".join(f"- {_plain(b.name)}: {_plain(b.protocol)}" for b in parts)
    notes = "\n".join(f"- {_plain(line)}" for line in [*note_lines(comparison), *comparison.notes])
    return f"{table}\n\n{protocol}\n{notes}\n"


def _plain(text: str) -> str:
    """Text as one line of Markdown that means what it says."""
    if set(text) <= set("-:"):
        return text
    line = " ".join(text.split())
    return "".join("\\" + c if c in "\\`*_<>|#" else c for c in line)


_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {c: "\\" + c for c in "&%$#_{}"} | {MINUS: "$-$", "±": r"$\pm$", "–": "--"}


def tex(text: str) -> str:
    """Text as LaTeX that means what it says."""
    return "".join(_LATEX.get(c, c) for c in one_line(text))


def latex(comparison: Comparison, command: str) -> str:
    """The table as LaTeX (`booktabs`): mean AUC in percent with the standard deviation over seeds, the best bold, a star where the
    difference from the baseline's method has an interval without 0; protocol and counts in the caption."""
    parts, base = blocks(comparison), _base(comparison)
    best = [max((row.auc for row in b.rows if row.auc is not None), default=None) for b in parts]
    lines = []
    for family in comparison.families:
        cells = []
        for block, top in zip(parts, best, strict=True):
            row = next((row for row in block.rows if row.method == family.name), None)
            cells.append("--" if row is None or row.auc is None else _tex_cell(row, row.auc == top and len(block.rows) > 1))
        lines.append(f"    {tex(family.name)} & {len(family.runs)} & {' & '.join(cells)} \\\\")
    names = [tex("mean" if b.name == MEAN else b.name) for b in parts]
    protocol = " ".join(f"{tex(b.name)}: {tex(b.protocol)}." for b in parts if b.real is not None)
    caption = f"AUC in percent. {' '.join(map(tex, note_lines(comparison)[1:]))} $\\ast$: its 95\\,\\% interval of the difference to "
    caption += f"{tex(base)} excludes 0. {protocol}"
    return "\n".join(
        [
            f"% {one_line(command)}",
            "% needs \\usepackage{booktabs}",
            "\\begin{table}[t]",
            "  \\centering",
            f"  \\caption{{{caption}}}",
            f"  \\begin{{tabular}}{{lr{'c' * len(parts)}}}",
            "    \\toprule",
            f"    Method & Seeds & {' & '.join(names)} \\\\",
            "    \\midrule",
            *lines,
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def _tex_cell(row: MethodRow, best: bool) -> str:
    value = f"\\textbf{{{percentage(row.auc)}}}" if best else percentage(row.auc)
    deviation = "" if row.auc_std is None else f" {{\\scriptsize $\\pm$ {100 * row.auc_std:.1f}}}"
    return value + deviation + ("$^{\\ast}$" if row.verdict in (BETTER, WORSE) else "")


CSV_COLUMNS = (
    *("data", "method", "runs", "seeds", "real", "fake", "auc", "auc_std", "auc_low", "auc_high", "ap", "eer"),
    *("difference", "difference_low", "difference_high", "p", "p_videos", "p_seeds", "verdict", "baseline", "protocol"),
)


def csv_text(comparison: Comparison) -> str:
    """One line per method and data set, every number as it is (fractions in [0, 1]), empty where undefined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for block in blocks(comparison):
        for row in block.rows:
            low, high = row.auc_interval or (None, None)
            below, above = row.difference_interval or (None, None)
            runs, seeds = ";".join(row.runs), ";".join("" if seed is None else str(seed) for seed in row.seeds)
            values = [block.name, row.method, runs, seeds, block.real, block.fake, row.auc, row.auc_std, low, high, row.ap, row.eer]
            values += [row.difference, below, above, row.p, row.p_videos, row.p_seeds, row.verdict, _base(comparison), block.protocol]
            writer.writerow([cell(value) if isinstance(value, str) else value for value in values])
    return out.getvalue()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a table, atomically.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_write(path, "w") as file:
        file.write(text)
