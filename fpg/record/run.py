"""What ran: program, version, machine, model, settings, command, and when."""

from __future__ import annotations

import datetime
import functools
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import fpg
from fpg.common.errors import InputError
from fpg.common.files import sha256
from fpg.common.models import CARD, Card, read_card
from fpg.common.packages import installed_version
from fpg.common.source import commit
from fpg.common.spec import EngineSpec
from fpg.record.schema import SCHEMA

_PACKAGES = ("openvino", "onnxruntime", "torch", "av", "numpy", "opencv-python", "pillow", "c2pa-python")
"""Whose version may show in a result."""


@dataclass(frozen=True)
class ModelRecord:
    """A model that judged."""

    name: str
    """As it was asked for."""
    sha256: str | None
    """Of its file."""
    files: Mapping[str, str]
    """SHA-256 of every file of it by name."""
    card: Mapping[str, str | None] | None
    """Of the model card beside it: file, sha256, license; None without one."""


@functools.cache
def machine() -> dict[str, Any]:
    """System, processor, and versions of what a score may depend on."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    versions |= {package: installed_version(package) for package in _PACKAGES}
    return {"system": platform.platform(), "processor": _processor(), "versions": versions}


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def source(program: str) -> dict[str, str | None]:
    """Which fpg: program, version, commit (None where it is not known)."""
    return {"program": program, "version": fpg.__version__, "commit": commit()}


def _processor() -> str:
    """The processor's own name where Linux tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@dataclass(frozen=True)
class RunRecord:
    """One run of a program, as it stands in every file that it writes."""

    models: tuple[ModelRecord, ...]
    settings: Mapping[str, Any]
    """What was asked for, by the options' names."""
    command: tuple[str, ...]
    case: str | None = None
    """Given by the examiner."""
    examiner: str | None = None
    started: str = field(default_factory=now)
    ended: str | None = None
    """UTC, as `2026-11-29T01:42:31Z`."""
    folder: str = field(default_factory=lambda: _text(os.getcwd()))
    """In which the program ran: names of inputs may be relative to it."""
    fpg: Mapping[str, str | None] = field(default_factory=lambda: source("fpg-detect"))
    platform: Mapping[str, Any] = field(default_factory=lambda: dict(machine()))
    schema: str = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """`schema, fpg, platform, started, ended, command, folder, settings, models, case, examiner`."""
        value = asdict(self)
        order = ("schema", "fpg", "platform", "started", "ended", "command", "folder", "settings", "models", "case", "examiner")
        return {key: list(value[key]) if isinstance(value[key], tuple) else value[key] for key in order}

    def at(self, moment: str) -> RunRecord:
        """The same, ended then."""
        return replace(self, ended=moment)


def record_model(spec: EngineSpec, name: str | os.PathLike[str], path: str | os.PathLike[str]) -> ModelRecord:
    """What there is to say of a model.

    Args:
        spec: its sidecar.
        name: as it was asked for.
        path: of the model file.
    """
    card, about = card_of(path), None
    if card is not None:
        stated = card.facts.get("license")
        about = {"file": CARD, "sha256": sha256(card.path), "license": stated if isinstance(stated, str) else None}
    return ModelRecord(_text(name), spec.files.get(spec.model_file), dict(spec.files), about)


def card_of(path: str | os.PathLike[str]) -> Card | None:
    """The card beside a model file; None without a readable one, whatever lies in its folder."""
    try:
        return read_card(Path(path).parent)
    except InputError:
        return None


def command_line(argv: Sequence[str] | None = None) -> tuple[str, ...]:
    """The command as it was given, as text."""
    return tuple(_text(word) for word in (["fpg-detect", *argv] if argv is not None else [Path(sys.argv[0]).name, *sys.argv[1:]]))


def _text(name: str | os.PathLike[str]) -> str:
    return os.fsencode(os.fspath(name)).decode("utf-8", "replace")
