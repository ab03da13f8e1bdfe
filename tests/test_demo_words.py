"""What the demo says of its clips: true whatever the scores come to."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SPEC = importlib.util.spec_from_file_location("demo_words", Path(__file__).parents[1] / "scripts" / "demo_words.py")
assert SPEC is not None
assert SPEC.loader is not None
demo_words = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(demo_words)


def result(name: str, score: float | None, spread: float = 0.01, level: str = "inconclusive") -> dict[str, Any]:
    if score is None:
        return {"input": f"demo/{name}", "score": None, "verdict": None, "threshold": 0.7, "finding": None}
    finding = {"level": level, "words": level, "interval": [score - spread, score + spread]}
    verdict = "fake" if score >= 0.7 else "real"
    return {"input": f"demo/{name}", "score": score, "verdict": verdict, "threshold": 0.7, "finding": finding}


@pytest.mark.parametrize(
    ("real", "forged", "said"),
    [
        (0.2, 0.9, "reaches the threshold and real.mp4 does not: this forgery is caught, though the finding stays inconclusive."),
        (0.2, 0.6, "this forgery is missed."),
        (0.595, 0.6, "does not tell this forgery from the original."),
        (0.6, 0.2, "does not tell this forgery from the original."),
        (0.8, 0.9, "a false alarm."),
    ],
)
def test_the_outcome_follows_from_the_scores(real: float, forged: float, said: str) -> None:
    copies = [result("forged.mp4", forged), result("forged2.mp4", 0.95, level="strong")]
    text = demo_words.words({"results": [result("real.mp4", real), *copies], "warnings": ["demo weights"]})
    line = " ".join(text.split())
    assert f"forged.mp4: inconclusive, score {forged:.2f}" in line
    assert said in line
    assert "Warning: demo weights." in line
    assert all(len(part) <= 80 for part in text.splitlines())
    assert ("this forgery is caught." in line) == (real < 0.7)  # the second


def test_clips_without_a_score() -> None:
    value = {"results": [result("real.mp4", None), result("forged.mp4", 0.9)], "warnings": []}
    assert "nothing can be said" in demo_words.words(value)
