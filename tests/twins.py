"""fpg-detect and fpg-detect-cpp on the same arguments, compared."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import fpg.cli.detect as detect


def cpp(program: Path, face_models: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [str(program), *map(str, arguments), "--face-models", face_models]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)


Both = tuple[dict[str, Any], dict[str, Any]]


class Programs:
    """Runs both on the same arguments and compares what they say."""

    def __init__(self, program: Path, face_models: str, engine: Path, folder: Path) -> None:
        self.program, self.face_models, self.engine, self.folder = program, face_models, engine, folder

    def __call__(self, *arguments: object) -> Both:
        python, ours = self.folder / "python.json", self.folder / "cpp.json"
        expected = detect.main([str(self.engine), *map(str, arguments), "--json", str(python)])
        done = cpp(self.program, self.face_models, self.engine, *arguments, "--json", ours)
        assert done.returncode == expected, done.stderr
        return json.loads(python.read_text(encoding="utf-8")), json.loads(ours.read_text(encoding="utf-8"))


def compare(both: Both, score: float = 1e-5) -> None:
    """The same model and protocol; verdicts alike, scores within `score`, boxes within a pixel."""
    python, ours = both
    assert list(python) == list(ours)
    for part in ("model", "protocol"):
        assert python[part] == ours[part]
    assert [r["input"] for r in python["results"]] == [r["input"] for r in ours["results"]]
    for theirs, result in zip(python["results"], ours["results"], strict=True):
        assert list(theirs) == list(result)
        assert theirs["error_code"] == result["error_code"], (theirs["input"], theirs["error"], result["error"])
        assert (theirs["verdict"], theirs["threshold"]) == (result["verdict"], result["threshold"])
        assert [(f["index"], f["time_s"], len(f["faces"])) for f in theirs["frames"]] == [
            (f["index"], pytest.approx(f["time_s"], abs=1e-3), len(f["faces"])) for f in result["frames"]
        ]
        if theirs["error"] is not None:
            assert reason(theirs["error"]) == reason(result["error"])
            continue
        assert result["score"] == pytest.approx(theirs["score"], abs=score)
        for a, b in zip(theirs["frames"], result["frames"], strict=True):
            for x, y in zip(a["faces"], b["faces"], strict=True):
                assert y["box"] == pytest.approx(x["box"], abs=1.0)
                assert (y["track"], y["score"]) == (x["track"], pytest.approx(x["score"], abs=10 * score))
        compare_findings(theirs, result, score)


def compare_findings(theirs: dict[str, Any], result: dict[str, Any], score: float) -> None:
    """The same level, limits, segments and shots; numbers within what the scores and the face networks' arithmetic leave."""
    assert flat(result["conditions"]) == pytest.approx(flat(theirs["conditions"]), rel=0.05, abs=1.0)
    assert wordy(result["finding"]["text"]) == wordy(theirs["finding"]["text"])
    assert [limit["code"] for limit in result["finding"]["limits"]] == [limit["code"] for limit in theirs["finding"]["limits"]]
    for name in ("models", "shots", "tracks"):
        assert len(theirs[name]) == len(result[name])
        for a, b in zip(theirs[name], result[name], strict=True):
            assert list(a) == list(b)
            assert [v for v in b.values() if isinstance(v, str)] == [v for v in a.values() if isinstance(v, str)]
            assert flat(b) == pytest.approx(flat(a), abs=max(1e-3, 100 * score))


def flat(value: Any) -> list[float]:
    """All numbers in a JSON value, in order; None is -1."""
    if isinstance(value, dict | list):
        return [number for part in (value.values() if isinstance(value, dict) else value) for number in flat(part)]
    return [] if isinstance(value, str) else [-1.0 if value is None else float(value)]


def wordy(text: str) -> str:
    """A text without its numbers."""
    return re.sub(r"-?[0-9.]+(e-?[0-9]+)?", "#", text)


def reason(error: str) -> str:
    """What both programs say alike: a decoder's own words differ from version to version of it, and so do counts at which it gave up."""
    return re.sub(r"(damaged or truncated|cannot be decoded|of another format\)|is too large).*|[0-9]+", r"\1", error)
