"""What docs/serving.md says is run, word for word but for the port, and the answer is that of fpg-detect."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from schemas import check_output
from serving import Running, face_clip, serving

import fpg.cli.detect as detect
from fpg.client import Client
from fpg.serve.confine import Limits
from fpg.serve.judging import Loading
from fpg.serve.refusal import CODES

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- run -->\n```(\w+)\n(.*?)```", DOCS, re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With the starter, in confined workers."""
    with serving(tmp_path_factory.mktemp("spool") / "spool", Loading(slots=2), limits=Limits()) as running:
        yield running


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A short video of a face."""
    return face_clip(tmp_path)


def same(answer: dict[str, Any], other: dict[str, Any]) -> None:
    """Two files of results of the same bytes: all but when, where and by which program."""
    for value in (answer, other):
        value["record"] = {key: value["record"][key] for key in ("schema", "models")}
        for result in value["results"]:
            assert result.pop("modified") is not None
    scores = [[frame["faces"][0].pop("score") for frame in value["results"][0]["frames"]] for value in (answer, other)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)  # faces of several jobs share batches
    for value in (answer, other):
        for place in (*value["results"], *value["results"][0]["tracks"]):
            place["score"] = round(place["score"], 5)
    assert answer == other


def test_the_answer_is_that_of_fpg_detect(server: Running, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = Client(server.address, patience_s=60).judge("clip.mp4")
    assert detect.main(["clip.mp4", "--json", "detect.json"]) == 0
    check_output(answer)
    assert answer["results"][0]["score"] is not None
    same(answer, json.loads(Path("detect.json").read_text()))


def test_a_result_can_be_verified(server: Running, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = Client(server.address, patience_s=60).judge("clip.mp4")
    Path("result.json").write_text(json.dumps(answer))
    assert detect.main(["--verify", "result.json"]) == 0


def test_outputs_of_the_real_detector(server: Running, clip: Path) -> None:
    client = Client(server.address, patience_s=60)
    job = client.wait(client.submit(clip, outputs="report,overlay,frames", every=4)["id"], 300)
    assert job["state"] == "done"
    assert b"<!doctype html>" in client.output(job["id"], "report").lower()[:200]
    assert client.output(job["id"], "overlay")[4:8] == b"ftyp"
    frames = json.loads(client.output(job["id"], "frames"))
    assert [frame["index"] for frame in frames] == [0, 4, 8]
    face = frames[0]["faces"][0]
    x0, y0, x1, y1 = face["crop"]
    assert x0 <= face["box"][0] < face["box"][2] <= x1 + 1
    assert y0 <= face["box"][1] < face["box"][3] <= y1 + 1
    assert len(face["map"]) == len(face["map"][0])
    assert client.output(job["id"], "frames/4")[:2] == b"\xff\xd8"


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples(server: Running, clip: Path, number: int) -> None:
    language, text = EXAMPLES[number]
    text = text.replace("http://127.0.0.1:8000", server.address.rstrip("/"))
    command = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
    done = subprocess.run(command, cwd=clip.parent, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if "/v1/judge" in text:
        check_output(json.loads(done.stdout))
    if "/record" in text:
        check_output(json.loads((clip.parent / "result.json").read_text()))
        assert "event: end" in done.stdout


def test_there_are_examples() -> None:
    assert [language for language, _ in EXAMPLES] == ["sh", "sh", "python"]


def test_the_table_of_refusals_is_the_code_s() -> None:
    table = re.search(r"<!-- refusals -->\n.*?\n\n", DOCS, re.DOTALL)
    assert table is not None
    assert re.findall(r"^\| `(\w+)` \| (\d+) \| (.*) \|$", table.group(0), re.MULTILINE) == [
        (code, str(status), text) for code, (status, text) in CODES.items()
    ]
