"""The table of error codes: one file, in Python, in C++ and in the documentation; and what carries them."""

from __future__ import annotations

import errno
import os
import pickle
import re
from pathlib import Path

import pytest

from fpg.common.errors import CODES, InputError
from fpg.data.crop_files import OutputError
from fpg.data.video import FrameCountError
from fpg.models.weights import KeysError

ROOT = Path(__file__).parents[2]


def test_names_and_meanings() -> None:
    for code, meaning in CODES.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
        assert meaning.endswith(".")


def test_a_code_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        InputError("a.mp4", "is odd", "nonsense")
    assert InputError("a.mp4", "is odd").code == "unreadable"


@pytest.mark.parametrize(
    "error",
    [InputError("a", "b", "no_face"), OutputError("a", "b"), FrameCountError("a", "b", 7), KeysError("a", "b", ["c"])],
)
def test_codes_survive_the_way_to_another_process(error: InputError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert (str(again), again.code) == (str(error), error.code)


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOENT, "missing"), (errno.EACCES, "not_permitted"), (errno.ELOOP, "missing"), (errno.EIO, "unreadable")]
)
def test_codes_of_what_the_system_says(number: int, code: str) -> None:
    error = InputError.of("a", OSError(number, os.strerror(number)))
    assert (error.reason, error.code) == (os.strerror(number), code)


def test_every_code_that_cpp_raises_is_in_the_table() -> None:
    """The compiler says so, too; this runs where there is none."""
    used = {code for path in (ROOT / "deploy").rglob("*.cpp") for code in re.findall(r"\bcodes::(\w+)", path.read_text())}
    assert used
    assert used <= set(CODES)


def test_the_documentation_has_the_table() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8"), re.M))
    assert {code: rows.get(code) for code in CODES} == CODES
