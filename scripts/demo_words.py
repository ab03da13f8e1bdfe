"""What the demo's last step came to, in words: `python scripts/demo_words.py detect.json`."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any


def words(value: dict[str, Any]) -> str:
    """Of what `fpg-detect --json` wrote for a real clip and its forged copy, in this order."""
    real, forged = value["results"]
    threshold = real["threshold"]
    if real["score"] is None or forged["score"] is None:
        return "One of the two clips got no score: nothing can be said of them."
    scores = (
        f"The real clip has a score of {real['score']:.2f}, the forged one {forged['score']:.2f}; "
        f"from {threshold:.2f} on a clip is called fake."
    )
    right = (real["verdict"], forged["verdict"]) == ("real", "fake")
    if right:
        outcome = "The detector tells them apart: both verdicts are right."
    elif forged["score"] > real["score"]:
        outcome = "The detector orders them rightly, and one verdict is wrong: at its threshold it would mislead you about this pair."
    else:
        outcome = "The detector does not tell them apart: the forgery scores no higher than the original."
    meaning = (
        "The forgery is a classical face swap: the face of another person, warped onto the landmarks and blended in. The detector has "
        "never been shown a forged video; it learnt from real faces and from blends that it made of them while it trained. One pair "
        "proves nothing about others: how often it errs, on what, and what it cannot see is in its card (fpg-models show starter)."
    )
    warnings = [f"Warning: {text}." for text in value["warnings"]]
    return "\n".join(textwrap.fill(text, 100) for text in (scores, outcome, meaning, *warnings))


if __name__ == "__main__":
    print(words(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
