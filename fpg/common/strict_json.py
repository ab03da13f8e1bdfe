"""JSON from files that anybody may have written: what cannot be written again, or breaks who reads it, is refused at once."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 100
"""Levels of nesting; the C++ runtime has the same limit."""


def parse_json(text: str, *, constants: bool = True) -> Any:
    """The value of a JSON text.

    Args:
        text: a whole document.
        constants: let NaN and Infinity pass, which are no JSON.

    Raises:
        ValueError: not JSON, nested deeper than `DEEPEST`, or text with half a character (a lone surrogate).
    """
    try:
        value = json.loads(text) if constants else json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError("nested too deeply")
        if isinstance(item, dict):
            waiting += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, list):
            waiting += [(part, depth + 1) for part in item]
        elif isinstance(item, str) and not is_text(item):
            raise ValueError(f"text with half a character: {item!a:.40}")
    return value


def is_text(value: object) -> bool:
    """Whether a value is text that can be written as UTF-8."""
    if not isinstance(value, str):
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
