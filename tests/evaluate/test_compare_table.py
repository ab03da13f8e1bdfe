"""The table of fpg-compare by method: found wherever evaluations lie, seeds in one line, 80 columns, LaTeX, CSV, Markdown, data sheets."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fpg.cli.compare import main
from fpg.common.errors import UsageError
from fpg.evaluate.compare import compare_runs
from fpg.evaluate.metrics import compute
from fpg.evaluate.runs import read_runs

LABELS = np.arange(100) % 2
METHODS = {"sbi_100%": 1.0, "fpg": 2.2}


def evaluation(scores: np.ndarray, dataset: str, method: str, seed: int) -> dict[str, Any]:
    per_video = [
        {"dataset": dataset, "method": "swap" if y else "", "video": f"v{i}", "label": int(y), "status": "scored", "score": float(s)}
        | {"error": None, "frames": 32, "compression": "c23"}
        for i, (s, y) in enumerate(zip(scores, LABELS, strict=True))
    ]
    provenance = {"method": method, "seed": seed, "data": {"fingerprint": "f", "train_faces": 9, "train_videos": 3}, "device": "cpu"}
    model = {"file": "model.safetensors", "sha256": f"{method}{seed}", "backend": "torch", "backbone": "b4", "image_size": 380}
    protocol = {"crop": "evaluation crop", "aggregation": "max over faces, mean over frames", "text": "per video; 100 videos"}
    whole = compute(LABELS, scores).to_json()
    return {"per_video": per_video, "protocol": protocol, "model": model | {"provenance": provenance}, **whole, "command": "fpg-eval x"}


@pytest.fixture
def runs(tmp_path: Path, rng: np.random.Generator) -> dict[str, list[Path]]:
    """Two methods, three seeds each, evaluated on two sets in folders of their own."""
    hard = rng.normal(size=(2, 100))
    found: dict[str, list[Path]] = {name: [] for name in METHODS}
    for name, shift in METHODS.items():
        for seed in range(3):
            folder = tmp_path / "runs" / f"{name}-{seed}"
            for index, dataset in enumerate(("celeb", "dfdc")):
                logits = hard[index] + 0.4 * rng.normal(size=100) + (shift + 0.1 * rng.normal()) * LABELS
                path = folder / "eval" / dataset / "metrics.json"
                path.parent.mkdir(parents=True)
                path.write_text(json.dumps(evaluation(1 / (1 + np.exp(-logits)), dataset, name, seed)))
            (folder / "log.jsonl").write_text('{"kind": "epoch", "epoch": 0, "step": 5, "pairs": 40, "images_per_s": 10.0}\n')
            (folder / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "out": str(folder), "epochs": 1}))
            found[name].append(folder)
    return found


def every(runs: dict[str, list[Path]]) -> list[str]:
    return [str(path) for paths in runs.values() for path in paths]


def test_seeds_stand_in_one_line_with_mean_and_deviation(runs: dict[str, list[Path]]) -> None:
    result = compare_runs(read_runs(every(runs)), resamples=200)
    assert [(f.name, f.seeds) for f in result.families] == [("sbi_100%", (0, 1, 2)), ("fpg", (0, 1, 2))]
    for group in result.groups:
        for row, name in zip(group.methods, METHODS, strict=True):
            files = [json.loads((path / "eval" / group.name / "metrics.json").read_text()) for path in runs[name]]
            aucs = [file["auc"] for file in files]
            assert row.auc == pytest.approx(np.mean(aucs))
            assert row.auc_std == pytest.approx(np.std(aucs, ddof=1))
        assert group.methods[1].verdict == "better"
        assert group.methods[1].p_seeds < 0.05
    assert result.methods_mean is not None
    assert result.methods_mean[1].difference == pytest.approx(np.mean([g.methods[1].difference for g in result.groups]))
    assert not any("differ in seed" in note for note in result.notes)


def test_the_first_seed_may_have_the_name_of_the_method(runs: dict[str, list[Path]]) -> None:
    first = runs["fpg"][0].rename(runs["fpg"][0].with_name("fpg"))
    result = compare_runs(read_runs([str(first), *map(str, runs["fpg"][1:])]), resamples=100)
    assert [(f.name, f.seeds) for f in result.families] == [("fpg", (0, 1, 2))]


def test_runs_that_differ_in_more_than_their_seed_are_no_seeds(runs: dict[str, list[Path]]) -> None:
    (runs["fpg"][1] / "config.yaml").write_text(yaml.safe_dump({"seed": 1, "epochs": 2}))
    names = [family.name for family in compare_runs(read_runs(every(runs)), resamples=100).families]
    assert len(names) == 3
    named = [f"a={path}" for path in runs["fpg"]]
    assert [f.name for f in compare_runs(read_runs(named), resamples=100).families] == ["a"]
    with pytest.raises(UsageError, match="two runs are called 'a'"):
        read_runs([named[0], named[0]])


def test_the_terminal_keeps_to_80_columns(runs: dict[str, list[Path]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*every(runs), "--resamples", "100", "--baseline", "sbi_100%"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    text = " ".join(printed.split())
    for words in ("celeb: video level; 50 real, 50 fake", "32 frames each", "compression c23", "max over faces", "fpg (3 seeds)", "better"):
        assert words in text


def braces(text: str) -> int:
    plain = re.sub(r"\\[{}\\]", "", text)
    return plain.count("{") - plain.count("}")


def test_files(runs: dict[str, list[Path]], tmp_path: Path) -> None:
    names: dict[str, Path] = {kind: tmp_path / "o" / f"table.{kind}" for kind in ("latex", "markdown", "csv", "json", "out")}
    arguments = [word for kind, path in names.items() for word in (f"--{kind}", str(path))]
    assert main([*every(runs), *arguments, "--sheets", str(tmp_path / "sheets"), "--resamples", "100"]) == 0
    tex = names["latex"].read_text()
    body = [line for line in tex.splitlines() if line.endswith("\\\\")]
    assert [line.count(" & ") for line in body] == [4, 4, 4]
    assert "sbi\\_100\\%" in body[1]
    assert body[2].count("\\textbf{") == 3
    assert body[2].count("\\ast") == 3
    assert braces(tex) == 0
    assert "32 frames each" in tex
    rows = list(csv.DictReader(names["csv"].read_text().splitlines()))
    groups = {g["name"]: g for g in json.loads(names["json"].read_text())["groups"]}
    assert [(row["data"], row["method"]) for row in rows[:4]] == [(d, m) for d in ("celeb", "dfdc") for m in METHODS]
    for row in rows[:4]:
        expected = next(m for m in groups[row["data"]]["methods"] if m["method"] == row["method"])
        assert float(row["auc"]) == expected["auc"]
        assert row["protocol"] == groups[row["data"]]["protocol"]
        assert row["seeds"] == "0;1;2"
    markdown = names["markdown"].read_text()
    assert markdown.count("\n| ") == 3
    assert "celeb: video level" in markdown
    sheets = sorted((tmp_path / "sheets").iterdir())
    assert len(sheets) == 6
    assert all("Protocol: per video; 100 videos" in path.read_text() for path in sheets)
    assert "| seed | 2 |" in (tmp_path / "sheets" / "fpg-2.md").read_text()


def test_evaluations_are_found_wherever_they_lie(runs: dict[str, list[Path]], tmp_path: Path) -> None:
    one = runs["fpg"][0]
    (one / "tensorboard").mkdir()
    (one / "tensorboard" / "metrics.json").write_text("{}")
    (one / "eval" / "celeb").rename(one / "evaluation")
    (run,) = read_runs([str(one)])
    assert sorted(str(file.relative_to(one)) for file in run.files) == ["eval/dfdc/metrics.json", "evaluation/metrics.json"]
    (alone,) = read_runs([str(one / "evaluation")])  # what --out wrote, named itself
    assert alone.datasets == ["celeb"]


def test_a_single_run_per_method_needs_no_seeds(runs: dict[str, list[Path]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(runs["sbi_100%"][0]), str(runs["fpg"][0]), "--resamples", "100"]) == 0
    printed = capsys.readouterr().out
    assert "±" not in printed
    assert "train with several seeds" in " ".join(printed.split())
