"""The JSON Schema of what fpg-detect and fpg-detect-cpp write, and the version of it that stands in every file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fpg.common.constants import CONSTANTS

SCHEMA: str = CONSTANTS["record"]["schema"]
"""Of a file of results, of a line of `--jsonl`, and of the record in both. Fields may be added under the same number; none is taken away or
changes its meaning."""
VERIFICATION = "fpg.verify/1"
"""Of what `--verify` writes."""
SCHEMA_FILE = Path(__file__).with_name("detect-1.schema.json")


def load_schema() -> dict[str, Any]:
    """The schema (JSON Schema, draft 2020-12): a file of results, a line, a single result or a verification; `$defs` has each by name."""
    value: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return value
