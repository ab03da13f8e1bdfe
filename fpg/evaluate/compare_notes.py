"""What a comparison of runs has to say in addition to its numbers: unequal terms, warnings of weights, too few videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fpg.evaluate.runs import EvaluatedRun

FEW = 10
"""With fewer videos of a class no difference is called one: a percentile interval over so few is too narrow."""


def notes(runs: Sequence[EvaluatedRun], groups: Sequence[tuple[str, int, int]]) -> list[str]:
    """What makes a comparison less than fair, or needs to be known to read it.

    Args:
        runs: that are compared.
        groups: name, real and fake videos of each group.
    """
    found = [note for run in runs for note in run.notes]
    found += dict.fromkeys(f"{run.family or run.name}: {warning}" for run in runs for warning in run.warnings)
    images = {run.name: run.cost.images for run in runs if run.cost.images}
    if images and max(images.values()) > 1.01 * min(images.values()):
        found.append("the runs did not train on the same number of images: " + _listed(images))
    for title, values in (
        ("training data (fingerprint)", {run.name: _fingerprint(run) for run in runs}),
        ("network", {run.name: _network(run) for run in runs}),
        ("seed", _seeds(runs)),
        ("machine (so their times say little)", {run.name: run.cost.device for run in runs}),
    ):
        known = {name: value for name, value in values.items() if value is not None}
        if len(set(known.values())) > 1:
            found.append(f"the runs differ in {title}: {_listed(known)}")
    few = [f"{name} ({real} real, {fake} fake)" for name, real, fake in groups if real and fake and min(real, fake) < FEW]
    if few:
        found.append(
            f"fewer than {FEW} videos of a class in {', '.join(few)}: the intervals are too narrow there, and no difference is claimed"
        )
    return found


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _seeds(runs: Sequence[EvaluatedRun]) -> dict[str, str]:
    """By method, as far as they are known."""
    found: dict[str, list[int]] = {}
    for run in runs:
        if run.seed is not None:
            found.setdefault(run.family or run.name, []).append(run.seed)
    return {name: "/".join(map(str, sorted(seeds))) for name, seeds in found.items()}


def _fingerprint(run: EvaluatedRun) -> str | None:
    data = run.provenance.get("data")
    value = data.get("fingerprint") if isinstance(data, dict) else None
    return value[:12] if isinstance(value, str) else None


def _network(run: EvaluatedRun) -> str | None:
    backbone = run.model.get("backbone")
    return f"{backbone} at {run.model.get('image_size')} px" if backbone else None
