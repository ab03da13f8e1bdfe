"""The option `--model` of every program that judges or exports, and what a program says of the model before it uses it."""

from __future__ import annotations

import argparse

from fpg.common.console import one_line
from fpg.common.errors import UsageError
from fpg.common.models import RECORD, STARTER
from fpg.common.spec import EngineSpec
from fpg.engines.resolve import HUB, ResolvedModel, is_model_file
from fpg.runtime.judgement import introduce

HELP = (
    "a packaged model by name (fpg-models lists them), a model file (.xml, .onnx, .engine, .safetensors) with its .spec.json, a folder "
    f"with one, or hf:OWNER/NAME[@REVISION] (default: {STARTER})"
)


def add_model(p: argparse.ArgumentParser) -> None:
    """The option."""
    p.add_argument("--model", metavar="MODEL", help=HELP)


def model_before(option: str | None, names: list[str]) -> tuple[str | None, list[str]]:
    """The model and the inputs: a model file in front of the inputs is the model where `--model` names none."""
    if option is None and names and is_model_file(names[0]):
        return names[0], names[1:]
    return option, names


def one_of(option: str | None, positional: str | None) -> str | None:
    """The model where it may be named in two ways.

    Raises:
        UsageError: both were used.
    """
    if option is not None and positional is not None:
        raise UsageError(f"--model: the model is named twice, {option} and {positional}")
    return positional if option is None else option


def refuse_release(model: ResolvedModel, option: str) -> None:
    """Models that others vouch for are not changed.

    Raises:
        UsageError: the model ships with fpg or comes from the Hub.
    """
    if model.name.startswith(HUB) or (model.path.parent / RECORD).is_file():
        raise UsageError(
            f"{option}: would change {model.name}; copy {model.path.name} and its .spec.json to a folder of yours and name that"
        )


def tell_model(spec: EngineSpec, model: ResolvedModel, threshold: float | None = None) -> None:
    """Say what judges and what to beware of, on the standard output."""
    for line in introduce(spec, model.name, threshold):
        print(one_line(line), flush=True)
