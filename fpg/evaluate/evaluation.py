"""Evaluation in one call."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from fpg.engines import load_engine
from fpg.engines.base import Engine
from fpg.engines.resolve import resolve_model
from fpg.evaluate.attributes import grouped, read_attributes
from fpg.evaluate.bootstrap import RESAMPLES
from fpg.evaluate.protocol import plan, score
from fpg.evaluate.summary import summarise
from fpg.faces import default_analyzer
from fpg.runtime.judgement import describe_protocol
from fpg.runtime.judging import Analyzer


def evaluate(
    model: Engine | str | os.PathLike[str] | None,
    *data: str | os.PathLike[str],
    analyzer: Callable[[], Analyzer] = default_analyzer,
    split: str | None = None,
    frames: int | None = 32,
    batch: int = 16,
    threshold: float | None = None,
    timeout: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    attributes: str | os.PathLike[str] | None = None,
    min_face: float | None = None,
) -> dict[str, Any]:
    """Score every video of prepared or raw folders, and compute the metrics.

    Args:
        model: a loaded engine, or what `fpg.engines.resolve.resolve_model` takes: name, file, folder, `hf:OWNER/NAME`; None is the starter.
        data: folders; see `fpg.evaluate.protocol.plan`, as for `split`, `frames`, `batch`, `threshold` and `timeout`.
        analyzer: makes a face finder for raw folders.
        resamples, seed: of the bootstrap behind the intervals.
        attributes: CSV of the videos' attributes, see `fpg.evaluate.attributes`; not needed for the columns of a list of videos.
        min_face: smallest face that is judged, in pixels, see `fpg.evaluate.protocol.plan`; the default analyzer finds faces down to it.
        device, threads: of the engine, if `model` is not one already (`fpg.engines.load_engine`).

    Returns:
        What `fpg-eval --json` writes, without the model: `auc`, `intervals`, `calibration`, `per_video`, `protocol`, `warnings` and more.

    Raises:
        InputError: no such model, or a folder without labelled videos. Videos that fail are listed in the result, never scored.
        UsageError: an unknown split, or the same video twice.
        MissingDependencyError: a package that is needed is not installed.
    """
    if model is None or isinstance(model, str | os.PathLike):
        model = load_engine(resolve_model(model, device=device).path, device=device, threads=threads)
    if analyzer is default_analyzer and min_face is not None:
        analyzer = functools.partial(default_analyzer, min_face=min_face)
    how: dict[str, Any] = {"split": split, "frames": frames, "batch": batch, "threshold": threshold, "timeout": timeout}
    chosen = plan(data, model, analyzer, highlights=0, min_face=min_face, **how)
    annotated = None if attributes is None else read_attributes(attributes)
    results, told = grouped(list(score(chosen.items)), annotated)
    limit = model.spec.threshold if threshold is None else threshold
    protocol = describe_protocol(frames, crop=model.spec.crop)
    metrics = summarise(results, [*chosen.notes, *told], limit, frames, resamples=resamples, seed=seed, protocol=protocol)
    return metrics | {"warnings": list(dict.fromkeys(chosen.warnings))}
