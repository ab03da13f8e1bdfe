"""`constants.json`: the limits, thresholds, names and messages that Python and the C++ runtime share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CONSTANTS: dict[str, Any] = json.loads(Path(__file__).with_name("constants.json").read_text(encoding="utf-8"))


def filled(template: str, /, **values: object) -> str:
    """A text with its `{names}` replaced."""
    for name, value in values.items():
        template = template.replace("{" + name + "}", str(value))
    return template


def message(key: str, /, **values: object) -> str:
    """A message of the table, filled."""
    return filled(CONSTANTS["messages"][key], **values)
