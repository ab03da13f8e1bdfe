"""How strong and why: levels by measured bounds, limits with their numbers, fusion, shots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fpg.common.errors import InputError
from fpg.common.spec import EngineSpec, read_spec, sidecar
from fpg.evaluate.reliability import fit_bounds, fusion_weight, isotonic, measure_reliability
from fpg.findings.finding import Model, conclude_finding, judged_track
from fpg.findings.fusion import LARGEST_DIFFERENCE, fused, models_disagree
from fpg.findings.limits import Conditions, condition_limits, near_threshold, sharpness_of, tracks_disagree
from fpg.findings.shots import ALIKE, LEAST, CutFinder, agreement, grid_of, shots
from fpg.findings.strength import WORDS, Reliability, level_of, together, weakened

BOUNDS = {"strong": 0.9, "moderate": 0.7, "little": 0.3, "none": 0.1}
USUAL = {"frames_with_face": 8.0, "face_px": 60.0, "sharpness": 100.0, "yaw": 30.0, "pitch": 20.0, "bits_per_pixel": 0.05}
COUNTS = {name: {"real": 1, "fake": 2} for name in WORDS if name != "not_calibrated"}
RELIABILITY = Reliability(BOUNDS, 50, 60, COUNTS, USUAL)
GOOD = Conditions(20, 100.0, 200.0, 5.0, 5.0, 0.1)


def finding(score: float, reliability: Reliability | None = RELIABILITY, conditions: Conditions = GOOD, threshold: float = 0.6):  # type: ignore[no-untyped-def]
    scores = [score + 0.001 * (i % 3 - 1) for i in range(20)]
    seen = [(i, i / 2, s) for i, s in enumerate(scores)]
    model = Model("m", score, threshold, reliability)
    return conclude_finding(score, threshold, scores, [judged_track(0, seen, threshold, [reliability])], conditions, [model])


@pytest.mark.parametrize(
    ("score", "level"), [(0.95, "strong"), (0.9, "strong"), (0.8, "moderate"), (0.65, "inconclusive"), (0.2, "little"), (0.05, "none")]
)
def test_levels_follow_the_bounds_of_the_card(score: float, level: str) -> None:
    found = finding(score)
    assert (found.level, found.words, found.limits) == (level, WORDS[level], ())
    assert found.text.startswith(WORDS[level][0].upper())
    assert "1 of 50 real and 2 of 60 forged" in found.text


def test_without_a_card_there_is_no_strength() -> None:
    found = finding(0.99, None)
    assert (found.level, found.words) == ("not_calibrated", "not calibrated")
    assert "does not say how strong" in found.text


def test_a_level_that_the_data_do_not_bear_out_is_not_given() -> None:
    assert finding(0.01, replace(RELIABILITY, bounds={**BOUNDS, "none": None, "little": None})).level == "inconclusive"


def test_a_finding_never_contradicts_the_verdict() -> None:
    assert level_of(0.2, 0.1, RELIABILITY) == level_of(0.8, 0.9, RELIABILITY) == "inconclusive"
    assert "opposite of the verdict" in finding(0.8, threshold=0.97).text


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"frames_with_face": 3}, "few_faces"),
        ({"face_px": 41.25}, "small_faces"),
        ({"sharpness": 12.0}, "blurred_faces"),
        ({"bits_per_pixel": 0.01}, "heavy_compression"),
        ({"yaw": 50.0}, "turned_faces"),
        ({"pitch": 33.0}, "tilted_faces"),
    ],
)
def test_each_condition_out_of_range_weakens_by_a_step_and_says_its_number(changed: dict[str, float], code: str) -> None:
    found = finding(0.95, conditions=replace(GOOD, **changed))  # type: ignore[arg-type]
    ((name, value),) = changed.items()
    (limit,) = found.limits
    assert (found.level, limit.code, limit.value, limit.bound) == ("moderate", code, value, USUAL[name])
    assert f"{value:.3g}" in limit.text
    assert limit.text in found.text


def test_two_limits_leave_nothing_of_moderate_evidence_and_three_do_not_turn_it() -> None:
    worst = Conditions(1, 10.0, 1.0, 80.0, 80.0, 0.001)
    assert finding(0.95, conditions=worst).level == finding(0.01, conditions=worst).level == "inconclusive"
    assert weakened("none", 1) == "little"
    assert weakened("not_calibrated", 3) == "not_calibrated"
    assert condition_limits(replace(GOOD, sharpness=None, yaw=None, pitch=None, bits_per_pixel=None), USUAL) == []


def test_scores_near_the_threshold() -> None:
    (limit,) = near_threshold(0.65, (0.55, 0.75), 0.6)
    assert (limit.value, limit.bound) == (pytest.approx(0.05), pytest.approx(0.1))
    assert near_threshold(0.65, (0.61, 0.7), 0.6) == near_threshold(0.65, None, 0.6) == []


def test_faces_that_disagree_are_told_and_weaken_nothing() -> None:
    (limit,) = tracks_disagree([(0.9, (0.85, 0.95)), (0.2, (0.1, 0.3)), (0.99, None)], 0.6)
    assert (limit.value, limit.bound, limit.weakens) == (pytest.approx(0.7), pytest.approx(0.15), False)
    assert tracks_disagree([(0.9, (0.2, 1.0)), (0.5, (0.1, 0.9))], 0.6) == []
    assert tracks_disagree([(0.9, (0.8, 1.0)), (0.7, (0.6, 0.8))], 0.6) == []


def test_a_part_that_stands_out_keeps_an_input_from_being_unsuspicious() -> None:
    scores = [0.02] * 12 + [0.3] * 6 + [0.02] * 12
    track = judged_track(0, [(i, i / 2, s) for i, s in enumerate(scores)], 0.6, [RELIABILITY])
    mean = float(np.mean(scores))
    found = conclude_finding(mean, 0.6, scores, [track], GOOD, [Model("m", mean, 0.6, RELIABILITY)])
    assert [(part.first_frame, part.last_frame) for part in track.segments] == [(12, 17)]
    assert [limit.code for limit in found.limits] == ["part_stands_out"]
    assert (track.level, found.level) == ("none", "little")


def test_fusion_is_the_mean_of_log_odds() -> None:
    rng = np.random.default_rng()
    scores, weights = rng.uniform(0.01, 0.99, 3), rng.uniform(0.1, 2, 3)
    odds = np.average(np.log(scores / (1 - scores)), weights=weights)
    assert fused(scores.tolist(), weights.tolist()) == pytest.approx(1 / (1 + np.exp(-odds)))
    assert fused([0.123456789], [7.0]) == 0.123456789
    assert 0 < fused([0.0, 1.0], [1.0, 1.0]) < 1


def test_detectors_that_disagree_are_inconclusive() -> None:
    (limit,) = models_disagree([0.99, 0.05], [0.5, 0.5])
    assert limit.bound == LARGEST_DIFFERENCE == pytest.approx(np.log(19))
    assert models_disagree([0.99, 0.6], [0.5, 0.5]) == models_disagree([0.6, 0.4], [0.5, 0.5]) == models_disagree([0.9], [0.5]) == []
    models = [Model("a", 0.999, 0.5, RELIABILITY), Model("b", 0.05, 0.5, RELIABILITY)]
    score = fused([0.999, 0.05], [1, 1])
    found = conclude_finding(score, 0.5, [score] * 9, [], GOOD, models)
    assert (found.level, [limit.code for limit in found.limits]) == ("inconclusive", ["models_disagree"])


def test_levels_of_several_models_meet_towards_inconclusive() -> None:
    assert together(["strong", "moderate"]) == "moderate"
    assert together(["none", "inconclusive"]) == "little"
    assert together(["little", "inconclusive"]) == "inconclusive"
    assert together(["strong", "not_calibrated"]) == "not_calibrated"


def test_cuts_are_found_and_light_and_motion_are_none() -> None:
    rng = np.random.default_rng()
    one, other = (np.kron(rng.integers(low, low + 120, (9, 12, 3)), np.ones((20, 20, 1))).astype(np.uint8) for low in (0, 130))
    cut = CutFinder()
    frames = [one, np.roll(one, 30, 1), one, (one * 0.6).astype(np.uint8), other, other[::-1]]
    assert [cut(frame) for frame in frames] == [False, False, False, False, True, False]
    found = shots([(0, 0.0, False), (5, 0.2, False), (10, 0.4, True), (15, 0.6, False)])
    assert [(s.start_s, s.end_s, s.first_frame, s.last_frame, s.frames) for s in found] == [(0.0, 0.2, 0, 5, 2), (0.4, 0.6, 10, 15, 2)]
    assert shots([]) == ()


def test_a_cut_between_alike_shots_is_told_by_what_is_usual_in_the_shot() -> None:
    rng = np.random.default_rng()
    background, strange = (np.kron(rng.integers(low, low + 120, (8, 12, 3)), np.ones((20, 20, 1))).astype(np.uint8) for low in (4, 130))
    frames = [np.clip(background + rng.normal(0, 2, background.shape), 0, 255).astype(np.uint8) for _ in range(6)]
    mixed = (np.hstack([strange[:, :x], background[:, x:]]) for x in range(60, 240, 5))
    other = next(image for image in mixed if agreement(grid_of(frames[-1]), grid_of(image)) < ALIKE - 0.05)
    assert agreement(grid_of(frames[-1]), grid_of(other)) > LEAST
    cut = CutFinder()
    assert [cut(frame) for frame in [*frames, other, other]] == [False] * 6 + [True, False]
    restless = CutFinder()  # the same change where changes are usual
    half = background.copy()
    half[:, :60] = other[:, :60]
    assert not any(restless(frame) for frame in [background, half, background, half, background, half, other])
    early = CutFinder()
    assert not any(early(frame) for frame in [frames[0], frames[1], other])  # nothing is known of the shot yet


def test_sharpness_falls_with_blur() -> None:
    image = np.random.default_rng().random((3, 40, 40), np.float32)
    blurred = (image + np.roll(image, 1, 1) + np.roll(image, 1, 2)) / 3
    assert sharpness_of(image) > 2 * sharpness_of(blurred) > sharpness_of(np.full((3, 40, 40), 0.5, np.float32)) == 0


def labelled(rng: np.random.Generator, count: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat([0, 1], count)
    return y, 1 / (1 + np.exp(-(rng.standard_normal(2 * count) + apart * (y - 0.5))))


def test_bounds_keep_the_odds_that_they_promise_on_new_videos() -> None:
    rng = np.random.default_rng()
    y, s = labelled(rng, 400, 3.0)
    bounds = fit_bounds(y, s)
    assert bounds["none"] <= bounds["little"] < bounds["moderate"] <= bounds["strong"]  # type: ignore[operator]
    new_y, new_s = labelled(rng, 20_000, 3.0)
    for level, odds in (("strong", 19), ("moderate", 4)):
        tail = new_s >= bounds[level]
        assert new_y[tail].sum() >= 0.7 * odds * (1 - new_y[tail]).sum()
    below = new_s < bounds["none"]
    assert (1 - new_y[below]).sum() >= 0.7 * 19 * new_y[below].sum()


def test_scores_that_say_nothing_bear_out_no_level() -> None:
    y, s = labelled(np.random.default_rng(), 200, 0.0)
    assert set(fit_bounds(y, s).values()) == {None}
    assert fusion_weight(y, np.full(400, 0.5)) == 0.01
    assert fusion_weight(y, np.where(y == 1, 0.999, 0.001)) > 0.95


def test_isotonic_regression_never_falls_and_keeps_the_mean() -> None:
    y, s = labelled(np.random.default_rng(), 50, 1.0)
    fitted = isotonic(y, s)
    assert (np.diff(fitted[np.argsort(s)]) >= -1e-12).all()
    assert fitted.mean() == pytest.approx(0.5)


def test_reliability_counts_every_video_once() -> None:
    y, s = labelled(np.random.default_rng(), 60, 3.0)
    judged = [SimpleNamespace(conditions=replace(GOOD, face_px=float(20 + i))) for i in range(120)]
    results = [SimpleNamespace(label=int(a), score=float(b), judgement=j) for a, b, j in zip(y, s, judged, strict=True)]
    found = measure_reliability([*results, SimpleNamespace(label=1, score=None, judgement=None)], ["d"])  # type: ignore[list-item]
    assert [sum(row[kind] for row in found.levels.values()) for kind in ("real", "fake")] == [60, 60]
    assert found.conditions["face_px"] == pytest.approx(np.quantile(np.arange(20, 140), 0.025))
    assert Reliability.of(found.to_json()) == found
    with pytest.raises(ValueError, match="at least 5 real and 5 forged"):
        measure_reliability(results[:62])  # type: ignore[arg-type]


def test_sidecars_are_checked(tmp_path: Path) -> None:
    model = tmp_path / "m.xml"
    model.write_bytes(b"x")
    spec = EngineSpec("openvino", "m.xml", {"m.xml": "0"}, {}, 8, (1, 1), reliability=RELIABILITY.to_json())
    spec.write(sidecar(model))
    assert Reliability.of(read_spec(model).reliability) == RELIABILITY
    for broken in ({}, {"bounds": 1}, {**RELIABILITY.to_json(), "weight": 0}, {**RELIABILITY.to_json(), "bounds": {**BOUNDS, "strong": 2}}):
        replace(spec, reliability=broken).write(sidecar(model))
        with pytest.raises(InputError, match="reliability: expected null or the bounds"):
            read_spec(model)
