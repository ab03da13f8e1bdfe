"""How programs end, and what they write to: exit codes, one line per error, pipes, devices and links."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fpg.cli.entry import run
from fpg.common.errors import InputError, UsageError
from fpg.common.files import atomic_write, write_json


def raising(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a\nb\x1b[31m.mp4", "is empty"), 1, "error: a\ufffdb\ufffd[31m.mp4: is empty"),
        (UsageError("no"), 2, "error: no"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 1, "error: No space left on device"),
        (OSError(36, "File name too long", "aaa"), 1, "error: aaa: File name too long"),
        (MemoryError("Unable to allocate 7 TiB"), 1, "error: out of memory Unable to allocate 7 TiB"),
    ],
)
def test_errors_are_one_line(error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(error)) == code
    assert capsys.readouterr().err == line + "\n"


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 // 0)


PRINT = "import sys; from fpg.cli.entry import run; sys.exit(run(lambda: print('x' * 100 * int(sys.argv[1]))))"


@pytest.mark.parametrize("lines", ["1", "100000"])
def test_a_reader_that_has_gone_away(lines: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", PRINT, lines], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_standard_output_that_is_full() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", PRINT, "1"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "error: No space left on device\n")


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As root, a rename over /dev/null would take it away from the whole machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_json(pipe, {"a": 1})
        assert json.loads(os.read(reader, 100)) == {"a": 1}
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to("real.json")
    for value in (1, 2):  # the first makes what the link points to
        write_json(tmp_path / "link.json", value)
        assert (tmp_path / "real.json").read_text() == f"{value}\n"
    assert (tmp_path / "link.json").is_symlink()
    with pytest.raises(TypeError), atomic_write(tmp_path / "link.json") as file:
        file.writelines([b"half", "not bytes"])
    assert (tmp_path / "real.json").read_text() == "2\n"
    assert len(os.listdir(tmp_path)) == 2
