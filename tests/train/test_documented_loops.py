"""The loops of the documentation, word for word, on miniatures: train, evaluate, compare, one table.

bash runs the text of the page; `fpg-train`, `fpg-eval` and `fpg-compare` are functions there that ask this process, which has torch
loaded already.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fpg.cli import compare, evaluate, train
from fpg.data.manifest import FAKE, FaceRow
from fpg.evaluate.runs import read_runs

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/training.md", "docs/evaluation.md", "docs/robustness.md")
LOOPS = [
    block
    for page in PAGES
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    if "for " in block and "fpg-compare" in block
]
MINIATURE = {
    "epochs": 1,
    "batch": 8,
    "workers": 0,
    "threads": 1,
    "device": "cpu",
    "pictures": 0,
    "tracker": "none",
    "model": {"backbone": "test_efficientnet", "image_size": 64, "pretrained": False, "quality_width": 16, "attention_width": 8},
}
ASKING = """
set -eu
ask() { printf '%s\\0' "$@" > "$ASK"; read -r code < "$ANSWER"; return "$code"; }
fpg-train() { ask train "$@"; }
fpg-eval() { ask eval "$@"; }
fpg-compare() { ask compare "$@"; }
trap 'printf "end\\0" > "$ASK"' EXIT
"""
PROGRAMS = {"train": train.main, "eval": evaluate.main, "compare": compare.main}


def run_in_bash(text: str, folder: Path) -> int:
    """Run a page's commands in a folder; the exit code of bash."""
    ask, answer = folder / "ask", folder / "answer"
    for path in (ask, answer):
        os.mkfifo(path)
    names = {**os.environ, "ASK": str(ask), "ANSWER": str(answer)}
    shell = subprocess.Popen(["bash", "-c", ASKING + text], cwd=folder, env=names)
    while (words := ask.read_bytes().decode().split("\0")[:-1]) != ["end"]:
        code = PROGRAMS[words[0]](words[1:])
        answer.write_text(f"{code}\n")
    return shell.wait(timeout=60)


def half_fake(name: str) -> Callable[[list[FaceRow]], list[FaceRow]]:
    """Rows of a test set: every second person fake."""

    def change(rows: list[FaceRow]) -> list[FaceRow]:
        fake = {row.video for row in rows if int(row.video[4:]) % 2}
        return [dataclasses.replace(row, dataset=name, **({"label": FAKE, "method": "swap"} if row.video in fake else {})) for row in rows]

    return change


def test_there_is_a_loop_with_seeds() -> None:
    assert any("--seed" in loop and "--latex" in loop for loop in LOOPS)


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_loops_run_as_they_are_written(loop: str, prepare: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "paper.yaml").write_text(yaml.safe_dump(MINIATURE))
    prepare("data/ff")
    for name in ("celeb", "dfdc"):
        prepare(f"data/{name}", change=half_fake(name), splits={"test": 8})
    monkeypatch.chdir(tmp_path)
    assert run_in_bash(loop, tmp_path) == 0

    table = (tmp_path / "table.tex").read_text()
    assert len(re.findall(r"^    (?:sbi|fpg) & 3 & .*\\pm", table, re.MULTILINE)) == 2
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert {(row["data"], row["method"]) for row in rows} == {
        (data, method) for data in ("celeb", "dfdc", "mean of the data sets") for method in ("sbi", "fpg")
    }
    assert all(row["seeds"] == "0;1;2" for row in rows)
    assert all("4 real, 4 fake" in row["protocol"] for row in rows if row["real"])
    assert len(list((tmp_path / "sheets").iterdir())) == 6


WRITTEN = [
    (page, line)
    for page in PAGES
    for line in re.findall(r"^(fpg-eval .*runs/.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    if re.search(r"--(?:out|json) ", line) and "$" not in line
]


@pytest.mark.parametrize(("page", "line"), WRITTEN)
def test_evaluations_are_found_where_the_documentation_has_them_written(page: str, line: str, tmp_path: Path) -> None:
    model = re.search(r"runs/[\w-]+", line)
    out = re.search(r"--(out|json) (\S+)", line)
    assert model is not None
    assert out is not None
    path = tmp_path / out[2] / ("metrics.json" if out[1] == "out" else "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"per_video": [], "model": {}, "protocol": {}}')
    (run,) = read_runs([str(tmp_path / model[0])])
    assert run.files == (path,)
