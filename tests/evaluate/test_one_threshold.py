"""One threshold over several data sets, against independent computations and in a case that single AUCs cannot see."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import wasserstein_distance
from sklearn.metrics import roc_auc_score

from fpg.evaluate.one_threshold import LEFT_OUT_FPR, one_threshold
from fpg.evaluate.protocol import Result
from fpg.evaluate.tables import tables
from fpg.runtime.judgement import FaceScore, FrameScore, Judgement


def draw(rng: np.random.Generator, dataset: str, number: int, offset: float, gap: float = 3.0) -> list[Result]:
    """Videos of three frames; all scores of the set are moved by `offset` (logits)."""
    found = []
    for i in range(number):
        label = i % 2
        logits = rng.normal() + 0.3 * rng.normal(size=3) + gap * (label - 0.5) + offset
        frames = tuple(FrameScore(k, 0.0, (FaceScore((0.0, 0.0, 9.0, 9.0), float(p)),)) for k, p in enumerate(1 / (1 + np.exp(-logits))))
        score = float(np.mean([frame.score for frame in frames]))
        found.append(Result(dataset, "", f"v{i}", label, Judgement(f"{dataset}/{i}", score, None, 0.5, frames)))
    return found


def test_numbers_are_those_of_an_independent_computation(rng: np.random.Generator) -> None:
    sets = {name: draw(rng, name, number, offset) for name, number, offset in (("a", 90, 0.0), ("b", 60, 1.5), ("c", 40, -1.0))}
    results = [r for own in sets.values() for r in own] + draw(rng, "real only", 8, 0.0)[::2]
    found = one_threshold(results, 0.6, 200, 0)
    assert found is not None
    assert [s["dataset"] for s in found["sets"]] == ["a", "b", "c"]
    y = {name: np.array([r.label for r in own]) for name, own in sets.items()}
    s = {name: np.array([r.score for r in own]) for name, own in sets.items()}
    whole = (np.concatenate(list(y.values())), np.concatenate(list(s.values())))
    assert found["pooled_auc"] == pytest.approx(roc_auc_score(*whole))
    cross = [
        roc_auc_score(np.r_[np.ones((y[i] == 1).sum()), np.zeros((y[j] == 0).sum())], np.r_[s[i][y[i] == 1], s[j][y[j] == 0]])
        for i, j in itertools.permutations(sets, 2)
    ]
    assert found["cross_auc"] == pytest.approx(np.mean(cross))
    assert found["polarisation"] == pytest.approx(wasserstein_distance(whole[1][whole[0] == 1], whole[1][whole[0] == 0]))
    for entry in found["sets"]:
        name = entry["dataset"]
        assert entry["auc"] == pytest.approx(roc_auc_score(y[name], s[name]))
        assert entry["fpr"] == pytest.approx((s[name][y[name] == 0] >= 0.6).mean())
        assert entry["tpr"] == pytest.approx((s[name][y[name] == 1] >= 0.6).mean())
    assert found["worst"]["auc_value"] == min(entry["auc"] for entry in found["sets"])
    assert found["worst"]["fpr"] == "b"
    for name in ("pooled_auc", "cross_auc"):
        low, high = found[f"{name}_interval"]
        assert low < found[name] < high


def test_a_drift_of_all_scores_shows_in_the_pooled_and_cross_set_auc_alone(rng: np.random.Generator) -> None:
    still, moved = (one_threshold(draw(rng, "a", 200, 0.0, 4.0) + draw(rng, "b", 200, offset, 4.0), 0.5, 100, 0) for offset in (0.0, 3.0))
    assert still is not None
    assert moved is not None
    assert moved["mean_auc"] == pytest.approx(still["mean_auc"], abs=0.03)
    assert moved["pooled_auc"] < still["pooled_auc"] - 0.05
    assert moved["cross_auc"] < still["cross_auc"] - 0.05


def test_a_set_left_out_is_judged_by_what_the_others_say(rng: np.random.Generator) -> None:
    results = draw(rng, "a", 160, 0.0) + draw(rng, "b", 160, 2.5)
    found = one_threshold(results, 0.5, 100, 0)
    assert found is not None
    a, b = found["left_out"]
    assert (a["dataset"], b["dataset"]) == ("a", "b")
    assert b["fpr"] > 4 * LEFT_OUT_FPR  # a's threshold is far too low for b
    assert a["fpr"] < LEFT_OUT_FPR
    assert a["threshold"] > b["threshold"]
    only_a = one_threshold(results[:160] + draw(rng, "c", 40, 0.0), 0.5, 100, 0)
    assert only_a is not None
    assert only_a["left_out"][1]["threshold"] == pytest.approx(b["threshold"])  # what is left out has no part in it


def test_scores_that_no_temperature_fits_are_said(rng: np.random.Generator) -> None:
    perfect = [
        Result("p", "", str(i), i % 2, Judgement("p", float(i % 2), None, 0.5, (FrameScore(0, 0.0, (FaceScore((0, 0, 1, 1), i % 2),)),)))
        for i in range(8)
    ]
    found = one_threshold(perfect + draw(rng, "a", 40, 0.0), 0.5, 100, 0)
    assert found is not None
    assert "separate real from fake perfectly" in found["left_out"][0]["reason"]


def test_one_set_alone_has_none(rng: np.random.Generator) -> None:
    assert one_threshold(draw(rng, "a", 20, 0.0), 0.5, 100, 0) is None


def test_tables_have_every_set_and_as_many_cells_as_heads(rng: np.random.Generator) -> None:
    found = tables({"one_threshold": one_threshold(draw(rng, "a", 40, 0.0) + draw(rng, "b", 40, 1.0), 0.5, 100, 0)})
    assert len(found) == 2
    for table in found:
        assert [row[0] for row in table.rows] == ["a", "b"]
        assert all(len(row) == len(table.head) for row in table.rows)
