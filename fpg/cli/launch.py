"""The console scripts. Each imports its program inside `run`, so that Ctrl-C while torch loads ends as it does later on."""

from __future__ import annotations

import importlib

from fpg.cli.entry import run


def _launch(program: str) -> int:
    return run(lambda: importlib.import_module(f"fpg.cli.{program}").main())


def prepare() -> int:
    """`fpg-prepare`."""
    return _launch("prepare")


def train() -> int:
    """`fpg-train`."""
    return _launch("train")


def evaluate() -> int:
    """`fpg-eval`."""
    return _launch("evaluate")


def export() -> int:
    """`fpg-export`."""
    return _launch("export")


def detect() -> int:
    """`fpg-detect`."""
    return _launch("detect")


def doctor() -> int:
    """`fpg-doctor`."""
    return _launch("doctor")


def compare() -> int:
    """`fpg-compare`."""
    return _launch("compare")


def models() -> int:
    """`fpg-models`."""
    return _launch("models")


def import_weights() -> int:
    """`fpg-import`."""
    return _launch("import_weights")


def serve() -> int:
    """`fpg-serve`."""
    return _launch("serve")
