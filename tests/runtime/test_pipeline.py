"""From inputs to judgements with a brightness engine: decoding, batching, aggregation, failures."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, empty_image, face_image, lossless_video, save

from fpg.common.errors import InputError, MissingDependencyError
from fpg.data.video import probe
from fpg.engines.base import EngineOutput
from fpg.runtime.judgement import printable
from fpg.runtime.judging import FrameFaces
from fpg.runtime.pipeline import judge, judge_frames, judge_many


def test_video_scores_are_the_mean_over_frames_with_a_face(tmp_path: Path) -> None:
    reds = [0, 51, 102, 153, 204]
    video = lossless_video(tmp_path / "v.mkv", [*(face_image(r) for r in reds), empty_image()])
    result = judge(video, BrightnessEngine(), GreenAnalyzer())
    assert result.error is None
    assert [f.score for f in result.frames[:5]] == pytest.approx([max(r / 255, 1e-6) for r in reds], abs=1e-4)
    assert result.frames[5].faces == ()
    assert result.frames_with_face == 5
    assert result.score == pytest.approx(np.mean(reds) / 255, abs=1e-4)
    assert result.verdict == "real"
    assert [f.time_s for f in result.frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5], abs=2e-3)


def test_frames_are_sampled_evenly(tmp_path: Path) -> None:
    video = lossless_video(tmp_path / "v.mkv", [face_image(10 * i) for i in range(10)])
    assert [f.index for f in judge(video, BrightnessEngine(), GreenAnalyzer(), frames=4).frames] == [0, 3, 6, 9]
    assert [f.index for f in judge(video, BrightnessEngine(), GreenAnalyzer(), frames=None).frames] == list(range(10))


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_batches_cross_frames_and_do_not_change_scores(tmp_path: Path, batch: int) -> None:
    video = lossless_video(tmp_path / "v.mkv", [face_image(20 * i) for i in range(7)])
    engine = BrightnessEngine()
    result = judge(video, engine, GreenAnalyzer((0, 0, 33, 33), (0, 0, 4, 4)), batch=batch)
    assert [len(f.faces) for f in result.frames] == [2] * 7  # the small box does not count
    assert sum(engine.batches) == 14
    assert max(engine.batches) == min(batch, 14)
    assert result.score == judge(video, BrightnessEngine(), GreenAnalyzer((0, 0, 33, 33)), batch=5).score


def test_fixed_batch_engines_get_full_batches(tmp_path: Path) -> None:
    engine = BrightnessEngine(batch=(4, 4, 4))
    result = judge(save(tmp_path / "a.png", face_image(200)), engine, GreenAnalyzer(), batch=16)
    assert engine.batches == [4]
    assert len(result.frames[0].faces) == 1


def test_threshold_and_temperature(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", face_image(153))  # 0.6
    assert judge(image, BrightnessEngine(), GreenAnalyzer()).verdict == "fake"
    assert judge(image, BrightnessEngine(threshold=0.7), GreenAnalyzer()).verdict == "real"
    assert judge(image, BrightnessEngine(threshold=0.7), GreenAnalyzer(), threshold=0.5).verdict == "fake"
    exact = judge(save(tmp_path / "b.png", face_image(255)), BrightnessEngine(), GreenAnalyzer()).score
    assert exact is not None
    assert judge(tmp_path / "b.png", BrightnessEngine(), GreenAnalyzer(), threshold=exact).verdict == "fake"  # score >= threshold
    warm = judge(image, BrightnessEngine(temperature=2.0), GreenAnalyzer()).score
    assert warm == pytest.approx(1 / (1 + np.exp(-np.log(0.6 / 0.4) / 2)), abs=1e-4)


def test_a_folder_is_its_frames_in_natural_order(tmp_path: Path) -> None:
    for number, red in [(10, 200), (2, 100), (1, 0)]:
        save(tmp_path / "v" / f"frame_{number}.png", face_image(red))
    result = judge(tmp_path / "v", BrightnessEngine(), GreenAnalyzer())
    assert [round((f.score or 0) * 255) for f in result.frames] == [0, 100, 200]


def test_hundreds_of_faces_in_every_frame(tmp_path: Path) -> None:
    boxes = [(float(2 * x), float(2 * y), float(2 * x + 9), float(2 * y + 9)) for x in range(20) for y in range(15)]
    video = lossless_video(tmp_path / "v.mkv", [face_image(20 * i, side=9) for i in range(4)])
    engine = BrightnessEngine()
    result = judge(video, engine, GreenAnalyzer(*boxes), batch=32, min_face=1)
    assert [len(frame.faces) for frame in result.frames] == [301] * 4
    assert sum(engine.batches) == 4 * 301
    assert max(engine.batches) == 32
    assert len(result.tracks) == 301


def test_no_face_is_no_score(tmp_path: Path) -> None:
    result = judge(save(tmp_path / "a.png", empty_image()), BrightnessEngine(), GreenAnalyzer())
    assert (result.score, result.verdict, result.error, result.no_face) == (None, None, "no face found in 1 frame", True)
    video = lossless_video(tmp_path / "v.mkv", [empty_image()] * 3)
    assert judge(video, BrightnessEngine(), GreenAnalyzer()).error == "no face found in 3 frames"


def test_a_face_that_is_too_small_is_a_result_of_its_own(tmp_path: Path) -> None:
    images = [face_image(200, side=20), empty_image(), face_image(200, side=31)]
    video = lossless_video(tmp_path / "v.mkv", images)
    result = judge(video, BrightnessEngine(), GreenAnalyzer())
    assert (result.score, result.verdict, result.no_face) == (None, None, True)
    assert result.error == "face too small to judge: 31 px (at least 32 are needed)", "the largest is named"
    assert [[face.code for face in frame.rejected] for frame in result.frames] == [["face_too_small"], [], ["face_too_small"]]
    shown = result.to_json()["frames"][0]["rejected"]
    assert shown == [{"box": [16.0, 8.0, 36.0, 28.0], "reason": "face too small to judge: 20 px (at least 32 are needed)"}]
    assert judge(video, BrightnessEngine(), GreenAnalyzer(), min_face=21).frames_with_face == 1
    result = judge(video, BrightnessEngine(), GreenAnalyzer(), min_face=20)
    assert (result.frames_with_face, result.error) == (2, None)
    result = judge(video, BrightnessEngine(), GreenAnalyzer((0, 0, 40, 40)))
    assert [len(frame.faces) for frame in result.frames] == [1, 0, 1], "small faces next to a large one do not count"


def test_failures_have_a_reason_no_score_and_do_not_stop_the_others(tmp_path: Path) -> None:
    good = save(tmp_path / "good.png", face_image(200))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(os.urandom(4000))
    whole = lossless_video(tmp_path / "whole.mkv", [np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8) for i in range(20)])
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder").mkdir()
    save(tmp_path / "frames" / "0.png", face_image(3))
    (tmp_path / "frames" / "1.png").write_bytes(b"x")
    bad = ["empty.mp4", "noise.mp4", "cut.mkv", "text.png", "missing.mp4", "folder", "frames"]
    results = list(judge_many([*(tmp_path / b for b in bad), good], BrightnessEngine(), GreenAnalyzer()))
    for name, result in zip(bad, results[:-1], strict=True):
        assert result.input == str(tmp_path / name)
        assert result.error, name
        assert "\n" not in result.error
        assert (result.score, result.verdict, result.no_face, result.frames) == (None, None, False, ())
    assert "1.png" in (results[6].error or "")
    assert results[-1].verdict == "fake"


def test_a_box_outside_the_image_fails_that_input_with_its_frame(tmp_path: Path) -> None:
    result = judge(save(tmp_path / "a.png", face_image(9)), BrightnessEngine(), GreenAnalyzer((500, 500, 600, 600)))
    assert result.error is not None
    assert result.error.startswith("frame 0: box: expected to meet the image")


def test_an_answer_that_is_not_finite_is_a_failure(tmp_path: Path) -> None:
    class Broken(BrightnessEngine):
        def __call__(self, images: np.ndarray) -> EngineOutput:
            return EngineOutput(np.full((len(images), 2), np.nan, np.float32), np.zeros((len(images), 4, 4), np.float32))

    result = judge(save(tmp_path / "a.png", face_image(9)), Broken(), GreenAnalyzer())
    assert (result.score, result.error) == (None, "the model's output is not finite")


def test_highlights_are_the_suspicious_faces_spread_over_time() -> None:
    def items() -> list[FrameFaces]:
        scores = np.full(100, 0.1, np.float32)
        scores[40:44], scores[90] = 0.9, 0.7
        image = np.ones((3, 16, 16), np.float32)
        return [FrameFaces(i, i / 10, ((0.0, 0.0, 9.0, 9.0),), (image * s,)) for i, s in enumerate(scores)]

    result = judge_frames("v", 100, items(), BrightnessEngine(), highlights=3)
    assert [h.index for h in result.highlights[:2]] == [40, 90]
    assert len(result.highlights) == 3
    assert result.highlights[0].image.dtype == np.uint8
    assert result.highlights[0].image.shape == (16, 16, 3)
    assert judge_frames("v", 100, items(), BrightnessEngine(), highlights=0).highlights == ()


def test_no_frame_at_all_is_an_error() -> None:
    with pytest.raises(InputError, match="v: no frame could be decoded"):
        judge_frames("v", 0, [], BrightnessEngine())


def test_json_has_exactly_the_fields_of_the_contract(tmp_path: Path) -> None:
    value = judge(save(tmp_path / "a.png", face_image(204)), BrightnessEngine(), GreenAnalyzer()).to_json()
    json.dumps(value, allow_nan=False)
    judged = ["input", "score", "verdict", "threshold", "finding", "conditions", "models"]
    file = ["sha256", "bytes", "modified", "media", "c2pa"]
    assert list(value) == [*judged, "frames", "tracks", "shots", "error", "error_code", "stream", "warnings", *file]
    assert list(value["finding"]) == ["level", "words", "interval", "limits", "text"]
    assert list(value["models"][0]) == ["name", "score", "verdict", "threshold", "level", "weight"]
    assert list(value["tracks"][0]) == ["track", "score", "frames", "start_s", "end_s", "interval", "level", "segments"]
    assert list(value["shots"][0]) == ["start_s", "end_s", "first_frame", "last_frame", "frames"]
    assert list(value["frames"][0]) == ["index", "time_s", "faces"]
    assert list(value["frames"][0]["faces"][0]) == ["box", "score", "track"]
    assert value["frames"][0]["faces"][0]["box"] == [16.0, 8.0, 48.0, 40.0]


def test_names_that_are_not_utf8_can_be_written() -> None:
    name = printable(os.fsdecode(b"caf\xe9.mp4"))
    assert name.encode("utf-8") == "caf�.mp4".encode()


class BrokenEngine(BrightnessEngine):
    """Fails on dark faces as a backend does: with an error of its own."""

    def __call__(self, images: np.ndarray) -> EngineOutput:
        if images[:, 0].mean() < 0.1:
            raise RuntimeError("inference failed\nin the plugin")
        return super().__call__(images)


def test_an_unexpected_error_costs_one_input_not_the_others(tmp_path: Path) -> None:
    paths = [save(tmp_path / "dark.png", face_image(5)), save(tmp_path / "bright.png", face_image(200))]
    dark, bright = judge_many(paths, BrokenEngine(), GreenAnalyzer())
    assert (dark.score, dark.verdict) == (None, None)
    assert dark.error == "unexpected RuntimeError: inference failed in the plugin"
    assert bright.verdict == "fake"


def test_what_is_not_installed_stops_everything(tmp_path: Path) -> None:
    def missing(image: np.ndarray) -> list[Any]:
        raise MissingDependencyError("pip install it")

    with pytest.raises(MissingDependencyError):
        judge(save(tmp_path / "a.png", face_image(5)), BrightnessEngine(), missing)


def test_hidden_frames_do_not_fail_a_video_but_missing_ones_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = lossless_video(tmp_path / "v.mkv", [face_image(10 * i) for i in range(20)])
    honest = probe(video)
    monkeypatch.setattr("fpg.runtime.inputs.probe", lambda path: replace(honest, frames=22))
    assert [f.index for f in judge(video, BrightnessEngine(), GreenAnalyzer(), frames=5).frames] == [0, 4, 9, 14, 19]
    for module in ("inputs", "judging"):
        monkeypatch.setattr(f"fpg.runtime.{module}.probe", lambda path: replace(honest, frames=40))
    assert judge(video, BrightnessEngine(), GreenAnalyzer(), frames=5).error == "is truncated or damaged: only 20 of 40 frames decode"
