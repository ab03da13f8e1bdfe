"""The answer: what `fpg-detect --json` writes."""

from __future__ import annotations

from typing import Any


def document(model: dict[str, Any], protocol: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    """Of one job.

    Args:
        model, protocol: `describe_model` and `describe_protocol` of `fpg.runtime.judgement`.
        results: `Judgement.to_json` of its input.
    """
    return {"model": model, "protocol": protocol, "warnings": model["warnings"], "results": results, "skipped": []}
