"""The benchmark's JSON: one object whose cases name the alternative. Pictures are compared within it; nothing about speed is asserted."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("skimage")
import storage


def test_json_has_every_alternative(capsys: pytest.CaptureFixture[str]) -> None:
    assert storage.main(["--json", "--faces", "2", "--sizes", "90", "--rounds", "1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [case["name"].rsplit(", ")[-1] for case in result["cases"]] == ["opencv", "pillow"]
    assert all(case["ratio"] > 0 for case in result["cases"])
    assert result["crops"][0]["bytes"] > 4
