"""The overlay video: every frame, the right size and times, boxes in between, evidence in the face."""

from __future__ import annotations

import dataclasses
import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, empty_image, face_image, lossless_video, save

from fpg.common.errors import InputError
from fpg.data.video import probe, read_frames
from fpg.runtime.captions import GROUNDS, WHITE, banner_lines, contrast_ratio, draw_banner, draw_box, draw_legend
from fpg.runtime.judgement import FaceScore, FrameScore, JudgedBy, Judgement
from fpg.runtime.overlay import FOR_FAKE, OPACITY, paint
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
        row = image[60].astype(int)  # through the left side of the box, which has a white border
        white = np.flatnonzero((row > 170).all(1))
        assert abs(white.min() - (20 + 2 * i)) <= 4


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


@pytest.mark.parametrize(("codec", "kept"), [("aac", "aac"), ("pcm_s16le", "aac"), ("libopus", "opus")])
def test_sound_is_kept_at_its_time(tmp_path: Path, codec: str, kept: str) -> None:
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 240, 160, "bgr0"
        sound = container.add_stream(codec, rate=48_000)
        sound.layout = "mono"
        for _ in range(20):
            frame = av.VideoFrame.from_ndarray(face_image(200, height=160, width=240), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="bgr0")))
        tone = np.zeros((1, 96_000), np.float32)
        tone[:, 48_000:72_000] = 0.5 * np.sin(np.arange(24_000) * 2 * np.pi * 440 / 48_000)  # from the first second to one and a half
        whole = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        whole.rate, whole.pts, whole.time_base = 48_000, 0, Fraction(1, 48_000)
        for part in av.AudioResampler(sound.format, "mono", 48_000, frame_size=960).resample(whole):
            container.mux(sound.encode(part))
        for part in (stream, sound):
            container.mux(part.encode(None))
    write_overlay(tmp_path / "o.mp4", judge(path, BrightnessEngine(), GreenAnalyzer(), frames=3))
    with av.open(str(tmp_path / "o.mp4")) as container:
        (heard,) = container.streams.audio
        assert heard.codec_context.name == kept
        samples = [(float(f.time), float(np.abs(f.to_ndarray()).max())) for f in container.decode(heard)]
    loud = [time for time, level in samples if level > (0.1 if samples else 0)]
    assert min(loud) == pytest.approx(1.0, abs=0.05)
    assert max(loud) == pytest.approx(1.5, abs=0.06)
    assert len(frames_of(tmp_path / "o.mp4")) == 20


def test_words_can_be_read_and_green_is_earned() -> None:
    for level, ground in GROUNDS.items():
        assert contrast_ratio(WHITE, ground) >= 4.5, level
        assert (ground[1] > max(ground[0], ground[2])) == (level in ("little", "none")), level
    assert contrast_ratio(WHITE, (0, 0, 0)) == pytest.approx(21)
    result = judge_picture(0.1)
    assert result.verdict == "real"
    assert banner_lines(result)[0].startswith("Not calibrated: score 0.10")
    canvas = np.full((200, 600, 3), 90, np.uint8)
    draw_banner(canvas, result, 1)
    draw_box(canvas, (20, 100, 80, 160), result.tracks[0].level, 0.1, 1)
    assert not ((canvas[..., 1].astype(int) - canvas[..., [0, 2]].max(-1)) > 10).any()


def judge_picture(red: float) -> Judgement:
    """Of a model without calibration."""
    frames = (FrameScore(0, 0.0, (FaceScore((20, 20, 80, 80), red),)),)
    by = JudgedBy("m", 0.5)
    return Judgement("a.png", red, "fake" if red >= 0.5 else "real", 0.5, frames, judged_by=(by,), warnings=("A warning " * 40,))


def test_the_banner_leaves_the_picture_to_see() -> None:
    canvas = np.full((300, 200, 3), 90, np.uint8)
    draw_banner(canvas, judge_picture(0.9), 1)
    assert (canvas[130:] == 90).all()


def test_the_heat_map_has_soft_edges_and_a_legend() -> None:
    grey = np.full((60, 60, 3), 100, np.uint8)
    soft = paint(grey, np.full((4, 4), 1.0, np.float32), 1.0, soft=True).astype(int)
    assert np.abs(soft[0] - 100).max() <= 2
    assert abs(soft[30, 30, 0] - (100 * (1 - OPACITY) + FOR_FAKE[0] * OPACITY)) < 1
    steps = np.abs(np.diff(soft[30, :, 0]))
    assert steps.max() < 15
    canvas = np.full((200, 400, 3), 90, np.uint8)
    draw_legend(canvas, 1)
    assert (canvas[185:] != 90).any()
    assert (canvas[:150] == 90).all()
