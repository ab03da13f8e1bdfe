"""`tables.json`: the words, bounds and constants that Python and the C++ runtime share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TABLES: dict[str, Any] = json.loads(Path(__file__).with_name("tables.json").read_text(encoding="utf-8"))


def number(value: float) -> str:
    """A number as findings print it: three digits."""
    return f"{value:.3g}"


def filled(template: str, **values: str) -> str:
    """A text of the tables with its `{names}` replaced."""
    for name, value in values.items():
        template = template.replace("{" + name + "}", value)
    return template
