"""`--config NAME` takes a configuration that ships with fpg, from any folder; a file of that name comes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from fpg.cli.train_options import CONFIGS, SHIPPED, parse_options, with_shipped

COMMON = ["--data", "prepared", "--out", "run"]


def test_the_paper_and_the_demo_ship() -> None:
    assert {"demo", "foundation", "paper", "starter"} <= set(SHIPPED)


@pytest.mark.parametrize("written", ["demo", "demo.yaml", "configs/demo.yaml"])
def test_a_name_is_the_file_that_ships(written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected, _ = parse_options(["--config", str(CONFIGS / "demo.yaml"), *COMMON])
    assert expected.model.image_size == 160
    assert parse_options(["--config", written, *COMMON])[0] == expected
    assert parse_options([f"--config={written}", *COMMON, "--epochs", "7"])[0].epochs == 7


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").write_text("epochs: 3\n")
    assert parse_options(["--config", "demo", *COMMON])[0].epochs == 3


def test_nothing_else_changes() -> None:
    line = ["--config", "mine.yaml", "--out", "demo", "paper", "--config=configs/mine.yaml"]
    assert with_shipped(line) == line
