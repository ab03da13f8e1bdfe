"""The console scripts: every one starts its program, and Ctrl-C while it is being imported is an orderly end."""

from __future__ import annotations

import importlib
import importlib.metadata
from types import SimpleNamespace

import pytest

from fpg.cli import launch

PROGRAMS = ("prepare", "train", "evaluate", "export", "detect", "doctor", "compare", "import_weights", "models", "serve")


@pytest.mark.parametrize("program", PROGRAMS)
def test_starts_the_program(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(importlib.import_module(f"fpg.cli.{program}").main)
    started: list[str] = []
    monkeypatch.setattr(launch.importlib, "import_module", lambda name: started.append(name) or SimpleNamespace(main=lambda: 7))
    assert getattr(launch, program)() == 7
    assert started == [f"fpg.cli.{program}"]


def test_interrupted_while_importing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(launch.importlib, "import_module", interrupted)
    assert launch.train() == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_every_console_script_is_one_of_them() -> None:
    scripts = {e.value for e in importlib.metadata.entry_points(group="console_scripts") if e.name.startswith("fpg-")}
    if not scripts:
        pytest.skip("fpg is not installed, only importable")
    assert scripts == {f"fpg.cli.launch:{program}" for program in PROGRAMS}
