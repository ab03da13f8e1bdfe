"""Open detectors of others: a folder or repository with `config.json` and `model.safetensors` becomes one of fpg's detectors.

To add a family, write one file here with a `DetectorFamily` (what its `config.json` looks like, and how a `Detector` comes from it and the
tensors; `convert` in `base.py` renames them and accounts for each), and name it in `FAMILIES`. `fpg-import`, the sidecar, the card, export
and both runtimes then know it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from fpg.common.errors import InputError
from fpg.common.files import atomic_write, sha256
from fpg.common.spec import CROPS, EngineSpec, sidecar
from fpg.models.detector import save_detector
from fpg.models.families import gend, timm_classifier
from fpg.models.families.base import DetectorFamily, Imported
from fpg.models.model_card import model_card
from fpg.models.weights import read_state

FAMILIES: tuple[DetectorFamily, ...] = (gend.FAMILY, timm_classifier.FAMILY)
"""Tried in turn."""
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".tar")


def import_folder(folder: str | os.PathLike[str]) -> Imported:
    """The detector in a folder, on the CPU in evaluation mode.

    Args:
        folder: with `config.json` and `model.safetensors`; pickled weights are not read.

    Raises:
        InputError: one of them is missing or cannot be read, or no family fits; with `keys` where tensors do not.
    """
    folder = Path(folder)
    config = read_config(folder)
    family = next((family for family in FAMILIES if family.recognises(config)), None)
    if family is None:
        kind = config.get("model_type") or config.get("architectures") or "nothing that says what it is"
        names = ", ".join(family.name for family in FAMILIES)
        raise InputError(folder / CONFIG, f"describes no detector that fpg can import ({names}), but {str(kind)[:80]}")
    return family.build(config, read_state(_weights(folder)), folder)


def read_config(folder: Path) -> Mapping[str, Any]:
    """What `config.json` says.

    Raises:
        InputError: missing, no JSON object, or the folder holds a detector of fpg already.
    """
    path = folder / CONFIG
    if (folder / sidecar(WEIGHTS).name).is_file():
        raise InputError(folder, f"holds a detector of fpg already: use its {WEIGHTS} as it is")
    if not path.is_file():
        raise InputError(folder, f"holds no {CONFIG}: expected it and {WEIGHTS} as detectors lie on the Hugging Face Hub")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, f"is not readable JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(path, f"expected a JSON object, got {type(value).__name__}")
    return value


def _weights(folder: Path) -> Path:
    path = folder / WEIGHTS
    if path.is_file():
        return path
    there = sorted(file.name for file in folder.iterdir() if file.suffix in (*_PICKLES, ".safetensors", ".json") and file.name != CONFIG)
    pickled = [name for name in there if name.endswith(_PICKLES)]
    reason = f"{pickled[0]} is pickled and may run code: it is not read" if pickled else f"it has {', '.join(there[:3]) or 'no weights'}"
    raise InputError(folder, f"holds no {WEIGHTS} ({reason})")


def stated_license(folder: str | os.PathLike[str]) -> str | None:
    """The licence that a folder's card states; None without a card, or one that states none.

    Raises:
        InputError: the card's metadata cannot be read.
    """
    path = Path(folder) / CARD
    if not path.is_file():
        return None
    try:
        data = ModelCard.load(path).data.to_dict()
    except Exception as error:  # YAML that means something else fails in many ways
        raise InputError(path, f"its metadata cannot be read: {error}") from error
    name = data.get("license_name") if data.get("license") == "other" else data.get("license")
    return str(name) if name else None


def save_family(
    out: Path, found: Imported, folder: Path, origin: Mapping[str, str], *, license: str | None = None, crop: str | None = None
) -> EngineSpec:
    """Write what `import_folder` found: `STEM.safetensors`, its sidecar, and its card `STEM.card.md`, each atomically.

    Args:
        out: of the weights.
        folder: it came from.
        origin: where that came from: `repository` and `revision`, or `folder`.
        license: of the weights, where the card states none.
        crop: how faces are cut, one of `fpg.common.spec.CROPS`; None is the family's.

    Raises:
        InputError: no licence is known, a file cannot be written, or the network answers with NaN.
    """
    known = license or stated_license(folder)
    if known is None:
        place = origin.get("repository", folder)
        raise InputError(place, "its card states no licence: ask its owner, then say --license NAME")
    imported: dict[str, Any] = {**origin, "file": WEIGHTS, "sha256": sha256(folder / WEIGHTS), "license": known}
    imported |= {"missing": [], "extra": [], "unneeded": list(found.report.unneeded)}
    provenance = {"method": found.title, "imported": imported, "preprocessing": found.preprocessing}
    chosen = crop or found.crop
    assert chosen in CROPS
    try:
        spec = save_detector(out, found.model, provenance=provenance, crop=chosen)
    except ValueError as error:
        raise InputError(folder, f"cannot be used: {error}") from error
    with atomic_write(card_path(out)) as file:
        file.write(model_card(found.model.config, spec, license=known, repo_id=origin.get("repository", out.stem)).encode())
    return spec


def card_path(model: Path) -> Path:
    """Of the card next to imported weights: `STEM.card.md`."""
    return model.with_suffix(".card.md")
