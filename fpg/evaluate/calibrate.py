"""Fitting a model's temperature, and if wanted its threshold, on scored validation videos, and storing them in its sidecar."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fpg.common.errors import InputError
from fpg.common.spec import EngineSpec, sidecar
from fpg.evaluate.calibration import calibration_error, fit_temperature, reliability, rescaled, threshold_at
from fpg.evaluate.metrics import compute
from fpg.evaluate.protocol import Result
from fpg.evaluate.reliability import describe_reliability, measure_reliability
from fpg.findings.strength import Reliability
from fpg.runtime.scores import video_score


@dataclass(frozen=True)
class Calibration:
    """What was fitted, on what, and what it did there."""

    temperature: float
    threshold: float
    previous_temperature: float
    previous_threshold: float
    videos: int
    real: int
    fake: int
    wanted_fpr: float | None
    """Fraction of real videos that the threshold may call fake; None when it was not asked for."""
    log_loss: tuple[float, float]
    """Per video in nats, before and after."""
    ece: tuple[float, float]
    auc: tuple[float, float]
    """Of the videos. It may move a little: a video's score is a mean of probabilities. Over frames it does not move."""
    data: tuple[str, ...] = ()
    """Where the videos came from."""
    reliability: Reliability | None = None
    """What the calibrated scores are worth; None where the videos are too few."""

    def to_json(self) -> dict[str, Any]:
        """As a dict; `reliability` has a place of its own in the sidecar."""
        return {name: value for name, value in asdict(self).items() if name != "reliability"}


def calibrate(
    results: Sequence[Result], spec: EngineSpec, wanted_fpr: float | None = None, data: Sequence[str] = ()
) -> tuple[Calibration, list[Result]]:
    """Fit the temperature by the log loss of the videos; returns what was fitted and the results as the calibrated model gives them.

    Without `wanted_fpr` a threshold other than 0.5 keeps its place among the scores of single frames.

    Args:
        results: scored with `spec`; those without a score are left out.
        spec: of the model.
        wanted_fpr: fraction of real videos that may be called fake, in [0, 1); the threshold is chosen for it.
        data: where the videos came from, to be remembered.

    Raises:
        InputError: one class only, or scores that no temperature fits.
    """
    scored = [r for r in results if r.score is not None]
    labels = np.array([r.label for r in scored], np.int64)
    rows = [(f.score, i) for i, r in enumerate(scored) for f in r.judgement.frames if f.score is not None]
    frames, videos = np.array([s for s, _ in rows], np.float64), np.array([v for _, v in rows], np.int64)
    before = np.array([r.score for r in scored], np.float64)
    try:
        fit = fit_temperature(labels, frames, videos)
        after = np.bincount(videos, rescaled(frames, fit.ratio)) / np.bincount(videos)
        moved = 0.5 if spec.threshold == 0.5 else float(rescaled(np.array([spec.threshold]), fit.ratio)[0])
        threshold = moved if wanted_fpr is None else threshold_at(labels, after, wanted_fpr)
    except ValueError as error:
        raise InputError(", ".join(data) or "calibration", str(error)) from error
    ece = tuple(calibration_error(reliability(labels, s)) or 0.0 for s in (before, after))
    auc = tuple(compute(labels, s).auc or 0.0 for s in (before, after))
    real = int((labels == 0).sum())
    found = Calibration(
        spec.temperature * fit.ratio,
        threshold,
        spec.temperature,
        spec.threshold,
        len(labels),
        real,
        len(labels) - real,
        wanted_fpr,
        (fit.before, fit.after),
        (ece[0], ece[1]),
        (auc[0], auc[1]),
        tuple(data),
    )
    calibrated = [_rescaled(r, fit.ratio, threshold) for r in results]
    with contextlib.suppress(ValueError):  # too few videos for levels; temperature and threshold stand
        found = replace(found, reliability=measure_reliability(calibrated, data))
    return found, calibrated


def store(model: str | os.PathLike[str], spec: EngineSpec, found: Calibration) -> EngineSpec:
    """Write temperature, threshold and where they come from into the sidecar of a model, atomically; its files are not touched.

    Raises:
        InputError: the sidecar cannot be written.
    """
    changed = replace(
        spec,
        temperature=found.temperature,
        threshold=found.threshold,
        reliability=found.reliability.to_json() if found.reliability else None,
        provenance={**spec.provenance, "calibration": found.to_json()},
    )
    changed.write(sidecar(model))
    return changed


def _rescaled(result: Result, ratio: float, threshold: float) -> Result:
    """The result with every score at another temperature."""

    def score(value: float) -> float:
        return float(rescaled(np.array([value]), ratio)[0])

    j = result.judgement
    frames = tuple(replace(f, faces=tuple(replace(face, score=score(face.score)) for face in f.faces)) for f in j.frames)
    value = video_score(f.score for f in frames) if j.score is not None else None
    verdict = None if value is None else "fake" if value >= threshold else "real"
    highlights = tuple(replace(h, score=score(h.score)) for h in j.highlights)
    changed = replace(j, score=value, verdict=verdict, threshold=threshold, frames=frames, highlights=highlights)
    return replace(result, judgement=changed)


def describe_calibration(found: Calibration) -> list[str]:
    """For people: what was stored and what it did."""
    lines = [
        f"temperature {found.previous_temperature:.4g} -> {found.temperature:.4g}, fitted on {found.videos} videos "
        f"({found.real} real, {found.fake} fake): ECE {100 * found.ece[0]:.1f} % -> {100 * found.ece[1]:.1f} %, "
        f"log loss {found.log_loss[0]:.3f} -> {found.log_loss[1]:.3f}, AUC {100 * found.auc[0]:.2f} % -> {100 * found.auc[1]:.2f} %"
    ]
    if found.wanted_fpr is not None:
        allowed = math.floor(found.wanted_fpr * found.real + 1e-9)
        lines.append(
            f"threshold {found.previous_threshold:.4g} -> {found.threshold:.4g}: calls at most {100 * found.wanted_fpr:g} % of the "
            f"real videos fake, here {allowed} of {found.real}"
            + ("" if allowed else " (so few real videos say little about such a small rate)")
        )
    elif found.threshold != found.previous_threshold:
        lines.append(f"threshold {found.previous_threshold:.4g} -> {found.threshold:.4g}: the same decision at the new temperature")
    if found.reliability is None:
        return [*lines, "levels of evidence: none, there are too few videos"]
    return lines + describe_reliability(found.reliability)
