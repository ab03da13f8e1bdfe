"""The answer: a file of results as `fpg-detect --json` writes it (`fpg.record.schema`), of one input."""

from __future__ import annotations

from typing import Any

from fpg.record.run import now
from fpg.record.schema import SCHEMA


def document(
    record: dict[str, Any], model: dict[str, Any], protocol: dict[str, Any], results: list[dict[str, Any]], started: str | None = None
) -> dict[str, Any]:
    """Of one job, which ends now.

    Args:
        record: `RunRecord.to_json` of the run.
        model, protocol: `describe_model` and `describe_judging` of `fpg.runtime.judgement`.
        results: `Judgement.to_json` of its input.
        started: when the job was begun, where the record does not say.
    """
    ended = now()
    record = record | {"started": started or record["started"], "ended": ended}
    head = {"schema": SCHEMA, "record": record, "model": model, "protocol": protocol, "warnings": model["warnings"]}
    return head | {"results": results, "skipped": []}
