"""fpg-compare: from evaluations on disk to table, verdicts, page and JSON; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judging import check_page

from fpg.cli.compare import main
from fpg.evaluate.compare import compare_runs
from fpg.evaluate.metrics import compute
from fpg.evaluate.runs import read_runs


def videos(scores: np.ndarray, labels: np.ndarray, dataset: str = "celeb", **changes: Any) -> list[dict[str, Any]]:
    """Entries of `per_video`; NaN is a failed video."""
    return [
        {
            "dataset": dataset,
            "method": "" if not y else ("swap" if i % 2 else "reenact"),
            "video": f"v{i:03d}",
            "source": f"{dataset}/v{i:03d}.mp4",
            "label": int(y),
            "status": "failed" if np.isnan(s) else "scored",
            "score": None if np.isnan(s) else float(s),
            "error": "moov atom not found" if np.isnan(s) else None,
            "frames": 32,
        }
        | changes
        for i, (s, y) in enumerate(zip(scores, labels, strict=True))
    ]


def metrics(per_video: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    provenance = {"method": "FPG (ACM MM 2024)", "seed": 0, "counts": {"pairs": 70}, "data": {"fingerprint": "a" * 64}, "device": "cpu"}
    model = {"file": "model.safetensors", "sha256": "1", "backend": "torch", "backbone": "b0", "image_size": 64, "provenance": provenance}
    return {"per_video": per_video, "protocol": {"crop": "c", "aggregation": "a"}, "model": model} | changes


def save_run(path: Path, value: Any, rates: tuple[float, ...] = (20.0, 10.0)) -> Path:
    """A run's folder: 40 pairs in each of two epochs, at the given images per second."""
    (path / "eval").mkdir(parents=True)
    (path / "eval" / "metrics.json").write_text(json.dumps(value))
    lines = [{"kind": "epoch", "epoch": i, "step": 5, "pairs": 40 * (i + 1), "images_per_s": rate} for i, rate in enumerate(rates)]
    (path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"kind": "epo')
    return path


@pytest.fixture
def labels() -> np.ndarray:
    return np.arange(120) % 2


@pytest.fixture
def scores(labels: np.ndarray) -> Callable[[float], np.ndarray]:
    """Scores of detectors that agree on what is hard, and separate the classes by a shift."""
    rng = np.random.default_rng(11)
    hard = rng.normal(size=len(labels))

    def make(shift: float) -> np.ndarray:
        return np.asarray(1 / (1 + np.exp(-(hard + 0.3 * rng.normal(size=len(labels)) + shift * labels))))

    return make


@pytest.fixture
def two(tmp_path: Path, labels: np.ndarray, scores: Callable[[float], np.ndarray]) -> list[str]:
    """A weak run and a strong one."""
    weak = save_run(tmp_path / "weak", metrics(videos(scores(0.8), labels)))
    return [str(weak), str(save_run(tmp_path / "strong", metrics(videos(scores(2.5), labels))))]


def test_a_run_against_itself_has_no_difference(two: list[str]) -> None:
    result = compare_runs(read_runs([f"a={two[0]}", f"b={two[0]}"]), resamples=200)
    (row,) = result.groups[0].rows[1:]
    assert row.difference == 0.0
    assert row.difference_interval == (0.0, 0.0)
    assert row.words == "no difference that these 120 videos can show"


def test_a_known_shift_is_found_in_both_directions(two: list[str]) -> None:
    result = compare_runs(read_runs(two), resamples=500)
    base, row = result.groups[0].rows
    assert (base.verdict, base.difference) == ("baseline", None)
    assert row.verdict == "better"
    assert row.difference_interval is not None
    assert row.difference_interval[0] < row.difference < row.difference_interval[1]
    turned = compare_runs(read_runs(two), baseline="strong", resamples=500).groups[0].rows[0]
    assert turned.verdict == "worse"
    assert turned.difference == -row.difference


def test_numbers_are_those_of_fpg_eval_and_repeat(two: list[str], labels: np.ndarray) -> None:
    runs = read_runs(two)
    first, again = (compare_runs(runs, resamples=300, seed=5) for _ in range(2))
    assert first.to_json() == again.to_json()
    assert compare_runs(runs, resamples=300, seed=6).to_json() != first.to_json()
    own = np.array([runs[1].videos[key].score for key in sorted(runs[1].videos)])
    expected = compute([runs[1].videos[key].label for key in sorted(runs[1].videos)], own)
    row = first.groups[0].rows[1]
    assert (row.auc, row.ap, row.eer) == (expected.auc, expected.ap, expected.eer)


def test_cost_is_read_from_the_log(two: list[str]) -> None:
    cost = read_runs(two)[0].cost
    assert cost.images == 160
    assert cost.seconds == pytest.approx(80 / 20 + 80 / 10)
    file = read_runs([f"{two[0]}/eval/metrics.json"])[0]
    assert (file.name, file.cost) == ("weak", cost)
    Path(two[0], "log.jsonl").unlink()
    cost = read_runs(two)[0].cost
    assert (cost.images, cost.seconds) == (140, None)


def test_videos_without_a_score_from_every_run_are_named_and_counted(
    tmp_path: Path, labels: np.ndarray, scores: Callable[[float], np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = scores(1.0), scores(1.0)
    b[[3, 8]] = np.nan
    save_run(tmp_path / "a", metrics(videos(a, labels)[:-1]))
    save_run(tmp_path / "b", metrics(videos(b, labels)))
    out, page = tmp_path / "c.json", tmp_path / "c.html"
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--json", str(out), "--out", str(page), "--resamples", "100"]) == 0
    group = json.loads(out.read_text())["groups"][0]
    assert group["videos"] == 117
    assert {v["video"]: v["scored_by"] for v in group["left_out"]} == {
        "celeb/swap/v003": ["a"],
        "celeb/v008": ["a"],
        "celeb/swap/v119": ["b"],
    }
    assert [(r["failed"], r["no_face"]) for r in group["rows"]] == [(0, 0), (2, 0)]
    keep = [i for i in range(119) if i not in (3, 8)]
    assert group["rows"][0]["auc"] == pytest.approx(compute(labels[keep], a[keep]).auc)
    printed = capsys.readouterr().out
    assert "3 videos left out" in printed
    text = check_page(page).text
    assert "celeb/swap/v003" in text
    assert "moov atom not found" in text
    assert "not evaluated" in text


def test_page_json_and_table(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, page = tmp_path / "o" / "c.json", tmp_path / "o" / "c.html"
    assert main([*two, "--out", str(page), "--json", str(out), "--resamples", "200"]) == 0
    found = check_page(page)
    assert found.tags.count("svg") == 2
    assert "better than weak" in found.text
    assert "fpg-compare" in found.text
    value = json.loads(out.read_text())
    assert [run["cost"]["images"] for run in value["runs"]] == [160, 160]
    assert value["runs"][0]["method"] == "FPG (ACM MM 2024)"
    printed = capsys.readouterr().out
    for text in ("strong", "celeb", "better", "12.0 s", "160"):
        assert text in printed


def test_by_manipulation_takes_each_with_the_real_videos(two: list[str], labels: np.ndarray) -> None:
    groups = compare_runs(read_runs(two), resamples=100, by="manipulation").groups
    assert [(g.name, g.real, g.fake) for g in groups] == [("celeb/swap", 60, 60)]
    file = Path(two[1], "eval", "metrics.json")
    value = json.loads(file.read_text())
    for entry in value["per_video"][1::4]:
        entry["method"] = "reenact"
    for path in (file, Path(two[0], "eval", "metrics.json")):
        other = json.loads(path.read_text())
        for entry, changed in zip(other["per_video"], value["per_video"], strict=True):
            entry["method"] = changed["method"]
        path.write_text(json.dumps(other))
    groups = compare_runs(read_runs(two), resamples=100, by="manipulation").groups
    assert [(g.name, g.real, g.fake) for g in groups] == [("celeb/reenact", 60, 30), ("celeb/swap", 60, 30)]


def test_several_data_sets_have_a_mean(tmp_path: Path, labels: np.ndarray, scores: Callable[[float], np.ndarray]) -> None:
    for name, shift in (("a", 0.5), ("b", 2.5)):
        save_run(tmp_path / name, metrics(videos(scores(shift), labels)))
        other = metrics(videos(scores(shift), labels, "dfdc"))
        (tmp_path / name / "eval_dfdc.json").write_text(json.dumps(other))
    result = compare_runs(read_runs([str(tmp_path / "a"), str(tmp_path / "b")]), resamples=300)
    assert [g.name for g in result.groups] == ["celeb", "dfdc"]
    assert result.mean is not None
    differences = [g.rows[1].difference for g in result.groups]
    assert result.mean[1].difference == pytest.approx(np.mean(differences))
    widths = [np.ptp(g.rows[1].difference_interval) for g in result.groups]
    assert np.ptp(result.mean[1].difference_interval) < max(widths)
    assert result.mean[1].verdict == "better"


def test_few_videos_never_make_a_verdict(tmp_path: Path) -> None:
    labels = np.repeat([0, 1], 8)
    save_run(tmp_path / "a", metrics(videos(1.0 - labels, labels)))
    save_run(tmp_path / "b", metrics(videos(labels * 1.0, labels)))
    result = compare_runs(read_runs([str(tmp_path / "a"), str(tmp_path / "b")]), resamples=100)
    row = result.groups[0].rows[1]
    assert row.difference == 1.0
    assert row.words == "no difference that these 16 videos can show (too few: 8 real, 8 fake)"
    assert any("fewer than 10" in note for note in result.notes)


def test_one_class_is_undefined_and_still_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.zeros(5, int)
    for name in "ab":
        save_run(tmp_path / name, metrics(videos(np.linspace(0, 1, 5), labels)))
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c.html")]) == 0
    assert "undefined" in capsys.readouterr().out
    assert "undefined" in check_page(tmp_path / "c.html").text


def test_unequal_terms_are_said(tmp_path: Path, labels: np.ndarray, scores: Callable[[float], np.ndarray]) -> None:
    other = metrics(videos(scores(1.0), labels, frames=16))
    other["model"]["provenance"] = {"data": {"fingerprint": "b" * 64}, "seed": 1}
    other["model"]["image_size"] = 380
    save_run(tmp_path / "a", metrics(videos(scores(1.0), labels)))
    save_run(tmp_path / "b", other, rates=(20.0, 10.0, 10.0))
    result = compare_runs(read_runs([str(tmp_path / "a"), str(tmp_path / "b")]), resamples=100)
    notes = " ".join(result.notes + result.groups[0].notes)
    for text in ("same number of images: a 160, b 240", "fingerprint", "network", "seed", "120 videos were judged on different numbers"):
        assert text in notes


def test_an_evaluation_of_other_weights_is_said(two: list[str]) -> None:
    spec = Path(two[0], "model.spec.json")
    spec.write_text(json.dumps({"files": {"model.safetensors": "1"}}))
    assert read_runs(two)[0].notes == []
    spec.write_text(json.dumps({"files": {"model.safetensors": "2"}}))
    assert "other SHA-256" in read_runs(two)[0].notes[0]


def test_names_tell_runs_apart(two: list[str], tmp_path: Path) -> None:
    other = save_run(tmp_path / "old" / "weak", metrics(videos(np.linspace(0, 1, 4), np.arange(4) % 2)))
    names = [run.name for run in read_runs([two[0], str(other), f"mine={two[1]}"])]
    assert names == [f"{tmp_path.name}/weak", "old/weak", "mine"]


def fails(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int = 1) -> str:
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_run_without_evaluation_gets_the_command(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "fresh run"
    run.mkdir()
    assert "holds neither a run" in fails(capsys, [two[0], str(run)])
    (run / "config.yaml").write_text("seed: 0\n")
    assert "fpg-train --resume --out" in fails(capsys, [two[0], str(run)])
    (run / "model.safetensors").write_bytes(b"")
    assert f"fpg-eval '{run}/model.safetensors' --data DIR --json '{run}/eval/metrics.json'" in fails(capsys, [two[0], str(run)])
    assert "no such run" in fails(capsys, [two[0], str(tmp_path / "gone")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not JSON"),
        ('{"per_video": [', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "no list per_video"),
        ('{"auc": 1}', "no list per_video"),
        ('{"per_video": [3]}', r"per_video[0]: expected an object, got 3"),
    ],
)
def test_files_that_are_no_evaluation(text: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.json"
    file.write_text(text)
    assert expected in fails(capsys, [str(file)])
    file.write_bytes(b"\xff\xfe")
    assert "cannot be read" in fails(capsys, [str(file)])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"score": 1.5}, "score: expected a number in [0, 1], got 1.5"),
        ({"score": float("nan")}, "score: expected a number in [0, 1], got nan"),
        ({"score": True}, "score: expected a number"),
        ({"score": None}, "score: expected a number"),
        ({"status": "failed"}, "score: expected null"),
        ({"status": "lost"}, "status: expected scored or no_face or failed"),
        ({"label": 2}, "label: expected 0 or 1, got 2"),
        ({"label": True}, "label: expected 0 or 1, got True"),
        ({"video": None}, "video: expected a text"),
    ],
)
def test_bad_entries_are_named(change: dict[str, Any], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps(metrics(videos(np.array([0.1]), np.array([0]), **change))))
    error = fails(capsys, [str(file)])
    assert expected in error
    assert "per_video[0]" in error


def test_other_data_is_refused(two: list[str], tmp_path: Path, labels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    other = save_run(tmp_path / "other", metrics(videos(labels * 0.5, labels, "dfdc")))
    error = fails(capsys, [*two, str(other)])
    assert "shares no scored video with weak" in error
    assert "evaluated on dfdc" in error
    per_video = videos(labels * 0.5, labels)
    per_video[0]["label"] = 1
    swapped = save_run(tmp_path / "swapped", metrics(per_video))
    assert "v000 is fake here and real in" in fails(capsys, [*two, str(swapped)])
    nothing = save_run(tmp_path / "nothing", metrics(videos(np.full(120, np.nan), labels)))
    assert "none of its videos has a score" in fails(capsys, [*two, str(nothing)])


def test_a_video_judged_twice_is_refused(two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    first = Path(two[0], "eval", "metrics.json")
    (first.parent / "metrics_again.json").write_text(first.read_text())
    assert len(read_runs(two)[0].videos) == 120  # the same scores do no harm
    value = json.loads(first.read_text())
    value["per_video"][5]["score"] = 0.123
    (first.parent / "metrics_again.json").write_text(json.dumps(value))
    assert "v005 is judged twice" in fails(capsys, two)
    value["model"]["sha256"] = "9"
    (first.parent / "metrics_again.json").write_text(json.dumps(value))
    assert "judges another model" in fails(capsys, two)
    value["per_video"].append(value["per_video"][0])
    first.write_text(json.dumps(value))
    (first.parent / "metrics_again.json").unlink()
    assert "v000 is judged twice" in fails(capsys, two)


def test_wrong_usage(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--baseline: expected one of weak, strong, got best" in fails(capsys, [*two, "--baseline", "best"], 2)
    assert "two runs are called 'weak'" in fails(capsys, [two[0], f"weak={two[1]}"], 2)
    assert "two outputs name the same file" in fails(capsys, [*two, "--out", "x", "--json", "x"], 2)
    for arguments in ([], [*two, "--resamples", "3"], [*two, "--resamples", "many"], [*two, "--seed", "-1"], [*two, "--by", "x"]):
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 2
    assert main([*two, "--out", "/proc/none/c.html", "--resamples", "100"]) == 1
    assert "better" in capsys.readouterr().out  # the numbers are shown all the same


def test_names_with_markup_and_formulas(two: list[str], tmp_path: Path) -> None:
    page = tmp_path / "c.html"
    assert main([two[0], f"[bold]$x<script>alert(1)</script>={two[1]}", "--out", str(page), "--resamples", "100"]) == 0
    assert "<script>alert(1)</script>" in check_page(page).text
