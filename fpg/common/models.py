"""Folders of models: those that ship with fpg, by name, and what lies in one.

A packaged model is a folder `NAME/` with the same detector in one or more forms (weights for training, an engine to judge with),
each with its sidecar, and next to them

- `README.md`, the model card: a front matter in YAML (with a `license`), then text for people;
- `SHA256SUMS`, the record: hashes of all these files, as `sha256sum -c` reads them. It vouches for the sidecars, and they for the rest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpg.common.constants import CONSTANTS, message
from fpg.common.errors import InputError
from fpg.common.files import atomic_write, sha256
from fpg.common.spec import DETECTOR, read_spec, sidecar

STARTER = "starter"
"""The model that judges where none is named."""
SUFFIXES: tuple[str, ...] = tuple(CONSTANTS["models"]["suffixes"])
"""Of model files; in a folder with several the first of these is taken to judge with, so that nothing imports torch without need."""
WEIGHTS = (".safetensors",)
"""What is exported and trained on."""
ON_CUDA = (".engine", ".onnx", ".safetensors")
"""What runs on NVIDIA's GPUs."""
MAIN: str = CONSTANTS["models"]["main"]
"""Name of the weights in a run's folder and in a repository of the Hub."""
CARD = "README.md"
RECORD = "SHA256SUMS"
NEAR = 3
"""Names of models to tell somebody who asked for another."""
SHIPPED = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True)
class Card:
    """A model card: its front matter, and the text below it."""

    path: str
    """Names it in errors."""
    facts: Mapping[str, Any]
    text: str

    @property
    def licence(self) -> str:
        """Of the weights.

        Raises:
            InputError: the card states none.
        """
        value = self.facts.get("license")
        if not isinstance(value, str) or not value.strip():
            raise InputError(self.path, message("no_licence"))
        return value.strip()

    @property
    def own(self) -> Mapping[str, Any]:
        """What stands under `fpg:`, which `fpg-models pack` writes: sources, recipe, numbers and so on."""
        value = self.facts.get("fpg")
        return value if isinstance(value, Mapping) else {}


def parse_card(text: str, path: str) -> Card:
    """A card from its text; one without front matter has no facts.

    Raises:
        InputError: a front matter that is not a mapping in YAML.
    """
    import yaml  # costs more than the rest of this module, and most calls need no card

    if not text.startswith("---\n"):
        return Card(path, {}, text)
    front, _, body = text[4:].partition("\n---")
    try:
        facts = yaml.safe_load(front)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(path, f"is not a readable model card: {error}") from error
    if facts is not None and not isinstance(facts, dict):
        raise InputError(path, f"is not a readable model card: its front matter is a {type(facts).__name__}, expected keys with values")
    return Card(path, facts or {}, body.lstrip("\n"))


def read_card(folder: str | os.PathLike[str]) -> Card | None:
    """The card in a folder; None when there is none.

    Raises:
        InputError: it cannot be read.
    """
    path = Path(folder) / CARD
    try:
        return parse_card(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(path, f"is not a readable model card: {error}") from error


def packaged() -> dict[str, Path]:
    """Name -> folder of every packaged model: those in `$FPG_MODELS` first, then those that ship with fpg."""
    found: dict[str, Path] = {}
    for place in (os.environ.get("FPG_MODELS"), SHIPPED):
        if place and os.path.isdir(place):
            for folder in sorted(Path(place).iterdir()):
                if (folder / RECORD).is_file():
                    found.setdefault(folder.name, folder)
    return found


def packaged_model(name: str, among: Sequence[str] = SUFFIXES) -> Path:
    """The file of a packaged model, its card and its record checked; the hashes in its sidecar are not (`load_engine` does that).

    Args:
        name: of a model.
        among: see `find_model`.

    Raises:
        InputError: no such model (near names are listed), a card that is missing or states no licence, or files that are not those of
            the record.
    """
    known = packaged()
    if name not in known:
        near = sorted(known, key=lambda other: (edit_distance(name, other), other))[:NEAR]
        raise InputError(
            name,
            f"no model of that name (nearest: {', '.join(near) or 'none is here'}), and no such file or folder; fpg-models lists models",
        )
    folder = known[name]
    card = read_card(folder)
    if card is None:
        raise InputError(folder / CARD, "no such file: a packaged model needs a model card")
    _ = card.licence
    model = find_model(folder, among)
    check_record(model)
    return model


def edit_distance(a: str, b: str) -> int:
    """Fewest letters to add, take away or replace that make one name of the other (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        previous, row[0] = row[:], i
        for j, other in enumerate(b, 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (letter != other))
    return row[-1]


def find_model(folder: str | os.PathLike[str], among: Sequence[str] = SUFFIXES) -> Path:
    """The model in a folder: of a run, of exported engines, of a packaged model.

    Args:
        folder: that holds model files with their sidecars.
        among: suffixes that will do; the first that is there is taken.

    Returns:
        `model.safetensors` or the only model of its kind.

    Raises:
        InputError: none, or several and none of them `model.safetensors`.
    """
    folder = Path(folder)
    found: list[Path] = []
    for suffix in among:
        found = [path for path in sorted(folder.glob(f"*{suffix}")) if sidecar(path).is_file() and read_spec(path).network == DETECTOR]
        if folder / MAIN in found:
            return folder / MAIN
        if found:
            break
    if len(found) != 1:
        kinds = f"{MAIN} or one {among[0]} file" if len(among) == 1 else f"{MAIN} or one model file of a kind ({', '.join(among)})"
        raise InputError(folder, f"expected {kinds} with its .spec.json, found {len(found)}")
    return found[0]


def check_record(model: Path) -> None:
    """Whether the record next to a model file vouches for its sidecar and for the hashes that stand in it.

    Raises:
        InputError: no record, one that is not readable, or another file than the recorded one.
    """
    record = model.parent / RECORD
    try:
        lines = [line.split(None, 1) for line in record.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(record, f"is not a readable record: {error}") from error
    known = {fields[1].lstrip("*"): fields[0] for fields in lines if len(fields) == 2}
    found = {sidecar(model).name: sha256(sidecar(model)), **read_spec(model).files}
    for name, digest in found.items():
        if known.get(name) != digest:
            expected = f"{known[name][:12]}..." if name in known else "no such file"
            raise InputError(
                model.parent / name, f"is not what the model's record {RECORD} holds (SHA-256 {digest[:12]}..., there {expected})"
            )


def number_text(number: object) -> str:
    """A row of a card's `numbers` (metric, value, data, optionally low, high, date) in words."""
    if not isinstance(number, dict):
        return str(number)
    value = number.get("value")
    text = f"{value:.2f}" if isinstance(value, float) else str(value)
    bounds = [number.get("low"), number.get("high")]
    interval = f" [{bounds[0]:.2f}, {bounds[1]:.2f}]" if all(isinstance(bound, int | float) for bound in bounds) else ""
    date = f" ({number['date']})" if number.get("date") else ""
    return f"{number.get('metric')} {text}{interval} on {number.get('data')}{date}"


def packaged_size(folder: str | os.PathLike[str]) -> int:
    """Bytes of all files of a packaged model."""
    return sum(path.stat().st_size for path in Path(folder).iterdir() if path.is_file())


def write_record(folder: str | os.PathLike[str]) -> None:
    """Write the record of all files in a folder but the card, which people may edit."""
    folder = Path(folder)
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in (CARD, RECORD))
    with atomic_write(folder / RECORD, "w") as file:
        file.writelines(f"{sha256(folder / name)}  {name}\n" for name in names)
