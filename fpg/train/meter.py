"""What the progress bar, the log and the summary of an epoch say about speed and losses."""

from __future__ import annotations

from fpg.train.step import LOSS_PARTS, StepResult

_SHARES = (("refined", "refined_share"), ("guidance", "guidance_share"), ("wait", "data_wait"), ("pairs", "pairs_share"))


class Meter:
    """Sums over an epoch (or what is left of it after a resume)."""

    def __init__(self) -> None:
        self.steps = self.pairs = self.refined = self.no_update = 0
        self.seconds = self.waited = self.made_s = self.guidance_s = self.quality_s = 0.0
        self.sums = dict.fromkeys(LOSS_PARTS, 0.0)
        self.updates = 0

    def add(self, result: StepResult | None, seconds: float, waited: float, made: float) -> None:
        """One step: its result (None: no face could be read), its wall time, and of it what went into waiting for data and making pairs."""
        self.steps += 1
        self.seconds += seconds
        self.waited += waited
        self.made_s += made
        if result is None:
            return
        self.pairs += result.pairs
        self.refined += result.refined
        self.guidance_s += result.guidance_s
        self.quality_s += result.quality_s
        self.updates += result.updated
        self.no_update += not result.updated
        for name, value in result.losses.items():
            self.sums[name] += value

    @property
    def rate(self) -> float:
        """Images (two per pair) per second."""
        return 2 * self.pairs / self.seconds if self.seconds else 0.0

    @property
    def wait(self) -> float:
        """Fraction of the time spent waiting for data."""
        return self.waited / self.seconds if self.seconds else 0.0

    @property
    def making(self) -> float:
        """Fraction of the time spent making pairs in the training process (0 where workers make them)."""
        return self.made_s / self.seconds if self.seconds else 0.0

    def values(self) -> dict[str, float]:
        """Means and fractions."""
        seconds = self.seconds or 1.0
        losses = {name: total / self.updates for name, total in self.sums.items()} if self.updates else {}
        fractions = {
            "guidance_share": self.guidance_s / seconds,
            "quality_share": self.quality_s / seconds,
            "data_wait": self.wait,
            "pairs_share": self.making,
        }
        return {**losses, "refined_share": self.refined / max(1, self.pairs), "images_per_s": self.rate, **fractions}

    def line(self) -> str:
        """For people."""
        values = self.values()
        parts = (
            "loss {loss:.3f} (cls {classification:.3f} sim {similarity:.3f} q {quality:.3f})".format(**values)
            if self.updates
            else "no update"
        )
        skipped = f", {self.no_update} without a pair" if self.no_update else ""
        fractions = ", ".join(f"{name} {values[key]:.0%}" for name, key in _SHARES)
        return f"{parts} {self.rate:.1f} images/s, {fractions}{skipped}"
