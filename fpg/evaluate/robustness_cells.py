"""The numbers of a suite of perturbations: one cell per perturbation and level, their rows and averages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fpg.common.rng import stream
from fpg.data.manifest import FAKE, REAL
from fpg.evaluate.bootstrap import bootstrap_aucs, interval
from fpg.evaluate.chain_steps import describe_steps
from fpg.evaluate.codecs import encoder_versions
from fpg.evaluate.metrics import auc, compute
from fpg.evaluate.perturbations import ALL, ATTACK, LEVELS, Cell, Perturbation
from fpg.evaluate.protocol import EvaluationItem
from fpg.evaluate.robustness_log import CLEAN, PerturbedOutcome
from fpg.evaluate.summary import RELEASED_SCORE
from fpg.runtime.judgement import printable

RESAMPLES = 1000


def tabulate(
    items: Sequence[EvaluationItem],
    outcomes: Sequence[dict[tuple[str, int], PerturbedOutcome]],
    cells: Sequence[Cell],
    seed: int = 0,
    *,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """The numbers of a suite.

    Args:
        items: the videos.
        outcomes: of each, by (perturbation, level), with (`CLEAN`, 0).
        cells: in the order to report.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        `clean` (AUC) and `rows` (one per perturbation: AUC and drop at the five levels, None where not run or undefined, and their
        means), for tables and plots; `cells` (one per perturbation and level: AUC, AP and EER over the videos with a score in it, the
        drop of the AUC over the videos that have a score both ways, 95 % intervals, everything without a score by name),
        `clean_cell` (the same without perturbation) and `averages`.
    """
    labels = np.array([item.label for item in items], np.int64)
    clean = [outcome[CLEAN, 0] for outcome in outcomes]
    rows = [
        {
            "perturbation": cell.perturbation.name,
            "title": cell.perturbation.title,
            "code": cell.perturbation.code or None,
            "level": cell.level,
            "parameter": cell.parameter,
            "meaning": cell.perturbation.parameter,
            **_numbers(items, labels, clean, [o[cell.perturbation.name, cell.level] for o in outcomes], seed, resamples),
        }
        for cell in cells
    ]
    unperturbed = _numbers(items, labels, clean, clean, seed, resamples)
    return {
        "text": "whole frames perturbed before faces are found; frames, crops and aggregation as in the evaluation; "
        "drop = clean AUC minus perturbed AUC over the videos that have a score both ways; "
        "what has no score is left out, counted and named in its cell",
        "seed": seed,
        "sampled": None,
        "videos": len(items),
        "real": int((labels == REAL).sum()),
        "fake": int((labels == FAKE).sum()),
        "software": {"opencv": _opencv(), **encoder_versions()},
        "clean": unperturbed["auc"],
        "rows": [
            _row(p, [r for r in rows if r["perturbation"] == p.name]) for p in {c.perturbation.name: c.perturbation for c in cells}.values()
        ],
        "averages": _averages(rows),
        "clean_cell": unperturbed,
        "cells": rows,
    }


def _row(perturbation: Perturbation, cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    at = {cell["level"]: cell for cell in cells}
    return {
        "name": perturbation.name,
        "type": perturbation.title,
        "code": perturbation.code or None,
        "meaning": perturbation.parameter,
        "parameters": list(perturbation.levels),
        **({"steps": describe_steps(perturbation.chain)} if perturbation.chain else {}),
        **{key: [at[level][key] if level in at else None for level in range(1, LEVELS + 1)] for key in ("auc", "interval", "drop")},
        "mean": _average(perturbation.title, cells),
    }


def _opencv() -> str:
    import cv2

    return str(cv2.__version__)


def _numbers(
    items: Sequence[EvaluationItem],
    labels: np.ndarray,
    clean: Sequence[PerturbedOutcome],
    now: Sequence[PerturbedOutcome],
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    has = np.array([o.score is not None for o in now], bool)
    both = has & np.array([o.score is not None for o in clean], bool)
    before, after = (np.array([np.nan if o.score is None else o.score for o in part], np.float64) for part in (clean, now))
    metrics = compute(labels[has], after[has])
    released = compute(labels, np.where(has, after, RELEASED_SCORE))
    result: dict[str, Any] = {
        "auc": metrics.auc,
        "interval": None,
        "ap": metrics.ap,
        "eer": metrics.eer,
        "auc_as_released": released.auc,
        "drop": None,
        "drop_interval": None,
        "videos_in_drop": int(both.sum()),
        "reason": metrics.reason,
        "scored": int(has.sum()),
        "no_face": sum(o.status == "no_face" for o in now),
        "failed": sum(o.status == "failed" for o in now),
        "unchanged": sum(o.unchanged for o in now),
        "without_score": [
            {"video": _name(item), "label": item.label, "status": o.status, "reason": o.reason, "clean_score": c.score}
            for item, c, o in zip(items, clean, now, strict=True)
            if o.score is None
        ],
    }
    if metrics.auc is not None:
        draws = bootstrap_aucs(labels[has], after[has][None], resamples, stream(seed, "robustness"))
        result["interval"] = list(interval(draws[:, 0]))
    paired = labels[both]
    if len(set(paired.tolist())) == 2:
        result["drop"] = auc(paired, before[both]) - auc(paired, after[both])
        draws = bootstrap_aucs(paired, np.stack([before[both], after[both]]), resamples, stream(seed, "robustness drop"))
        result["drop_interval"] = list(interval(draws[:, 0] - draws[:, 1]))
    return result


def _name(item: EvaluationItem) -> str:
    return "/".join(printable(part) for part in (item.dataset, item.method, item.video) if part)


def _average(title: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over cells; None where a cell has no value, so that an average never hides one."""

    def mean(key: str) -> float | None:
        values = [r[key] for r in rows]
        return None if not values or any(v is None for v in values) else float(np.mean(values))

    return {"title": title, "cells": len(rows), "auc": mean("auc"), "drop": mean("drop")}


def _averages(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Over the field's cells, when all levels ran, and over everything that ran but the attack."""
    rows = [r for r in rows if r["perturbation"] != ATTACK.name]
    if not rows:
        return []
    published = [r for r in rows if r["code"]]
    complete = len(published) == LEVELS * sum(p.published for p in ALL)
    found = [_average(f"published suite, {len(published)} cells", published)] if complete else []
    return found if complete and len(published) == len(rows) else [*found, _average(f"all {len(rows)} cells that ran", rows)]
