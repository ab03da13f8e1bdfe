"""Several detectors' scores of one face as one: the mean of their calibrated log-odds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fpg.findings.limits import Limit
from fpg.findings.segments import log_odds
from fpg.findings.tables import TABLES

LARGEST_DIFFERENCE = math.log(TABLES["odds"]["strong"])
"""In log-odds: detectors further apart than what is called strong evidence are not fused to a finding."""


def fused(scores: Sequence[float], weights: Sequence[float]) -> float:
    """The fused probability.

    Args:
        scores: of one face, or thresholds, one per detector, in [0, 1].
        weights: of the detectors, >= 0, not all 0.
    """
    if len(scores) == 1:
        return float(scores[0])
    odds = float(sum(w * v for w, v in zip(weights, log_odds(np.array(scores)).tolist(), strict=True)) / sum(weights))
    return 0.5 * (1 + math.tanh(0.5 * odds))


def models_disagree(scores: Sequence[float], thresholds: Sequence[float]) -> list[Limit]:
    """Whether some detectors say fake and others real, with log-odds (from their thresholds) further apart than `LARGEST_DIFFERENCE`."""
    if len(scores) < 2:
        return []
    margins = (log_odds(np.array(scores)) - log_odds(np.array(thresholds))).tolist()
    apart = max(margins) - min(margins)
    opposite = min(margins) < 0 <= max(margins)
    return [Limit("models_disagree", apart, LARGEST_DIFFERENCE)] if opposite and apart > LARGEST_DIFFERENCE else []
