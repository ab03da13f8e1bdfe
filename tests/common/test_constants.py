"""constants.json: everything in it is used by Python and by C++, and messages are filled completely."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fpg.common.constants import CONSTANTS, filled, message

ROOT = Path(__file__).parents[2]
PYTHON = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "fpg").rglob("*.py"))
CPP = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "deploy" / "src").glob("*.cpp"))
KEYS = [(section, key) for section, values in CONSTANTS.items() for key in values]


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_both_use_it(section: str, key: str) -> None:
    quoted = re.compile(rf"[\"']{re.escape(key)}[\"']")
    assert quoted.search(PYTHON), f"{section}.{key}: not used in fpg/"
    assert quoted.search(CPP), f"{section}.{key}: not used in deploy/src/"


@pytest.mark.parametrize("key", CONSTANTS["messages"])
def test_messages_are_filled_by_name(key: str) -> None:
    names = re.findall(r"\{(\w+)\}", CONSTANTS["messages"][key])
    text = message(key, **{name: f"<{name}>" for name in names})
    assert "{" not in text
    assert all(f"<{name}>" in text for name in names)


def test_only_what_is_named_is_replaced() -> None:
    assert filled("{a} {b} {a}", a=1) == "1 {b} 1"
    assert filled("{name}", name="{name}") == "{name}"
