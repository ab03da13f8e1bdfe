"""How `--help` is laid out."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys

import pytest

from fpg.cli.help import Help

PROGRAMS = sorted(entry.name for entry in importlib.metadata.entry_points(group="console_scripts") if entry.name.startswith("fpg"))


def laid_out(text: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    parser = argparse.ArgumentParser(prog="p", usage="p", add_help=False, epilog=text, formatter_class=Help)
    return parser.format_help().splitlines()[2:]


def test_paragraphs_are_filled_and_items_stay_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "examples:\n  p one    the first of them\n  p a-long-word-is-not-cut b\n\nOne\nparagraph in two lines."
    assert laid_out(text, 22, monkeypatch) == [
        "examples:",
        "  p one    the first",
        "           of them",
        "  p",
        "    a-long-word-is-not-cut",
        "    b",
        "",
        "One paragraph in two",
        "lines.",
    ]
    assert laid_out(text, 100, monkeypatch) == [*text.splitlines()[:4], "One paragraph in two lines."]


@pytest.mark.parametrize("program", PROGRAMS)
def test_eighty_columns_hold_the_help_of_every_program(program: str) -> None:
    code = f"import sys; from importlib.metadata import entry_points as e; sys.argv = [{program!r}, '--help']; "
    code += f"next(iter(e(group='console_scripts', name={program!r}))).load()()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"}, check=False)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []
