"""How strong the evidence is: five levels, bounded by what was measured when the model was calibrated.

A level is a statement about odds. Were half of the videos forged, of those with a score from the bound of `strong` on at least 19 would
be forged for every real one, of those from `moderate` on 4; below the bounds of `none` and `little` it is the other way round. The bounds
are fitted on labelled videos (`fpg.evaluate.reliability`) and stand in the model's sidecar; a bound that the data do not bear out is null
there, and its level is not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fpg.common.constants import filled
from fpg.findings.tables import TABLES

STRONG, MODERATE, INCONCLUSIVE, LITTLE, NONE, NOT_CALIBRATED = TABLES["levels"]
WORDS: dict[str, str] = TABLES["levels"]
"""Level -> what is printed."""
_WORST_FIRST: list[str] = TABLES["worst_first"]
_SCALE = (NONE, LITTLE, INCONCLUSIVE, MODERATE, STRONG)
_MIDDLE = _SCALE.index(INCONCLUSIVE)


@dataclass(frozen=True)
class Reliability:
    """What a model's sidecar says of its scores (`EngineSpec.reliability`)."""

    bounds: Mapping[str, float | None]
    """Score from which evidence is `strong`, `moderate`; below which it is `little`, `none`. None: no score is."""
    real: int
    """Real videos that it was measured on."""
    fake: int
    levels: Mapping[str, Mapping[str, int]]
    """Level -> how many `real` and `fake` videos had such a score, each judged by bounds that were fitted on the others."""
    conditions: Mapping[str, float]
    """Condition (`fpg.findings.limits`) -> where those of nearly all these videos end."""
    weight: float = 1.0
    """In a fusion: the share of what there is to know about these videos' labels that the scores tell."""
    data: tuple[str, ...] = field(default=())
    """Names of the data."""

    @staticmethod
    def of(value: Mapping[str, Any] | None) -> Reliability | None:
        """From a checked sidecar; None where the model was not calibrated so."""
        if value is None:
            return None
        return Reliability(**{**value, "data": tuple(value.get("data", ()))})

    def to_json(self) -> dict[str, Any]:
        """For the sidecar."""
        return {
            "bounds": dict(self.bounds),
            "real": self.real,
            "fake": self.fake,
            "levels": {name: dict(counts) for name, counts in self.levels.items()},
            "conditions": dict(self.conditions),
            "weight": self.weight,
            "data": list(self.data),
        }


def stated(level: str) -> str:
    """A level as a sentence, with what it means where that is easily misread."""
    words = WORDS[level][0].upper() + WORDS[level][1:]
    means = TABLES["means"].get(level)
    return filled(TABLES["text"]["meaning"], words=words, means=means) if means else f"{words}."


def worst_first(level: str | None, score: float | None) -> tuple[int, float]:
    """Key that sorts results by their finding, the strongest evidence first, then by score; what has no score comes last.

    Args:
        level: of the finding; None without one.
        score: of the input; None where it could not be judged.
    """
    if score is None:
        return len(_WORST_FIRST), 0.0
    return _WORST_FIRST.index(level or NOT_CALIBRATED), -score


def level_of_score(score: float, bounds: Mapping[str, float | None]) -> str:
    """The level of a score by the bounds alone."""
    strong, moderate, little, none = (bounds[name] for name in (STRONG, MODERATE, LITTLE, NONE))
    if strong is not None and score >= strong:
        return STRONG
    if moderate is not None and score >= moderate:
        return MODERATE
    if none is not None and score < none:
        return NONE
    if little is not None and score < little:
        return LITTLE
    return INCONCLUSIVE


def level_of(score: float, threshold: float, reliability: Reliability | None) -> str:
    """The level of a score. Where it would contradict the verdict (a threshold that somebody chose) it is inconclusive."""
    if reliability is None:
        return NOT_CALIBRATED
    level = level_of_score(score, reliability.bounds)
    return INCONCLUSIVE if contradicts(level, score >= threshold) else level


def contradicts(level: str, fake: bool) -> bool:
    """Whether a level of evidence and a verdict point in opposite directions."""
    return level in ((LITTLE, NONE) if fake else (MODERATE, STRONG))


def weakened(level: str, steps: int) -> str:
    """The level so many steps nearer to inconclusive, and not beyond it."""
    if level == NOT_CALIBRATED:
        return level
    at = _SCALE.index(level) - _MIDDLE
    left = max(0, abs(at) - steps)
    return _SCALE[_MIDDLE + (left if at > 0 else -left)]


def together(levels: list[str]) -> str:
    """What several detectors' levels say together: their middle, towards inconclusive; not calibrated where one is not."""
    if NOT_CALIBRATED in levels:
        return NOT_CALIBRATED
    places = [_SCALE.index(level) - _MIDDLE for level in levels]
    return _SCALE[_MIDDLE + int(sum(places) / len(places))]
