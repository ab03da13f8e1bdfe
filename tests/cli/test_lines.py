"""What a terminal is told of results: the finding first, limits with numbers, a summary; no colour that says more than the finding."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from fpg.cli.lines import HEAD, result_lines, summary_lines
from fpg.findings.strength import WORDS, Reliability, worst_first
from fpg.runtime.judgement import FaceScore, FrameScore, JudgedBy, Judgement, conclude

BOUNDS = {"strong": 0.9, "moderate": 0.7, "little": 0.3, "none": 0.1}
RELIABILITY = Reliability(BOUNDS, 50, 60, {}, {"face_px": 60.0, "frames_with_face": 8.0})
COLOURS = {"strong": "1;31", "moderate": "1;33", "inconclusive": "1", "little": "32", "none": "32", "not_calibrated": "1"}


def judged(score: float, *, frames: int = 16, side: float = 100.0, faces: int = 1, calibrated: bool = True) -> Judgement:
    face = tuple(FaceScore((200.0 * i, 0.0, 200.0 * i + side, side), score, track=i) for i in range(faces))
    found = conclude("folder/clip.mp4", [FrameScore(i, i / 2, face) for i in range(frames)], 0.6)
    return replace(found, judged_by=(JudgedBy("m", 0.6, RELIABILITY if calibrated else None),))


@pytest.mark.parametrize("calibrated", [True, False])
def test_the_finding_comes_first_in_words_and_fits_eighty_columns(calibrated: bool) -> None:
    rng = np.random.default_rng()
    for score in rng.uniform(0, 1, 50):
        result = judged(float(score), frames=int(rng.integers(1, 40)), side=float(rng.uniform(20, 200)), calibrated=calibrated)
        first, *below = result_lines(result)
        assert result.finding is not None
        assert first.startswith(result.finding.words + "  ")
        assert re.search(rf"  {score:.3f}  +0\.600  folder/clip\.mp4$", first)
        assert [HEAD.index(name) for name in ("finding", "score", "threshold", "input")] == [0, first.index(f"{score:.3f}"), 42, 53]
        assert all(line.startswith("    ") and len(line) <= 80 for line in below)
        text = re.sub(r"\s+", " ", " ".join(below))
        assert all(f"limit: {limit.text}" in text for limit in result.finding.limits)


def test_what_it_was_judged_on() -> None:
    assert result_lines(judged(0.65, frames=1, calibrated=False))[1:] == ["    judged on 1 face"]  # a picture has no suspicious part
    assert result_lines(judged(0.65, faces=2))[1].startswith("    judged on 32 faces in 16 of 16 frames, at most 2 at once; 95 %")
    failed = Judgement("a\nb.mp4", None, None, 0.6, error="no face found", error_code="no_face")
    assert result_lines(failed) == ["not judged                             -          -  a\ufffdb.mp4"]


def test_segments_are_named_by_their_face_where_there_are_several() -> None:
    scores = [0.05] * 12 + [0.95] * 12
    face = lambda score, track: FaceScore((200.0 * track, 0, 200.0 * track + 100, 100), score, track=track)  # noqa: E731
    by = (JudgedBy("m", 0.6, RELIABILITY),)
    one = replace(conclude("a", [FrameScore(i, i / 2, (face(s, 0),)) for i, s in enumerate(scores)], 0.6), judged_by=by)
    two = replace(conclude("a", [FrameScore(i, i / 2, (face(0.05, 0), face(s, 1))) for i, s in enumerate(scores)], 0.6), judged_by=by)
    assert "    suspicious: 6 s to 11.5 s" in result_lines(one)
    assert "    suspicious: face 1 from 6 s to 11.5 s" in result_lines(two)


@pytest.mark.parametrize("score", [0.95, 0.8, 0.65, 0.2, 0.05])
def test_colours_follow_the_level(score: float) -> None:
    for calibrated in (True, False):
        result = judged(score, calibrated=calibrated)
        assert result.finding is not None
        coloured = result_lines(result, colour=True)[0]
        assert coloured.startswith(f"\x1b[{COLOURS[result.finding.level]}m{result.finding.words}")
        assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == result_lines(result)[0]
        assert ("[32m" in coloured) == (result.finding.level in ("little", "none"))


def test_the_summary_counts_worst_first_and_says_what_is_easily_misread() -> None:
    lines = summary_lines({None: 3, "none": 1, "inconclusive": 12, "strong": 2})
    assert lines[:5] == [
        "18 inputs, worst first:",
        "     2  strong evidence of manipulation",
        "    12  inconclusive",
        "     1  no evidence of manipulation found",
        "     3  not judged",
    ]
    assert [line.split(":")[0] for line in lines[5:] if ":" in line] == ["Inconclusive", "No evidence of manipulation found"]
    assert all(len(line) <= 80 for line in lines)
    assert summary_lines({"strong": 1}) == summary_lines({None: 1}) == summary_lines({}) == []
    assert summary_lines({"inconclusive": 1})[0].startswith("Inconclusive: this is evidence neither")


def test_the_worst_is_the_strongest_evidence_then_the_highest_score() -> None:
    order = [("strong", 0.9), ("moderate", 0.99), ("inconclusive", 0.7), ("inconclusive", 0.2), ("not_calibrated", 0.9), ("little", 0.2)]
    keys = [worst_first(*one) for one in [*order, ("none", 0.0), (None, None)]]
    assert all(a < b for a, b in pairwise(keys))
    assert set(WORDS) == {level for level, _ in order} | {"none"}
