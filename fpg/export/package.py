"""Makes a packaged model (see `fpg.common.models`) of a finished run; `fpg-models pack` calls it.

The weights are stored in 16 bits, once for torch and once for OpenVINO; both have to answer as the run's own weights do. The model card is
written from the run's sidecar and from a file of facts that only people know (`Facts`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from fpg.common.constants import message
from fpg.common.errors import InputError
from fpg.common.files import atomic_write
from fpg.common.models import CARD, RECORD, WEIGHTS, find_model, number_text, packaged_size, write_record
from fpg.common.spec import EngineSpec, read_spec
from fpg.engines import load_engine
from fpg.export.exporter import export_detector, hidden_folder, publish
from fpg.export.parity import TOLERANCES, Parity, compare_outputs, random_images
from fpg.models.detector import load_detector, save_detector
from fpg.models.hub import publishable

LARGEST = 25_000_000
"""Bytes of a packaged model, all forms together."""


@dataclass(frozen=True)
class TrainingSource:
    """Where faces that were trained on come from."""

    name: str
    licence: str
    what: str = ""
    """How many, by whom, whom to name."""


@dataclass(frozen=True)
class Number:
    """Something that was measured with these weights and this threshold, on data that neither was fitted on."""

    metric: str
    value: float | str
    data: str
    low: float | None = None
    """Of the 95 % interval, with `high`."""
    high: float | None = None
    date: str = ""
    """When these data were looked at."""


@dataclass(frozen=True)
class Facts:
    """What the card says besides the sidecar; the keys of FACTS.yaml."""

    license: str
    """Of the weights, an identifier of the Hub."""
    summary: str
    """A sentence or two: what it tells apart, and how sure that is."""
    sources: list[TrainingSource]
    recipe: str
    """How to train it again."""
    hours: float
    """Of training."""
    machine: str
    """It trained on."""
    numbers: list[Number]
    blind_to: list[str]
    """Forgeries and material that it cannot see through."""
    intended_use: list[str]
    misuse: list[str]
    calibration: dict[str, Any] = field(default_factory=dict)
    """Overrides the sidecar's `provenance.calibration`: `wanted_fpr`, `real` (how many videos), `data` (list of names) of the threshold."""
    threshold: float | None = None
    """Overrides the sidecar's."""
    temperature: float | None = None
    warnings: list[str] = field(default_factory=list)
    """Besides those of the sidecar, see `EngineSpec.warnings`."""
    commit: str | None = None
    """Of fpg, where the sidecar does not know it."""


def read_facts(path: Path) -> Facts:
    """Facts from a YAML file.

    Raises:
        InputError: not readable, unknown or missing keys, or a list that is none.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise TypeError(f"expected keys with values, got {type(value).__name__}")
        lists: dict[str, type] = {"sources": TrainingSource, "numbers": Number}
        given: dict[str, Any] = {name: [lists[name](**row) for row in rows] if name in lists else rows for name, rows in value.items()}
        facts = Facts(**given)
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise InputError(path, f"is not a file of facts: {error}") from error
    for name in ("blind_to", "intended_use", "misuse", "warnings"):
        if not all(isinstance(text, str) for text in getattr(facts, name)) or isinstance(getattr(facts, name), str):
            raise InputError(path, f"{name}: expected a list of texts")
    if not isinstance(facts.license, str) or not facts.license.strip():
        raise InputError(path, "license: expected the licence of the weights")
    return facts


def package(
    run: Path, facts: Facts, out: Path, *, images: np.ndarray | None = None, source: str = "random images"
) -> dict[Literal["weights", "openvino"], Parity]:
    """Write the folder of a packaged model; nothing is left behind when something is not as it has to be.

    Args:
        run: folder of a run, or a `.safetensors` file with its sidecar.
        facts: for the card.
        out: the folder; its last part is the model's name.
        images: float32 [N, 3, S, S] in [0, 1] to compare on; random ones when None.
        source: what they are.

    Returns:
        How far each form answers from the run's weights in 32 bits.

    Raises:
        InputError: an unusable run, forms that answer otherwise, or more than `LARGEST` bytes.
    """
    weights = find_model(run, WEIGHTS) if run.is_dir() else run
    model, trained = load_detector(weights)
    provenance = {**publishable(trained.provenance)}
    if facts.calibration:
        provenance["calibration"] = facts.calibration
    if facts.commit:
        provenance["commit"] = facts.commit
    threshold = trained.threshold if facts.threshold is None else facts.threshold
    temperature = trained.temperature if facts.temperature is None else facts.temperature
    warnings = tuple(dict.fromkeys((*trained.warnings, *facts.warnings)))
    name = out.name
    with hidden_folder(out.parent, name) as hidden:
        draft = Path(hidden)
        half = draft / f"{name}.safetensors"
        try:
            reliability = trained.reliability if temperature == trained.temperature else None  # it holds at its own temperature alone
            options: dict[str, Any] = {"threshold": threshold, "temperature": temperature, "warnings": warnings, "reliability": reliability}
            save_detector(half, model, provenance=provenance, half=True, **options)
        except ValueError as error:
            raise InputError(weights, f"loses too much in 16 bits: {error}") from error
        engine = export_detector(half, "openvino", draft, precision="fp16", name=f"{name}-openvino").path
        chosen = random_images(trained.image_size) if images is None else images
        reference = load_engine(weights, device="cpu")
        found: dict[Literal["weights", "openvino"], Parity] = {
            "weights": compare_outputs(reference, load_engine(half, device="cpu"), chosen, source, TOLERANCES["fp16"]),
            "openvino": compare_outputs(reference, load_engine(engine, device="cpu"), chosen, source, TOLERANCES["fp16"]),
        }
        for form, parity in found.items():
            if not parity.passed:
                raise InputError(weights, f"packed as {form} its scores differ from the original's: {parity}")
        if (size := packaged_size(draft)) > LARGEST:
            raise InputError(weights, f"packed it has {size} bytes, allowed are {LARGEST}")
        with atomic_write(draft / CARD, "w") as file:
            file.write(card(name, facts, read_spec(half), size, found["openvino"]))
        write_record(draft)
        stale = {path.name for path in out.glob(f"{name}*")} - {path.name for path in draft.iterdir()}
        out.mkdir(exist_ok=True)
        publish(draft, out, last=RECORD)
        for old in stale:
            (out / old).unlink()
    return found


_LEVELS = {"strong": "from", "moderate": "from", "little": "below", "none": "below"}


def _card_facts(name: str, network: str, facts: Facts, spec: EngineSpec) -> dict[str, Any]:
    """The section `fpg` of a card's front matter."""
    return {
        "name": name,
        "network": network,
        "summary": facts.summary,
        "sources": [dataclasses.asdict(source) for source in facts.sources],
        "recipe": facts.recipe,
        "method": spec.provenance.get("method"),
        "commit": spec.provenance.get("commit"),
        "seed": spec.provenance.get("seed"),
        "pairs": (spec.provenance.get("counts") or {}).get("pairs"),
        "hours": facts.hours,
        "machine": facts.machine,
        "numbers": [{key: value for key, value in dataclasses.asdict(n).items() if value not in (None, "")} for n in facts.numbers],
        "threshold": spec.threshold,
        "temperature": spec.temperature,
        "false_positive_rate": {key: (spec.provenance.get("calibration") or {}).get(key) for key in ("wanted_fpr", "real", "data")},
        "levels_of_evidence": (spec.reliability or {}).get("bounds"),
        "blind_to": facts.blind_to,
        "intended_use": facts.intended_use,
        "misuse": facts.misuse,
        "warnings": list(spec.warnings),
        "sha256": spec.files[spec.model_file],
    }


def card(name: str, facts: Facts, spec: EngineSpec, size: int, parity: Parity) -> str:
    """The model card: front matter for programs, text for people."""
    network = f"{spec.detector['backbone']} at {spec.image_size} px"
    own = _card_facts(name, network, facts, spec)
    front = {
        "license": facts.license,
        "library_name": "fpg",
        "pipeline_tag": "image-classification",
        "tags": ["deepfake-detection", "face-forgery-detection"],
        "fpg": own,
    }
    rows = [
        ("Network", network),
        ("Licence of the weights", facts.license),
        ("Size", f"{size / 1e6:.1f} MB: weights for torch and an OpenVINO model of the same, both in 16 bits"),
        (
            "Threshold",
            f"{spec.threshold:.4g}, {spec.stated_rate or message('no_stated_rate')}; temperature {spec.temperature:.4g}",
        ),
        ("Levels of evidence", _levels(spec)),
        (
            "Recipe",
            f"{facts.recipe}; seed {own['seed']}, {own['pairs'] or 'unknown number of'} pairs, {facts.hours:g} hours on {facts.machine}",
        ),
        ("Commit of fpg", own["commit"] or "unknown"),
        ("Packing", f"largest difference of the score from 32 bits: {parity.probability:.1e}, on {parity.images} {parity.source}"),
    ]
    sources = [f"{s.name}: {s.licence}" + (f"; {s.what}" if s.what else "") for s in facts.sources]
    sections = {
        "Warnings": _list(spec.warnings),
        "Trained on": _list(sources) or "Nothing.",
        "Measured": _list(map(number_text, own["numbers"])) or "Nothing.",
        "What it cannot see": _list(facts.blind_to),
        "Intended use": _list(facts.intended_use),
        "Not meant for": _list(facts.misuse),
        "How to use": f"```sh\nfpg-detect --model {name} clip.mp4\nfpg-models show {name}\n```",
    }
    table = "\n".join(["| | |", "|---|---|", *(f"| {key} | {' '.join(str(value).split())} |" for key, value in rows)])
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items() if text)
    text = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{text}---\n\n# {name}\n\n{facts.summary}\n\n{table}\n\n{body}\n"


def _levels(spec: EngineSpec) -> str:
    """The score bounds of the levels of evidence, and how videos fell into them."""
    if spec.reliability is None:
        return "not calibrated: findings are without a level"
    bounds, levels = spec.reliability["bounds"], spec.reliability["levels"]
    stated = [f"{name} {how} {bounds[name]:.3g}" for name, how in _LEVELS.items() if bounds[name] is not None]
    counts = [f"{name} {row['real']} real, {row['fake']} fake" for name, row in levels.items()]
    basis = f"of {spec.reliability['real']} real and {spec.reliability['fake']} fake videos: {'; '.join(counts)}"
    return f"{', '.join(stated) or 'none is borne out by the data'} ({basis})"


def _list(lines: Any) -> str:
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)
