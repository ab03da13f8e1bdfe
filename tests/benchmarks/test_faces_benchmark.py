"""The faces benchmark: what it pastes is where it says, and its rows. Nothing about speed is asserted."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from fpg.faces import FaceAnalyzer, default_analyzer
from fpg.faces.sizes import face_size

SPEC = importlib.util.spec_from_file_location("faces_benchmark", Path(__file__).parents[2] / "benchmarks" / "faces.py")
assert SPEC is not None
assert SPEC.loader is not None
benchmark = importlib.util.module_from_spec(SPEC)  # tests/faces has its name
SPEC.loader.exec_module(benchmark)


@pytest.mark.parametrize("angle", [0, 25])
def test_pasted_faces_are_where_they_are_said_to_be(rng: np.random.Generator, angle: float) -> None:
    people = benchmark.portraits(None)
    assert len(people) >= 4
    analyzer: FaceAnalyzer = default_analyzer()
    image, boxes = benchmark.scene(np.full((90, 160, 3), 120, np.uint8), [benchmark.patch_of(people[0], 100, angle)], (640, 360), rng)
    assert image.shape == (360, 640, 3)
    (box,), (face,) = boxes, analyzer(image)
    assert face_size(box) == pytest.approx(100, rel=0.02 if angle == 0 else 0.2)
    assert np.abs(face.box - box).max() < 10
    assert benchmark.found(boxes, [face]) == (1, 0)
    assert benchmark.found(boxes, []) == (0, 0)
    assert benchmark.found([box + 500], [face]) == (0, 1)


def test_rows(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "FRAMES", {"small": (640, 360)})
    assert benchmark.main(["--json", "--frames", "2", "--sizes", "60", "--rounds", "1", "--only", "recall,cost"]) == 0
    result = json.loads(capsys.readouterr().out)
    alone, together = result["recall"]
    assert (alone["faces"], together["together"]) == (2, 6)
    assert alone["first look"] <= alone["default"] <= 2
    assert [row["default: detector calls"] >= row["first look: detector calls"] for row in result["cost"]] == [True] * 3
