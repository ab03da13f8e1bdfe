"""What fpg-detect keeps of its results, on disk, and the files that it writes of them. Memory does not grow with their number."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fpg.common.constants import CONSTANTS
from fpg.common.files import atomic_write, cell
from fpg.common.memory import return_freed_memory
from fpg.findings.strength import NOT_CALIBRATED, WORDS, worst_first
from fpg.record.exhibit import file_state
from fpg.record.run import now
from fpg.record.spool import Line, ResultSpool
from fpg.runtime.judgement import Judgement, printable
from fpg.runtime.report import MAX_SECTIONS, urgency

COLUMNS: tuple[str, ...] = tuple(CONSTANTS["record"]["csv_columns"])
"""Of the CSV."""


_TRIM_EVERY = 50
"""Results after which freed memory goes back to the system: frames are freed by other threads than those that took their memory."""

Place = tuple[int, int]
"""Where a result stands: one of the groups below, and its number there."""
FILES, LOST, ARRIVED = 0, 1, 2
"""Inputs in their order; what folders hold that cannot be judged, and copies that could not be drawn; what came later."""


class Results:
    """The results of a run, in the order of their places.

    Args:
        spool: where they are kept.
    """

    def __init__(self, spool: ResultSpool) -> None:
        self._spool = spool
        self._lines: dict[Place, Line] = {}
        self.pictured: dict[Place, Judgement] = {}
        """The most suspicious ones, with their pictures."""
        self.failed = False
        self._again: dict[Place, Path | str] = {}
        self._free: dict[int, int] = {}

    def take_known(self, place: Place, name: Path | str) -> bool:
        """Whether the run that is resumed has judged an input, which has not changed since: its result then gets that place."""
        line = self._spool.known.get(printable(name))
        if line is None or (line.bytes, line.modified) != file_state(name):
            return False
        self._keep(place, line)
        self._again[place] = name
        return True

    def add(self, place: Place, result: Judgement, extra: dict[str, Any] | None = None) -> None:
        """Keep a result; `extra` are more fields of it."""
        self._keep(place, self._spool.add({**result.to_json(), **(extra or {})}, now()))
        if len(self._lines) % _TRIM_EVERY == 0:
            return_freed_memory()
        if result.highlights:
            self.pictured[place] = replace(result, frames=tuple(frame.without_maps() for frame in result.frames))
            drop_highlights(self.pictured)

    def with_pictures(self, judge: Callable[[Path | str], Judgement]) -> dict[int, Judgement]:
        """What a report shows in detail, by its number among the results. Pictures are not kept on disk: of inputs that were judged before
        the run was resumed, `judge` makes them anew."""
        places = self.places
        for place in sorted(places, key=lambda place: _urgency(self._lines[place]))[:MAX_SECTIONS]:
            if self._lines[place].score is not None and place in self._again and place not in self.pictured:
                result = judge(self._again[place])
                if result.score is not None:
                    self.pictured[place] = result
        return {number: self.pictured[place] for number, place in enumerate(places) if place in self.pictured}

    def next(self, group: int) -> Place:
        """A free place at the end of a group."""
        return group, self._free.get(group, 0)

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Every result as it stands in the files."""
        return (self._spool.read(self._lines[place]) for place in self.places)

    @property
    def levels(self) -> Counter[str | None]:
        """How many results have which level, as `fpg.cli.lines.summary_lines` takes it."""
        return Counter(None if line.score is None else _level(line) for line in self._lines.values())

    @property
    def places(self) -> list[Place]:
        """Of the results, in order."""
        return sorted(self._lines)

    def _keep(self, place: Place, line: Line) -> None:
        group, number = place
        self._lines[place] = line
        self._free[group] = max(self._free.get(group, 0), number + 1)
        self.failed = self.failed or line.score is None


def drop_highlights(pictured: dict[Place, Judgement]) -> None:
    """Drop, in place, what a report would not show in detail, so that memory stays bounded."""
    if len(pictured) >= 2 * MAX_SECTIONS:
        for place in sorted(pictured, key=lambda place: urgency(pictured[place]))[MAX_SECTIONS:]:
            del pictured[place]


def _urgency(line: Line) -> tuple[int, float]:
    return worst_first(_level(line), line.score)


def _level(line: Line) -> str:
    """Lines of a run that is resumed may hold anything."""
    return line.level if line.level in WORDS else NOT_CALIBRATED


def write_csv(path: str | os.PathLike[str], results: Iterable[dict[str, Any]]) -> None:
    """A line per judged face, and one with the reason per input that could not be judged; atomically.

    Every cell is quoted, so that the separator of another country's spreadsheet begins none, and no text is a formula.

    Args:
        path: of the file.
        results: as they stand in the JSON.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_write(path, "w") as file:
        lines = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        lines.writerow(COLUMNS)
        for result in results:
            name, warnings = cell(result["input"]), cell("; ".join(result["warnings"]))
            words = result["finding"]["words"] if result["finding"] else ""
            if result["error"]:
                lines.writerow([name, *[""] * 8, cell(result["error"]), result["error_code"], warnings, words])
            for frame in result["frames"]:
                for face in frame["faces"]:
                    box = [f"{v:.2f}" for v in face["box"]]
                    where = [name, frame["index"], f"{frame['time_s']:.4f}", *box]
                    lines.writerow([*where, f"{face['score']:.6f}", face["track"], "", "", warnings, words])
