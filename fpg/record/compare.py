"""Whether two results say the same: every field, numbers to the last digit or nearly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CLOSE = 1e-3
"""Numbers of other machines and versions may differ by so much: as exports are allowed to from torch."""
BYTES = ("sha256", "bytes")
"""Fields about the input's bytes; compared apart from what was judged."""
_ASIDE = (*BYTES, "input", "modified", "media", "c2pa", "schema", "record", "live", "warnings", "error")
"""Fields that are no answer of a detector: names, claims, notes."""
_PIXELS = 1.0
"""Boxes of other machines may differ by so much."""


@dataclass(frozen=True)
class ScoreComparison:
    """What became of the scores of one input."""

    state: str
    """`same` (to the last digit), `close` (within `CLOSE`), `changed`, or `not_judged`: neither had or has a score."""
    largest: float | None
    """Largest difference of two numbers; None without any."""
    differences: tuple[str, ...] = ()
    """What is not the same: `score: 0.9 recorded, 0.2 now`."""


def compare_results(recorded: dict[str, Any], found: dict[str, Any], *, exact: bool) -> ScoreComparison:
    """What two results of one input say.

    Args:
        recorded: the earlier one.
        found: the one of now; what it has and the recorded one lacks (a newer fpg's fields) does not count.
        exact: demand the last digit: both come from the same program, machine and settings.
    """
    differences, largest = [], None
    for path, before, now in _leaves("", recorded, found):
        if _is_number(before) and _is_number(now):
            gap = abs(before - now)
            largest = max(largest or 0.0, gap)
            bound = _PIXELS if ".box[" in path else CLOSE
            if gap > 0 if exact else not gap <= bound:
                differences.append(f"{path}: {before:.17g} recorded, {now:.17g} now")
        elif before != now:
            differences.append(f"{path}: {_short(before)} recorded, {_short(now)} now")
    if differences:
        return ScoreComparison("changed", largest, tuple(differences))
    if recorded.get("score") is None:
        return ScoreComparison("not_judged", largest)
    return ScoreComparison("close" if largest else "same", largest)


def _leaves(path: str, recorded: Any, found: Any) -> Iterator[tuple[str, Any, Any]]:
    """(where, recorded, found) of every value that the recorded one holds."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key, value in recorded.items():
            if path or key not in _ASIDE:
                yield from _leaves(f"{path}.{key}" if path else key, value, found.get(key))
    elif isinstance(recorded, list) and isinstance(found, list):
        if len(recorded) != len(found):
            yield f"number of {path}", len(recorded), len(found)
        for number, (one, other) in enumerate(zip(recorded, found, strict=False)):
            yield from _leaves(f"{path}[{number}]", one, other)
    else:
        yield path, recorded, found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:60] + "..."
