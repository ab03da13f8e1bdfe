"""Attributes of videos that somebody annotated (sex, age group, skin tone, camera ...), from the columns of a CSV. None is guessed.

A CSV of videos (`path,label,...`) may have more columns, and any CSV keyed by video can be given in addition to other data. An empty cell
means unknown. A column with very many values (a name, an exact age) does not make groups, and this is reported.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fpg.common.errors import InputError
from fpg.data.layouts.base import read_text
from fpg.evaluate.foreign import common_end, identifying_parts
from fpg.evaluate.protocol import Result

KEYS = ("video", "path", "filename", "file")
"""What the column that names the video may be called; the first that is there counts."""
NO_GROUP = frozenset({"label", "split", "score", "pred", "prediction", "probability", "dataset", "method", "frame"})
"""Columns that have another meaning, here or in lists of videos and scores."""
MOST_VALUES = 20
"""A column with more distinct values is no group."""


@dataclass(frozen=True)
class Attributes:
    """What a file says about videos."""

    path: Path
    names: tuple[str, ...]
    """Columns that are groups."""
    rows: tuple[tuple[tuple[str, ...], dict[str, str]], ...]
    """Parts of each video's path in lower case, and its known values by column."""
    notes: tuple[str, ...]
    """Columns that were left out, and why."""


def read_attributes(path: str | os.PathLike[str]) -> Attributes:
    """Read a CSV with a heading: one column that names the video (`video`, `path`, `filename` or `file`), every other one an attribute.

    Raises:
        InputError: not such a file, a line of another length, a video without a name or twice.
    """
    path = Path(path)
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise InputError(path, f"line {reader.line_num}: is not CSV: {error}") from error
    heading = [name.strip().lower() for name in lines[0][1]] if lines else []
    key = next((heading.index(name) for name in KEYS if name in heading), None)
    if key is None or len(set(heading)) < len(heading):
        raise InputError(
            path, f"heading: expected {' or '.join(KEYS)} and attributes, each once; got {','.join(heading)[:80] or 'nothing'}"
        )
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for number, cells in lines[1:]:
        if len(cells) != len(heading):
            raise InputError(path, f"line {number}: expected {len(heading)} cells, got {len(cells)}")
        parts = tuple(part.lower() for part in identifying_parts(cells[key].strip()))
        if not parts:
            raise InputError(path, f"line {number}: names no video")
        if parts in rows:
            raise InputError(path, f"line {number}: {cells[key].strip()} comes twice")
        known = {name: cell.strip() for i, (name, cell) in enumerate(zip(heading, cells, strict=True)) if i != key and cell.strip()}
        rows[parts] = {name: value for name, value in known.items() if name not in NO_GROUP and name not in KEYS}
    names, notes = usable(path, list(rows.values()))
    return Attributes(path, names, tuple((parts, {n: v for n, v in row.items() if n in names}) for parts, row in rows.items()), notes)


def usable(source: str | os.PathLike[str], rows: Sequence[dict[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that are groups, and a note for each that has too many values."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            values.setdefault(name, set()).add(value)
    many = {name: len(found) for name, found in values.items() if len(found) > MOST_VALUES}
    notes = tuple(f"{source}: column {name}: {count} different values are no group, put them into ranges" for name, count in many.items())
    return tuple(name for name in values if name not in many), notes


def attach(results: Sequence[Result], found: Attributes) -> tuple[list[Result], list[str]]:
    """Results with the attributes of the videos that a file names, told by the ends of their paths; what the results know already stays
    where the file says nothing.

    Returns:
        the results, and notes: how many the file does not name, and what was left out of it.

    Raises:
        InputError: two lines of the file fit one video.
    """
    by_name: dict[str, list[tuple[tuple[str, ...], dict[str, str]]]] = {}
    for parts, row in found.rows:
        by_name.setdefault(parts[-1], []).append((parts, row))
    known, missing = [], []
    for result in results:
        tails = [identifying_parts(result.judgement.input), identifying_parts(f"{result.dataset}/{result.method}/{result.video}")]
        tails = [tuple(part.lower() for part in tail) for tail in tails]
        ranked = [(max(common_end(parts, tail) for tail in tails), parts, row) for parts, row in by_name.get(tails[1][-1], [])]
        ranked = [entry for entry in ranked if entry[0] == max(length for length, _, _ in ranked)]
        whole = [entry for entry in ranked if entry[0] == len(entry[1])] or ranked
        if len(whole) > 1:
            raise InputError(
                found.path, f"{result.name}: fits {' and '.join('/'.join(e[1]) for e in whole[:2])}; write more of their paths"
            )
        if whole:
            known.append(replace(result, attributes={**result.attributes, **whole[0][2]}))
        else:
            known.append(result)
            missing.append(result.name)
    notes = list(found.notes)
    if missing:
        notes.append(
            f"{found.path}: names {len(results) - len(missing)} of {len(results)} videos; the first that it does not: {missing[0]}"
        )
    return known, notes


def grouped(results: list[Result], annotated: Attributes | None) -> tuple[list[Result], list[str]]:
    """The results with their attributes, those with too many values left out, and what there is to say about them."""
    notes: list[str] = []
    if annotated is not None:
        results, notes = attach(results, annotated)
    names, many = usable("the list of videos", [result.attributes for result in results])
    kept = [replace(r, attributes={name: value for name, value in r.attributes.items() if name in names}) for r in results]
    return kept, [*notes, *many]
