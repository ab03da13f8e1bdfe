"""The overlay video: every frame, the right size and times, boxes in between, evidence in the face."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, empty_image, face_image, lossless_video, save

from fpg.common.errors import InputError
from fpg.data.video import probe, read_frames
from fpg.runtime.judgement import FaceScore, FrameScore, Judgement
from fpg.runtime.pipeline import judge
from fpg.runtime.video_overlay import write_overlay


def frames_of(path: Path) -> list[np.ndarray]:
    return [image for _, _, image in read_frames(path, range(probe(path).frames))]


def moving(path: Path) -> Path:
    """A face that goes right by two pixels a frame, 21 frames."""
    images = []
    for i in range(21):
        image = np.full((160, 240, 3), 90, np.uint8)
        image[40:120, 20 + 2 * i : 100 + 2 * i] = (230, 255, 0)
        images.append(image)
    return lossless_video(path, images)


def test_every_frame_is_there_with_its_time_and_boxes_move_between_judged_frames(tmp_path: Path) -> None:
    video = moving(tmp_path / "v.mkv")
    result = judge(video, BrightnessEngine(), GreenAnalyzer(), frames=3, maps=True)
    assert [f.index for f in result.frames] == [0, 10, 20]
    out = tmp_path / "new" / "o.mp4"
    assert write_overlay(out, result) == 21
    assert [p.name for p in out.parent.iterdir()] == ["o.mp4"]
    with av.open(str(out)) as container:
        assert [float(frame.time) for frame in container.decode(video=0)] == pytest.approx([i / 10 for i in range(21)], abs=2e-3)
    for i, image in enumerate(frames_of(out)):
        row = image[34].astype(int)  # through the caption above the box, whose colour is red: the scores are high
        red = np.flatnonzero((row[:, 0] > 180) & (row[:, 1] < 140) & (row[:, 2] < 120))
        assert abs(red.min() - (20 + 2 * i)) <= 3


def test_nothing_is_drawn_where_nobody_looked(tmp_path: Path) -> None:
    video = lossless_video(tmp_path / "v.mkv", [face_image(0, height=96, width=128)] + [empty_image(96, 128)] * 39)
    face = FaceScore((60.0, 50.0, 90.0, 80.0), 0.9)
    result = Judgement(str(video), 0.9, "fake", 0.5, (FrameScore(0, 0.0, (face,)), FrameScore(39, 3.9)))
    write_overlay(tmp_path / "o.mp4", result)
    images = frames_of(tmp_path / "o.mp4")
    assert np.abs(images[0][50:80, 60:90].astype(int) - 90).max() > 60
    assert np.abs(images[39][40:, 40:].astype(int) - 90).max() < 12


def test_hidden_frames_end_the_overlay_and_do_not_fail_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = moving(tmp_path / "v.mkv")
    result = judge(video, BrightnessEngine(), GreenAnalyzer(), frames=3, maps=True)
    honest = probe(video)
    monkeypatch.setattr("fpg.runtime.video_overlay.probe", lambda path: dataclasses.replace(honest, frames=22))
    assert write_overlay(tmp_path / "o.mp4", result) == 21


def test_odd_sizes_and_images(tmp_path: Path) -> None:
    video = lossless_video(tmp_path / "v.mkv", [face_image(200, height=49, width=67)] * 3)
    write_overlay(tmp_path / "o.mp4", judge(video, BrightnessEngine(), GreenAnalyzer(), maps=True))
    assert [image.shape for image in frames_of(tmp_path / "o.mp4")] == [(50, 68, 3)] * 3
    picture = save(tmp_path / "p.png", face_image(200, height=49, width=67))
    assert write_overlay(tmp_path / "o.png", judge(picture, BrightnessEngine(), GreenAnalyzer(), maps=True)) == 1
    assert cv2.imread(str(tmp_path / "o.png")).shape == (49, 67, 3)


def test_what_cannot_be_written_or_drawn_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    video = moving(tmp_path / "v.mkv")
    result = judge(video, BrightnessEngine(), GreenAnalyzer(), frames=3, maps=True)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_overlay(tmp_path / "file" / "o.mp4", result)
    with pytest.raises(InputError, match="no judged frames"):
        write_overlay(tmp_path / "o.mp4", judge(tmp_path / "none.mp4", BrightnessEngine(), GreenAnalyzer()))
    video.unlink()
    with pytest.raises(InputError, match="no such file"):
        write_overlay(tmp_path / "o.mp4", result)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk(tmp_path: Path) -> None:
    result = judge(moving(tmp_path / "v.mkv"), BrightnessEngine(), GreenAnalyzer(), frames=3, maps=True)
    with pytest.raises(InputError, match=r"/dev/full: cannot be written: No space left"):
        write_overlay("/dev/full", result)
