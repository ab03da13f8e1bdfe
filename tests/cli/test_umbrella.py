"""fpg, the program in front of the others: commands, versions, completion."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fpg import __version__
from fpg.cli import umbrella
from fpg.cli.completion import parser_of, script

COMMANDS = umbrella.commands()


def test_every_console_script_is_a_command_with_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"compare", "detect", "doctor", "eval", "export", "import", "models", "prepare", "train"} <= set(COMMANDS)
    with pytest.raises(SystemExit) as end:
        umbrella.main([])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for name, point in COMMANDS.items():
        assert f" {name} {umbrella.summary(point)} " in " ".join(text.split())
        assert umbrella.summary(point).endswith(".")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_program_says_its_version(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = parser_of(COMMANDS[command])
    assert parser is not None
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"fpg-{command} {__version__}\n"


def test_a_command_gets_its_arguments_and_its_exit_code_comes_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fpg"])
    assert umbrella.main(["models", "path", "surely-absent"]) == 1
    assert "surely-absent: no model of that name" in capsys.readouterr().err
    assert umbrella.main(["models", "path", "starter"]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()


def test_an_unknown_command_is_wrong_usage_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert umbrella.main(["detcet"]) == 2
    assert capsys.readouterr().err == "error: there is no command detcet; did you mean detect? (fpg --help lists them)\n"
    assert umbrella.main(["completion", "tcsh"]) == 2


def test_python_dash_m_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "fpg", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"fpg {__version__}\n")


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "fpg.bash"
    path.write_text(script("bash", COMMANDS))
    return path


def complete(bash: Path, *words: str) -> set[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    code = f"source '{bash}'; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _fpg_complete; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_options_and_choices(bash: Path) -> None:
    assert complete(bash, "fpg", "de") == {"detect"}
    assert complete(bash, "fpg", "completion", "") == {"bash", "zsh", "fish"}
    assert complete(bash, "fpg", "detect", "--js") == {"--json"} | complete(bash, "fpg-detect", "--jsonl")
    assert complete(bash, "fpg-detect", "--decode", "") == {"whole", "needed", "cuda"}
    assert complete(bash, "/usr/bin/fpg-doctor", "d") == {"data"}
    assert "show" in complete(bash, "fpg", "models", "")
    assert complete(bash, "fpg-train", "--see") == {"--seed"}
    assert complete(bash, "fpg-detect", "clip") == set()  # files, by bash itself


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_of_other_shells_hold_every_program(shell: str) -> None:
    text = script(shell, COMMANDS)
    for command in COMMANDS:
        assert f"fpg-{command}" in text
    if path := shutil.which(shell):
        subprocess.run([path, "-n", "/dev/stdin"], input=text, text=True, check=True)
