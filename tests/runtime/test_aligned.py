"""A model that wants aligned crops and has no activation map, from frames to JSON, page and drawn copy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judging import BrightnessEngine, check_page, lossless_video, save

from fpg.common.crops import ALIGNED_POINTS, ALIGNED_SCALE
from fpg.engines.base import EngineOutput
from fpg.record.run import ModelRecord, RunRecord
from fpg.runtime.judgement import describe_model, describe_protocol
from fpg.runtime.judging import choose_faces
from fpg.runtime.pipeline import judge
from fpg.runtime.report import write_detect_report
from fpg.runtime.video_overlay import write_overlay


@dataclass(frozen=True)
class Face:
    box: np.ndarray
    landmarks: np.ndarray | None


def face(x: float, y: float, side: float, landmarks: bool = True) -> Face:
    """One whose aligned crop is the square of that side about (x, y)."""
    points = (ALIGNED_POINTS - 0.5) / ALIGNED_SCALE * side + (x, y)
    found = np.zeros((81, 2), np.float32)
    found[36:42], found[42:48], found[[30, 48, 54]] = points[0], points[1], points[2:]
    box = np.array([x - side / 3, y - side / 3, x + side / 3, y + side / 3], np.float32)
    return Face(box, found if landmarks else None)


class Mapless(BrightnessEngine):
    """P(fake) is the brightness of the red channel; nothing says where."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**({"map_size": None, "crop": "aligned"} | changes))

    def __call__(self, images: np.ndarray) -> EngineOutput:
        return EngineOutput(super().__call__(images).logits)


def picture(red: int) -> np.ndarray:
    image = np.full((200, 300, 3), 90, np.uint8)
    image[..., 0] = red
    return image


def test_the_aligned_square_is_what_the_network_sees(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (200, 300, 3), np.uint8)
    chosen = choose_faces(image, [face(149.5, 99.5, 64)], Mapless(image_size=64).spec)
    np.testing.assert_array_equal(np.rint(255 * chosen.inputs[0]).astype(np.uint8), image[68:132, 118:182].transpose(2, 0, 1))


def test_faces_that_cannot_be_cut_have_a_reason_and_no_score(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture(200))
    faces = [face(150, 100, 100), face(290, 100, 100), face(60, 100, 100, landmarks=False), face(20, 20, 20)]
    judged = judge(path, Mapless(), lambda image: faces)
    assert judged.score == pytest.approx(200 / 255, abs=1e-2)
    (frame,) = judged.to_json()["frames"]
    assert len(frame["faces"]) == 1
    assert [f["reason"] for f in frame["rejected"]] == [
        "cut off: the right eye lies outside the image, and the aligned crop needs eyes, nose and mouth",
        "has no landmarks, and the aligned crop needs eyes, nose and mouth",
    ]  # the smallest does not count next to the others
    assert frame["rejected"][0]["box"] == pytest.approx([256.67, 66.67, 323.33, 133.33])


def test_nothing_that_can_be_judged(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture(200))
    judged = judge(path, Mapless(), lambda image: [face(100, 100, 30)], min_face=1)
    assert (judged.score, judged.verdict, judged.no_face, judged.error_code) == (None, None, False, "face_rejected")
    assert judged.error == "no face that can be judged in 1 frame: too small: its aligned crop is 30 px wide, at least 48 are needed"
    empty = judge(path, Mapless(), lambda image: [])
    assert (empty.error, empty.no_face) == ("no face found in 1 frame", True)
    assert "rejected" not in empty.to_json()["frames"][0]


def test_maps_of_turned_squares_are_not_painted_on_boxes(tmp_path: Path) -> None:
    engine = BrightnessEngine(crop="aligned")
    judged = judge(save(tmp_path / "a.png", picture(200)), engine, lambda image: [face(150, 100, 100)], maps=True)
    assert judged.frames[0].faces[0].activation_map is None
    assert judged.highlights[0].activation_map is not None  # on what the network saw


def test_reports_without_a_map(tmp_path: Path) -> None:
    video = lossless_video(tmp_path / "a.mkv", [picture(red) for red in (180, 220, 250)])
    engine = Mapless()
    judged = judge(video, engine, lambda image: [face(150, 100, 100)], maps=True)
    assert len(judged.highlights) >= 1
    assert all(h.activation_map is None for h in judged.highlights)
    protocol = {**describe_protocol(32, crop="aligned"), "faces": "given"}
    assert "upright" in protocol["crop"]
    record = RunRecord((ModelRecord("m", None, {}, None),), {}, ("fpg-detect",)).to_json()
    write_detect_report(tmp_path / "r.html", [judged.to_json()], {0: judged}, [describe_model(engine.spec, "m")], protocol, 0.5, record)
    page = check_page(tmp_path / "r.html")
    assert page.tags.count("img") == len(judged.highlights) + len(judged.portraits)
    assert write_overlay(tmp_path / "o.mp4", judged) == 3
