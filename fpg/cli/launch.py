"""The console scripts; the first line of each docstring is what `fpg --help` says of it.

The name of a function is that of its module. Each imports its program inside `run`, so that Ctrl-C while torch loads ends as it does later
on.
"""

from __future__ import annotations

import importlib

from fpg.cli.entry import run


def _launch(program: str) -> int:
    return run(lambda: importlib.import_module(f"fpg.cli.{program}").main())


def prepare() -> int:
    """Cut the faces out of videos and pictures: the data that training reads."""
    return _launch("prepare")


def train() -> int:
    """Train a detector."""
    return _launch("train")


def evaluate() -> int:
    """Evaluate a model: metrics with intervals, calibration, robustness, a report."""
    return _launch("evaluate")


def export() -> int:
    """Export weights to ONNX, OpenVINO or TensorRT, checked against torch."""
    return _launch("export")


def detect() -> int:
    """Judge videos, images and folders of them."""
    return _launch("detect")


def doctor() -> int:
    """Report what works on this machine and how to fix what does not; examine a data set."""
    return _launch("doctor")


def compare() -> int:
    """Compare runs and evaluations on the same videos."""
    return _launch("compare")


def models() -> int:
    """List the packaged models, and show their cards."""
    return _launch("models")


def import_weights() -> int:
    """Import published third-party weights, and detectors from the Hugging Face Hub."""
    return _launch("import_weights")


def serve() -> int:
    """Serve a web page and an HTTP API that judge videos and pictures."""
    return _launch("serve")
