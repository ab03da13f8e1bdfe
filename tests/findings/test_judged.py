"""Findings of whole inputs: several detectors, cuts, one forged face of three, half-forged videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, face_image, lossless_video

from fpg.engines.base import EngineOutput
from fpg.findings.fusion import fused
from fpg.runtime.pipeline import VideoDetector, judge

RELIABILITY = {
    "bounds": {"strong": 0.9, "moderate": 0.7, "little": 0.3, "none": 0.1},
    "real": 9,
    "fake": 9,
    "levels": {},
    "conditions": {"face_px": 40.0, "frames_with_face": 5},
    "weight": 0.5,
}


class BlueEngine(BrightnessEngine):
    """P(fake) = mean of the blue channel."""

    def __call__(self, images: np.ndarray) -> EngineOutput:
        return super().__call__(images[:, ::-1])


def coloured(red: int, blue: int) -> np.ndarray:
    image = face_image(red)
    image[..., 2] = blue
    return image


def test_several_detectors_judge_every_face_once(tmp_path: Path) -> None:
    rng = np.random.default_rng()
    levels = rng.integers(40, 216, (12, 2))
    video = lossless_video(tmp_path / "v.mkv", [coloured(int(r), int(b)) for r, b in levels])
    weighty = BlueEngine(reliability=RELIABILITY)
    calls: list[int] = []

    class Counting(GreenAnalyzer):
        def __call__(self, image: np.ndarray) -> list:  # type: ignore[type-arg]
            calls.append(1)
            return super().__call__(image)

    with VideoDetector([BrightnessEngine(), weighty], Counting, names=["red", "blue"], frames=12) as detector:
        result = detector.judge(video)
    assert len(calls) == 12
    alone = [judge(video, engine, GreenAnalyzer(), frames=12) for engine in (BrightnessEngine(), BlueEngine())]
    for frame, one, other in zip(result.frames, alone[0].frames, alone[1].frames, strict=True):
        face = frame.faces[0]
        assert face.scores == (one.score, other.score)
        assert face.score == pytest.approx(fused(face.scores, [1.0, 0.5]))
    assert [(m.name, m.score, m.weight) for m in result.models] == [("red", alone[0].score, 1.0), ("blue", alone[1].score, 0.5)]
    assert result.score == pytest.approx(np.mean([frame.faces[0].score for frame in result.frames]))
    told = result.to_json()
    assert told["frames"][0]["faces"][0]["scores"] == list(result.frames[0].faces[0].scores)
    assert told["finding"]["level"] == "not_calibrated"


def test_detectors_that_disagree_leave_it_open(tmp_path: Path) -> None:
    video = lossless_video(tmp_path / "v.mkv", [coloured(253, 2)] * 9)
    engines = [BrightnessEngine(reliability=RELIABILITY), BlueEngine(reliability=RELIABILITY)]
    finding = judge(video, engines, GreenAnalyzer(), min_face=1).finding
    assert finding is not None
    assert finding.level == "inconclusive"
    assert "models_disagree" in [limit.code for limit in finding.limits]


def test_levels_and_limits_reach_the_result(tmp_path: Path) -> None:
    video = lossless_video(tmp_path / "v.mkv", [face_image(250)] * 9)
    result = judge(video, BrightnessEngine(reliability=RELIABILITY), GreenAnalyzer())
    assert result.finding is not None
    (limit,) = result.finding.limits
    assert (limit.code, limit.value, limit.bound, result.finding.level) == ("small_faces", 32.0, 40.0, "moderate")
    assert result.tracks[0].level == "strong"
    assert result.bits_per_pixel is not None
    assert result.bits_per_pixel > 0


def test_one_forged_face_among_three_is_found(tmp_path: Path) -> None:
    image = np.full((48, 160, 3), 60, np.uint8)
    image[8:40, 8:40] = (30, 255, 0)
    image[8:40, 56:88] = (20, 0, 0)
    image[8:40, 104:136] = (250, 0, 0)
    result = judge(lossless_video(tmp_path / "v.mkv", [image] * 10), BrightnessEngine(), GreenAnalyzer((56, 8, 88, 40), (104, 8, 136, 40)))
    assert result.verdict == "fake"
    assert [len(track.segments) for track in result.tracks] == [0, 0, 1]
    assert result.finding is not None
    assert "tracks_disagree" in [limit.code for limit in result.finding.limits]
    assert "face 2 from 0 s to" in result.finding.text


def test_a_track_ends_at_a_cut(tmp_path: Path) -> None:
    rng = np.random.default_rng()
    scenes = []
    for dark in (0, 130):
        scene = np.kron(rng.integers(dark, dark + 120, (12, 20, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        scene[8:40, 16:48] = (100, 255, 0)
        scenes += [scene] * 4
    result = judge(lossless_video(tmp_path / "v.mkv", scenes), BrightnessEngine(), GreenAnalyzer())
    assert [(shot.first_frame, shot.last_frame) for shot in result.shots] == [(0, 3), (4, 7)]
    assert [(track.frames, track.track) for track in result.tracks] == [(4, 0), (4, 1)]


def test_the_forged_half_of_a_video_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng()
    levels = np.r_[rng.integers(10, 60, 16), rng.integers(200, 250, 16)]
    frames = [face_image(int(red)) for red in levels for _ in range(5)]
    result = judge(lossless_video(tmp_path / "v.mkv", frames), BrightnessEngine(), GreenAnalyzer(), frames=32)
    (track,) = result.tracks
    (segment,) = track.segments
    assert abs(segment.first_frame - 80) <= 10
    assert segment.last_frame == track.segments[-1].last_frame == result.frames[-1].index
    assert segment.score > 0.7
