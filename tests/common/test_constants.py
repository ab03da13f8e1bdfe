"""constants.json: everything in it is used by Python and by C++, and messages are filled completely."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fpg.common.constants import CONSTANTS, filled, message

ROOT = Path(__file__).parents[2]
PYTHON = [path.read_text(encoding="utf-8") for path in (ROOT / "fpg").rglob("*.py")]
CPP = [path.read_text(encoding="utf-8") for path in (ROOT / "deploy" / "src").glob("*.cpp")]
KEYS = [(section, key) for section, values in CONSTANTS.items() for key in values]


def uses(source: str, section: str, key: str) -> bool:
    """Whether a file reads a value: a message by its function, any other by the names of its section and of its key."""
    quoted, of_section = (rf"[\"']{re.escape(name)}[\"']" for name in (key, section))
    if section == "messages":
        return re.search(rf"\bmessage\(\s*{quoted}", source) is not None
    return all(re.search(pattern, source) for pattern in (quoted, of_section))


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_both_use_it(section: str, key: str) -> None:
    assert any(uses(source, section, key) for source in PYTHON), f"{section}.{key}: not used in fpg/"
    assert any(uses(source, section, key) for source in CPP), f"{section}.{key}: not used in deploy/src/"


def test_a_name_alone_is_no_use() -> None:
    assert uses('raise InputError(message("no_face"))', "messages", "no_face")
    assert not uses('code = "no_face"', "messages", "no_face")
    assert uses('_FACES = CONSTANTS["faces"]\nX = _FACES["passes"]', "faces", "passes")
    assert not uses('rounds = options["passes"]', "faces", "passes")


@pytest.mark.parametrize("key", CONSTANTS["messages"])
def test_messages_are_filled_by_name(key: str) -> None:
    names = re.findall(r"\{(\w+)\}", CONSTANTS["messages"][key])
    text = message(key, **{name: f"<{name}>" for name in names})
    assert "{" not in text
    assert all(f"<{name}>" in text for name in names)


def test_only_what_is_named_is_replaced() -> None:
    assert filled("{a} {b} {a}", a=1) == "1 {b} 1"
    assert filled("{name}", name="{name}") == "{name}"
