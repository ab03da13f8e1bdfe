"""What is asked of a job, and what a worker is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fpg.serve.refusal import RequestRefused

WAITING, FETCHING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "fetching", "running", "done", "failed", "cancelled"
ENDED = (DONE, FAILED, CANCELLED)
"""States that a job does not leave. `failed` is a job without a score: its answer says why."""
OUTPUTS = ("report", "overlay", "frames")
"""What may be made in addition to the answer: a page, a drawn copy, the frames that were judged with their maps."""
MAX_FRAMES = 10_000


@dataclass(frozen=True)
class JobRequest:
    """How an input is to be judged; the defaults are those of fpg-detect."""

    frames: int | None = 32
    """Looked at, evenly spaced; None for one in `every`."""
    every: int = 1
    threshold: float | None = None
    """Probability from which the verdict is fake; None is the model's."""
    outputs: tuple[str, ...] = ()
    """Of `OUTPUTS`."""

    @staticmethod
    def of(values: Mapping[str, Any]) -> JobRequest:
        """From form fields or a JSON object; what is absent or empty keeps its default.

        Raises:
            RequestRefused: an unknown name, or a value out of range.
        """
        unknown = set(values) - {"frames", "every", "threshold", "outputs"}
        if unknown:
            raise RequestRefused("invalid", f"{min(unknown)}: there is no such option; expected frames, every, threshold, outputs")
        given = {name: value for name, value in values.items() if value not in (None, "")}
        if "frames" in given and "every" in given:
            raise RequestRefused("invalid", "frames and every: give one of them")
        frames: int | None = 32
        if "every" in given or str(given.get("frames")) == "all":
            frames = None
        elif "frames" in given:
            frames = _whole("frames", given["frames"], MAX_FRAMES)
        every = _whole("every", given.get("every", 1), 1_000_000)
        return JobRequest(frames, every, _probability(given.get("threshold")), _outputs(given.get("outputs", ())))

    def to_json(self) -> dict[str, Any]:
        """What `JobRequest(**...)` takes."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> JobRequest:
        """Back from `to_json`."""
        return JobRequest(**{**values, "outputs": tuple(values["outputs"])})


@dataclass(frozen=True)
class JudgeTask:
    """A job as a worker gets it."""

    id: str
    path: str
    """Of the input."""
    name: str
    """As it was uploaded: stands in the answer, and is never a path."""
    folder: str
    """Where outputs go."""
    request: JobRequest


def _whole(name: str, value: Any, largest: int) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if not 1 <= number <= largest:
        raise RequestRefused("invalid", f"{name}: expected a whole number from 1 to {largest}, got {str(value)[:40]}")
    return number


def _probability(value: Any) -> float | None:
    if value is None:
        return None
    try:
        number = float(str(value))
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise RequestRefused("invalid", f"threshold: expected a number from 0 to 1, got {str(value)[:40]}")
    return number


def _outputs(value: Any) -> tuple[str, ...]:
    names = [str(name).strip() for name in (value.split(",") if isinstance(value, str) else value)]
    for name in names:
        if name not in OUTPUTS:
            raise RequestRefused("invalid", f"outputs: expected some of {', '.join(OUTPUTS)}, got {name[:40]}")
    return tuple(name for name in OUTPUTS if name in names)
