"""Groups of annotated attributes: against independent computations, coverage in simulation, reading and matching of files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, check_page, face_image, save
from scipy import stats
from sklearn.metrics import roc_auc_score

import fpg.cli.evaluate as evaluate
from fpg.common.errors import InputError
from fpg.data.prepare import prepare
from fpg.evaluate.attributes import MOST_VALUES, attach, read_attributes
from fpg.evaluate.fairness import SMALL, UNKNOWN, by_attribute, rate_difference, wilson
from fpg.evaluate.protocol import Result
from fpg.evaluate.summary import summarise
from fpg.runtime.judgement import Judgement


def result(label: int, score: float | None, video: str = "v", dataset: str = "set", **attributes: str) -> Result:
    return Result(dataset, "", video, label, Judgement(f"/data/{video}.mp4", score, None, 0.5), attributes=attributes)


def draw(rng: np.random.Generator, number: int, shift: float, **attributes: str) -> list[Result]:
    labels = np.arange(number) % 2
    scores = 1 / (1 + np.exp(-(rng.normal(size=number) + shift * (2 * labels - 1))))
    return [result(int(y), float(s), **attributes) for y, s in zip(labels, scores, strict=True)]


def test_numbers_are_those_of_an_independent_computation(rng: np.random.Generator) -> None:
    results = draw(rng, 160, 1.0, sex="f") + draw(rng, 90, 0.5, sex="m") + draw(rng, 14, 0.4, sex="x") + draw(rng, 10, 1.0)
    results.append(result(1, None, sex="f"))
    threshold = 0.55
    (found,) = by_attribute(results, threshold, 300, 0)
    groups = {g["value"]: g for g in found["groups"]}
    assert list(groups) == ["f", "m", "x", UNKNOWN]
    assert {value: g["small"] for value, g in groups.items()} == {"f": False, "m": False, "x": True, UNKNOWN: True}
    assert groups["f"]["without_score"] == 1
    for value, g in groups.items():
        own = [r for r in results if r.attributes.get("sex", UNKNOWN) == value and r.score is not None]
        y, s = np.array([r.label for r in own]), np.array([r.score for r in own])
        assert g["auc"] == pytest.approx(roc_auc_score(y, s))
        for key, label in (("fpr", 0), ("tpr", 1)):
            called = s[y == label] >= threshold
            assert g[key] == pytest.approx(called.mean())
            expected = stats.binomtest(int(called.sum()), len(called)).proportion_ci(0.95, "wilson")
            assert g["intervals"][key] == pytest.approx([expected.low, expected.high])
    known = [groups[value] for value in "fmx"]
    for key in ("auc", "fpr", "tpr"):
        gap = found["gaps"][key]
        assert gap["value"] == pytest.approx(max(g[key] for g in known) - min(g[key] for g in known))
        assert gap["interval"][0] <= gap["value"] <= gap["interval"][1]
        assert gap["pairs"] == 3
    assert found["equalised_odds"] == max(found["gaps"]["fpr"]["value"], found["gaps"]["tpr"]["value"])


def test_newcombe_agrees_with_his_example() -> None:
    """56 of 70 against 48 of 80 (Newcombe 1998, table II, example a): 0.0524 to 0.3339."""
    assert rate_difference((56, 70), (48, 80), 1.959964) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert wilson(0, 0, 1.96) == (0.0, 1.0)


def test_intervals_of_gaps_cover_though_the_largest_is_looked_for(rng: np.random.Generator) -> None:
    """Four groups that are alike: the true gap of any pair is 0, and the largest one's interval holds it in at least 92 % of 250 rounds."""
    covered = {"auc": 0, "fpr": 0, "tpr": 0}
    rounds = 250
    for _ in range(rounds):
        results = [r for value in "abcd" for r in draw(rng, 100, 0.7, group=value)]
        (found,) = by_attribute(results, 0.5, 100, int(rng.integers(1 << 30)))
        for key in covered:
            covered[key] += found["gaps"][key]["interval"][0] <= 0
    assert {key: count / rounds >= 0.92 for key, count in covered.items()} == {"auc": True, "fpr": True, "tpr": True}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_is_matched_by_the_ends_of_paths(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "Video,label,Sex,age\na/v1.mp4,0,f,old\nb/v1.mp4,1,m,\nv3,,m,young\n")
    results = [Result("set", "", name, 0, Judgement(f"/x/{name}.mp4", 0.5, None, 0.5)) for name in ("a/v1", "b/v1", "c/v3", "d/v4")]
    known, notes = attach(results, read_attributes(file))
    assert [r.attributes for r in known] == [{"sex": "f", "age": "old"}, {"sex": "m"}, {"sex": "m", "age": "young"}, {}]
    assert "names 3 of 4 videos; the first that it does not: set/d/v4" in notes[0]
    with pytest.raises(InputError, match=r"set/v1: fits a/v1 and b/v1"):
        attach([Result("set", "", "v1", 0, Judgement("/v1.mp4", 0.5, None, 0.5))], read_attributes(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "heading: expected video or path"),
        ("sex,age\nf,3\n", "heading: expected video or path"),
        ("video,sex,sex\nv,f,m\n", "each once"),
        ("video,sex\nv\n", "line 2: expected 2 cells, got 1"),
        ("video,sex\n,f\n", "line 2: names no video"),
        ("video,sex\nv,f\nw,m\nv.mp4,m\n", "line 4: v.mp4 comes twice"),
        ('video,sex\n"v,f\n', "is not CSV"),
    ],
)
def test_bad_files_are_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_attributes(write(tmp_path / "a.csv", text))


def test_a_column_of_many_values_is_said_to_be_no_group(tmp_path: Path) -> None:
    rows = "".join(f"v{i},person{i},{'fm'[i % 2]}\n" for i in range(MOST_VALUES + 1))
    found = read_attributes(write(tmp_path / "a.csv", "video,name,sex\n" + rows))
    assert found.names == ("sex",)
    assert "column name: 21 different values" in found.notes[0]


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list of pictures with a column `camera`."""
    monkeypatch.setattr(evaluate, "load_engine", lambda path, **options: BrightnessEngine())
    monkeypatch.setattr(evaluate, "default_analyzer", GreenAnalyzer)
    lines = ["path,label,split,camera"]
    for i, red in enumerate([20, 60, 140, 30]):
        for label, change in (("real", 0), ("fake", 100)):
            save(tmp_path / "d" / label / f"{i}.png", face_image(red + change))
            lines.append(f"{label}/{i}.png,{label},test,{'phone' if i % 2 else 'studio'}")
    return write(tmp_path / "d" / "list.csv", "\n".join(lines) + "\n")


def test_extra_columns_of_a_list_are_groups_in_every_output(listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = write(
        tmp_path / "more.csv", "path,sex\n" + "".join(f"{label}/{i}.png,{'fm'[i % 2]}\n" for i in range(4) for label in ("real", "fake"))
    )
    out = tmp_path / "out"
    assert evaluate.main(["m.xml", "--data", str(listed), "--out", str(out), "--attributes", str(extra), "--resamples", "100"]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert [(a["attribute"], [g["value"] for g in a["groups"]]) for a in metrics["by_attribute"]] == [
        ("camera", ["phone", "studio"]),
        ("sex", ["f", "m"]),
    ]
    assert metrics["per_video"][0]["attributes"] == {"camera": "studio", "sex": "f"}
    assert all(g["small"] for a in metrics["by_attribute"] for g in a["groups"])
    for text in (check_page(out / "report.html").text, (out / "report.md").read_text(), capsys.readouterr().out):
        assert "By camera" in text
        assert "phone" in text
        assert "(small)" in text
        assert "equal opportunity" in text
    assert SMALL == 30


def test_prepared_folders_keep_the_columns(listed: Path, tmp_path: Path) -> None:
    manifest = prepare(listed, tmp_path / "prepared", workers=0, analyzer=GreenAnalyzer, quiet=True)
    assert {video.attributes["camera"] for video in manifest.videos} == {"phone", "studio"}


def test_without_attributes_there_is_no_group() -> None:
    results = [result(0, 0.1), result(1, 0.9)]
    assert summarise(results, [], 0.5, 32, resamples=100)["by_attribute"] == []
