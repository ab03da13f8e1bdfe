"""fpg-serve's command line: what is wrong is one line and exit code 2."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from fpg.cli.serve import main, parser, size
from fpg.serve.settings import Settings


def ends(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on the standard error, of a call with exit code 2."""
    assert main([str(word) for word in arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_a_model_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nobody" in ends(capsys, "--model", "nobody", "--port", 0, "--spool", tmp_path / "spool")


def test_an_address_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}: cannot listen there" in ends(capsys, "--port", port, "--spool", tmp_path / "spool")


def test_a_spool_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert "cannot be used as spool" in ends(capsys, "--port", 0, "--spool", tmp_path / "file")


@pytest.mark.parametrize("text", ["", "short\n", "a token with blanks in it\n", "schlüssel-schlüssel-schlüssel\n"])
def test_tokens_that_could_be_guessed(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    assert f"--token-file: {path}: expected at least 16 characters" in ends(capsys, "--token-file", path)


def test_a_token_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"--token-file: {tmp_path / 'none'}: No such file" in ends(capsys, "--token-file", tmp_path / "none")


def test_an_open_address_without_a_token_is_said_loudly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--host", "0.0.0.0", "--port", "0", "--spool", str(tmp_path / "file")]) == 2  # ends before it listens
    assert "WARNING: 0.0.0.0 can be reached from other machines, and no token is required" in capsys.readouterr().err
    (tmp_path / "token").write_text("correct-horse-battery-staple\n")
    assert main(["--host", "0.0.0.0", "--token-file", str(tmp_path / "token"), "--port", "0", "--spool", str(tmp_path / "file")]) == 2
    assert "WARNING" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "70000"],
        ["--queue", "0"],
        ["--quota", "10Q"],
        ["--keep", "0"],
        ["--replicas", "4:1"],
        ["--timeout", "-1"],
        ["--port", "x"],
    ],
)
def test_values_out_of_range(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert re.search(rf"argument {arguments[0]}: ", capsys.readouterr().err)


def test_sizes() -> None:
    assert [size(text) for text in ("0", "1000", "2K", "1.5m", "10G")] == [0, 1000, 2048, 1_572_864, 10 * 2**30]


def test_defaults_are_those_of_the_settings() -> None:
    given, settings = parser().parse_args([]), Settings()
    assert (given.host, given.port, given.quota, given.keep) == (settings.host, settings.port, settings.quota, settings.keep_s)
    assert (given.queue, given.max_upload, given.max_judge) == (settings.queue, settings.upload_bytes, settings.judge_bytes)
    assert (given.memory, given.cpu, given.timeout) == (settings.limits.memory, settings.limits.cpu_s, settings.timeout)
