"""How `--help` lays out what programs say about themselves."""

from __future__ import annotations

import argparse
import re
import textwrap
from itertools import groupby


class Help(argparse.RawDescriptionHelpFormatter):
    """Paragraphs are filled to the width of the terminal; indented lines (examples, lists) stay lines.

    An indented line that is too wide goes on below its second column, which is the text behind two or more spaces; where
    it has none in the first two thirds of the width, below its beginning and two more.
    """

    def start_section(self, heading: str | None) -> None:
        """Begin a group of options under a heading, which is filled, too."""
        super().start_section(heading and "\n".join(_wrapped(heading, self._width)))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for is_paragraph, group in groupby(text.strip("\n").splitlines(), key=lambda line: line[:1].strip() != ""):
            if is_paragraph:
                lines += _wrapped(" ".join(group), width)
            else:
                lines += [part for line in group for part in _item(line, width)]
        return "".join(f"{indent}{line}\n" for line in lines)


def _item(line: str, width: int) -> list[str]:
    """An empty or indented line as lines of at most `width` characters, a word at least."""
    if len(line) <= width:
        return [line]
    column = re.search(r"(?:^ {4,}|\S {2,})(?=\S)", line)
    if column is not None and column.end() <= 2 * width // 3:
        return _wrapped(line[column.end() :], width, line[: column.end()], " " * column.end())
    start = len(line) - len(line.lstrip())
    return _wrapped(line[start:], width, line[:start], " " * (start + 2))


def _wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False)
