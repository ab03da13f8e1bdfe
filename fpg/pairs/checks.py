"""What every section of the configuration of pairs checks alike."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from fpg.common.errors import UsageError

_RANGES = ("tuple[int, int]", "tuple[float, float]")


class Require(Protocol):
    """Says which field is wrong, unless `ok`."""

    def __call__(self, ok: bool, name: str, expected: str) -> None: ...


def check_section(section: str, config: Any) -> Require:
    """Check probabilities and ranges of a section of the configuration, and give what checks the rest of it.

    Args:
        section: its name, `augment.donor`.
        config: a dataclass; fields whose names end in "probability" are probabilities, those of two numbers of a type are ranges.

    Returns:
        `require(ok, name, expected)`, which raises where something else is wrong.

    Raises:
        UsageError: naming the field, what was expected and what came; `require` raises it, too.
    """

    def require(ok: bool, name: str, expected: str) -> None:
        if not ok:
            raise UsageError(f"{section}.{name}: expected {expected}, got {getattr(config, name)}")

    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name.endswith("probability"):
            require(0 <= value <= 1, field.name, "a probability in [0, 1]")
        elif field.type in _RANGES:
            require(len(value) == 2 and value[0] <= value[1], field.name, "two numbers, the smaller first")
    return require
