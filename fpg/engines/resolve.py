"""Which model is meant: `resolve_model(NAME | FILE | FOLDER | hf:OWNER/NAME)`, the one definition for every program. Without torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from fpg.common.constants import CONSTANTS
from fpg.common.errors import InputError, UsageError
from fpg.common.models import ON_CUDA, RECORD, STARTER, SUFFIXES, WEIGHTS, check_record, find_model, packaged, packaged_model, read_card

HUB = "hf:"
UNREADABLE: tuple[str, ...] = tuple(CONSTANTS["models"]["unreadable_suffixes"])
"""Suffixes of weights that are no model here: named as a model, they get the reason, and are not taken for videos."""


class ResolvedModel(NamedTuple):
    """A model that was found; its hashes are compared when it is loaded."""

    name: str
    """As it was asked for."""
    path: Path
    """Of the model file."""


def resolve_model(reference: str | os.PathLike[str] | None = None, *, weights: bool = False, device: str = "auto") -> ResolvedModel:
    """Find a model.

    Args:
        reference: name of a packaged model, path of a model file or of a folder with one, `hf:OWNER/NAME[@REVISION]`; None is the
            starter. `./NAME` means a folder that has the name of a packaged model.
        weights: prefer the `.safetensors` file, to export or to train further.
        device: where the model is to run: for `cuda` the weights of a package are chosen instead of its OpenVINO model.

    Raises:
        UsageError: an empty name.
        InputError: no such model, a card without licence, files that do not match a package's record, or no answer from the Hub.
            Files that are named are not examined: `load_engine` says what is wrong with them.
    """
    name = STARTER if reference is None else os.fspath(reference)
    among = WEIGHTS if weights else ON_CUDA if device.startswith("cuda") else SUFFIXES
    if not name:
        raise UsageError("--model: expected a model, got an empty name")
    if isinstance(reference, str | None) and name.startswith(HUB):
        return ResolvedModel(name, _fetched(name))
    if isinstance(reference, str | None) and name in packaged():
        return ResolvedModel(name, packaged_model(name, among))
    if os.path.isdir(name):
        if (card := read_card(name)) is not None and card.facts:
            _ = card.licence
        path = find_model(name, among)
    elif is_model_file(name) or os.path.exists(name):
        path = Path(name)
    elif Path(name).name != name:
        raise InputError(name, "no such file or folder")
    else:
        return ResolvedModel(name, packaged_model(name))
    if (path.parent / RECORD).is_file() and path.is_file():
        check_record(path)
    return ResolvedModel(name, path)


def is_model_file(name: str) -> bool:
    """Whether a name is that of a model file by its suffix, readable or not."""
    return Path(name).suffix.lower() in (*SUFFIXES, *UNREADABLE)


def _fetched(name: str) -> Path:
    """Weights of a repository on the Hub whose card states a licence."""
    from fpg.models.hub import fetch, fetch_card  # the client takes a second to import

    repository, _, revision = name.removeprefix(HUB).partition("@")
    path = fetch(repository, revision=revision or None)
    _ = fetch_card(repository, revision=path.parent.name).licence
    return path
