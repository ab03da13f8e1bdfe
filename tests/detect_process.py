"""fpg-detect in a process of its own, with stand-ins for the networks: `python detect_process.py ARGUMENTS...`. `FPG_SLOW_S` slows every
face down, so that there is something to interrupt."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import numpy as np
from judging import BrightnessEngine, GreenAnalyzer

import fpg.cli.detect as detect

SLOW_S = float(os.environ.get("FPG_SLOW_S", "0"))


class Slow(GreenAnalyzer):
    """Takes its time."""

    def __call__(self, image: np.ndarray) -> Any:
        time.sleep(SLOW_S)
        return super().__call__(image)


def stand_in() -> None:
    """Put the stand-ins in place."""
    detect.load_engine = lambda path, **options: BrightnessEngine()  # type: ignore[assignment,return-value]
    detect.default_analyzer = Slow  # type: ignore[assignment]


if __name__ == "__main__":
    stand_in()
    sys.exit(detect.main(sys.argv[1:]))
