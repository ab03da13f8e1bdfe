"""Reading a record: a file of `--json` or `--jsonl`, checked as far as judging again needs it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpg.common.errors import InputError
from fpg.common.strict_json import parse_json
from fpg.record.schema import SCHEMA


@dataclass(frozen=True)
class Recorded:
    """What a record holds."""

    record: dict[str, Any]
    """Of the run."""
    results: tuple[dict[str, Any], ...]
    """Of its inputs."""


def read_record(path: str | os.PathLike[str]) -> Recorded:
    """Read a record.

    Raises:
        InputError: not there, no JSON, of another schema, or without what it takes to judge again.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(path, f"is not a readable record: {getattr(error, 'strerror', None) or error}", "unreadable") from error
    try:
        whole = parse_json(text)
        values, results = [whole], whole.get("results") if isinstance(whole, dict) else None
    except ValueError as error:
        try:
            values = [parse_json(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise InputError(path, f"is not a record: {error}", "invalid") from error
        results = None
    if not values:
        raise InputError(path, "is not a record: it contains no result", "empty")
    for value in values:
        _check(path, value)
    found = results if isinstance(results, list) else values
    for number, result in enumerate(found):
        _check_result(path, number, result)
    return Recorded(values[0]["record"], tuple(found))


def _check(path: str | os.PathLike[str], value: Any) -> None:
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        got = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise InputError(path, f"is not a record: schema: expected {SCHEMA}, got {got}", "invalid")
    record = value.get("record")
    models = record.get("models") if isinstance(record, dict) else None
    named = isinstance(models, list) and models and all(isinstance(m, dict) and isinstance(m.get("name"), str) for m in models)
    if not isinstance(record, dict) or not named or not all(isinstance(record.get(key), dict) for key in ("settings", "fpg", "platform")):
        raise InputError(path, "is not a complete record: it does not say what ran, with which model and settings", "invalid")


def _check_result(path: str | os.PathLike[str], number: int, result: Any) -> None:
    whole = isinstance(result, dict) and isinstance(result.get("input"), str) and isinstance(result.get("frames"), list)
    digest = result.get("sha256") if isinstance(result, dict) else None
    if not whole or not (digest is None or isinstance(digest, str)):
        raise InputError(path, f"result {number} is incomplete: no input, frames or hash", "invalid")
