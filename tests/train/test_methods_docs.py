"""docs/training.md names flags, methods and log entries that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fpg.cli import compare, evaluate_options, prepare
from fpg.cli.train import build_parser, parse_command
from fpg.train.meter import Meter
from fpg.train.methods import METHODS, resolve_method
from fpg.train.step import LOSS_PARTS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
ELSEWHERE = {"--nnodes", "--nproc-per-node", "--rdzv-backend", "--rdzv-endpoint", "--shm-size"}
"""Of torchrun and docker."""


def test_flags_exist() -> None:
    known = " ".join(p.format_help() for p in (build_parser(), evaluate_options.parser(), compare.parser(), prepare.parser()))
    flags = {flag.rstrip(".") for flag in re.findall(r"--[a-z][a-z_.-]*", TEXT)} - ELSEWHERE
    assert len(flags) > 20
    assert {flag for flag in flags if not re.search(rf"{re.escape(flag)}\b", known)} == set()


def test_every_method_has_a_row() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \|", TEXT, re.MULTILINE)) >= set(METHODS)


def test_logged_names_are_explained() -> None:
    shown = set(re.findall(r"`([a-z_]+)`", TEXT))
    assert {*LOSS_PARTS, *Meter().values()} - shown == set()


COMMANDS = [
    line
    for line in re.findall(r"`(fpg-train [^`]*)`", TEXT) + re.findall(r"^(fpg-train [^#\n]*)", TEXT, re.MULTILINE)
    if not re.search(r"--help|--resume|--print_config|\$", line)  # those need a run, or a shell
]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_understood(line: str) -> None:
    words = line.split()[1:]
    common = [] if "--data" in words else ["--data", "d", "--out", "r"]
    config, _ = parse_command([str(ROOT / w) if w.startswith("configs/") else w for w in words] + common)
    resolve_method(config).check()
