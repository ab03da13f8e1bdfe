"""The table of docs/inputs.md: what becomes of a file of every kind, in Python and in C++.

    python scripts/inputs_table.py [--write] [--probe PROGRAM]

PROGRAM is tests/cpp/deploy's probe, by default that of the `deploy` preset.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import corpus  # noqa: E402

from fpg.common.errors import InputError  # noqa: E402
from fpg.data.notes import Notes  # noqa: E402
from fpg.runtime.inputs import open_frames  # noqa: E402

PAGE = ROOT / "docs" / "inputs.md"
BEGIN, END = "<!-- table -->\n", "<!-- /table -->\n"


def in_python(path: Path) -> str:
    """`read`, with a warning, or the reason why not."""
    notes = Notes()
    try:
        for _ in open_frames(path, 2, notes=notes)[1]:
            pass
    except InputError as error:
        return short(error.reason)
    return "read" + "".join(f"; {warning}" for warning in notes.warnings)


def in_cpp(path: Path, probe: Path, image: bool) -> str:
    """As `in_python`, without warnings, which are the same."""
    command = [probe, *(["image", path] if image else ["frames", path, "2"])]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return "read" if done.returncode == 0 else short(done.stderr.strip().splitlines()[-1].split(": ", 1)[1])


def short(reason: str) -> str:
    """A reason without a decoder's own words."""
    return f"refused: {reason.split(':')[0]}"


def table(probe: Path) -> str:
    """Lines of Markdown."""
    lines = ["| format | kind | Python | C++ |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for case in corpus.CASES:
            path = Path(folder) / case.name
            case.write(path, corpus.scene())
            cpp = in_cpp(path, probe, case in corpus.PICTURES)
            lines.append(f"| {case.format} | {case.kind} | {in_python(path)} | {cpp} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/inputs.md")
    parser.add_argument("--probe", type=Path, default=ROOT / "build/deploy/tests/cpp/deploy/fpg_probe")
    arguments = parser.parse_args()
    text = table(arguments.probe)
    if arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        PAGE.write_text(before + BEGIN + text + END + rest.partition(END)[2], encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
