"""`tables.json`: the words, bounds and constants that Python and the C++ runtime share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TABLES: dict[str, Any] = json.loads(Path(__file__).with_name("tables.json").read_text(encoding="utf-8"))


def number(value: float) -> str:
    """A number as findings print it: three digits."""
    return f"{value:.3g}"
