"""What fpg-detect says of its results on a terminal: the finding first, then how it was seen and what limits it; a summary at the end.

The words stand in `fpg/findings/tables.json`; fpg-detect-cpp prints the same lines (`deploy/src/lines.cpp`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from fpg.common.console import one_line
from fpg.common.constants import filled
from fpg.findings.finding import interval_text, suspicious
from fpg.findings.strength import NOT_CALIBRATED, WORDS, stated, worst_first
from fpg.findings.tables import TABLES
from fpg.runtime.judgement import Judgement

_TEXT: dict[str, str] = {**TABLES["terminal"], **TABLES["text"]}
_COLOURS: dict[str, str] = TABLES["terminal"]["colours"]
_COLUMNS: int = TABLES["terminal"]["columns"]
_WIDEST = max(map(len, WORDS.values()))
HEAD = _TEXT["head"]
"""Names of the columns."""


def result_lines(result: Judgement, *, colour: bool = False) -> list[str]:
    """A line with finding, score, threshold and input, and below it indented ones: what it was judged on, suspicious parts, limits.

    Args:
        result: of one input. Of one without a score it is said only that it was not judged; the reason belongs on the standard error.
        colour: print the finding in the colour of its level (ANSI).
    """
    name = one_line(result.input)
    if result.score is None:
        return [f"{_TEXT['not_judged']:<{_WIDEST}}  {'-':>5}  {'-':>9}  {name}"]
    level = result.finding.level if result.finding else NOT_CALIBRATED
    words = f"{WORDS[level]:<{_WIDEST}}"
    if colour:
        words = f"\x1b[{_COLOURS[level]}m{words}\x1b[0m"
    below = [_judged_on(result)]
    if where := suspicious(result.tracks):
        below.append(filled(_TEXT["suspicious"], segments=where))
    below += [filled(_TEXT["limit"], limit=limit.text) for limit in (result.finding.limits if result.finding else ())]
    indented = [line for text in below for line in _wrapped(text, "    ", "      ")]
    return [f"{words}  {result.score:5.3f}  {result.threshold:9.3f}  {name}", *indented]


def summary_lines(levels: Mapping[str | None, int]) -> list[str]:
    """How many inputs came to which finding, where there are several, worst first; then what findings mean that are easily misread.

    Args:
        levels: level -> inputs; None for those that were not judged.
    """
    total = sum(levels.values())
    order = sorted(levels, key=lambda level: worst_first(level, None if level is None else 0.0))
    lines = []
    if total > 1:
        lines.append(filled(_TEXT["summary"], inputs=str(total)))
        lines += [f"{levels[level]:>6}  {_TEXT['not_judged'] if level is None else WORDS[level]}" for level in order]
    for level in order:
        if level is not None and level in TABLES["means"]:
            lines += _wrapped(stated(level), "", "")
    return lines


def _judged_on(result: Judgement) -> str:
    counts = [len(frame.faces) for frame in result.frames]
    text = _TEXT["one_face"] if sum(counts) == 1 else filled(_TEXT["faces"], faces=str(sum(counts)))
    if len(counts) > 1:
        text += filled(_TEXT["seen"], seen=str(result.frames_with_face), frames=str(len(counts)))
    if max(counts) > 1:
        text += filled(_TEXT["at_once"], most=str(max(counts)))
    interval = result.finding.interval if result.finding else None
    return text if interval is None else text + filled(_TEXT["interval_behind"], interval=interval_text(interval))


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    """Lines of at most `_COLUMNS` characters, a word at least."""
    return textwrap.wrap(text, _COLUMNS, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False)
