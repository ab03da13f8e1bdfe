"""What the demo's last step came to, in words: `python scripts/demo_words.py detect.json`."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from fpg.findings.strength import INCONCLUSIVE


def words(value: dict[str, Any]) -> str:
    """Of what `fpg-detect --json` wrote for a real clip and forged copies of it, in this order."""
    real, *copies = value["results"]
    if any(result["score"] is None for result in (real, *copies)):
        return "Not all clips could be judged: nothing can be said of them."
    found = [f"{_name(result)}: {_finding(result)}" for result in (real, *copies)]
    meaning = (
        "The forgeries are classical face swaps: the face of another person, warped onto the landmarks and blended in. The detector has "
        "never been shown a forged video; it learnt from real faces and from blends that it made of them while it trained. These clips "
        "were chosen to show what it catches and what it misses; they prove nothing about others: how often it errs, on what, and what "
        "it cannot see is in its card (fpg-models show starter)."
    )
    scores = f"{'; '.join(found)}. The threshold is {real['threshold']:.2f}."
    warnings = [f"Warning: {text}." for text in value["warnings"]]
    return "\n".join(textwrap.fill(text, 80) for text in (scores, *(_outcome(real, copy) for copy in copies), meaning, *warnings))


def _name(result: dict[str, Any]) -> str:
    return Path(result["input"]).name


def _finding(result: dict[str, Any]) -> str:
    said = f"score {result['score']:.2f}"
    return f"{result['finding']['words']}, {said}" if result["finding"] else said


def _outcome(real: dict[str, Any], forged: dict[str, Any]) -> str:
    """What the scores of a clip and of a forged copy mean beside each other and beside the threshold."""
    name, whole, verdicts = _name(forged), _name(real), (real["verdict"], forged["verdict"])
    if verdicts == ("real", "fake"):
        doubt = ", though the finding stays inconclusive" if forged["finding"] and forged["finding"]["level"] == INCONCLUSIVE else ""
        return f"{name} reaches the threshold and {whole} does not: this forgery is caught{doubt}."
    if forged["score"] <= real["score"] or _overlap(real, forged):
        return f"{name} scores no higher than {whole}, but for chance: the detector does not tell this forgery from the original."
    if verdicts == ("real", "real"):
        return (
            f"{name} scores higher than {whole}, as it should: side by side the detector orders them rightly. But neither reaches the "
            "threshold, which is set high so that few real videos are called fake: this forgery is missed."
        )
    return f"{name} scores higher than {whole}, as it should. But {whole} reaches the threshold, too: a false alarm."


def _overlap(real: dict[str, Any], forged: dict[str, Any]) -> bool:
    """Whether the intervals of their scores do."""
    intervals = [result["finding"] and result["finding"]["interval"] for result in (real, forged)]
    return all(intervals) and intervals[1][0] <= intervals[0][1]


if __name__ == "__main__":
    print(words(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
