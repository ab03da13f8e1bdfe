"""Photographs as video: clips are drawn by key, look like frames of video, and take the place of the picture in preparation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from makers import ColourAnalyzer, picture, write_video
from PIL import Image

from fpg.common.errors import UsageError
from fpg.common.rng import stream
from fpg.data.as_video import VideoConfig, draw_clip, film
from fpg.data.manifest import read_manifest
from fpg.data.prepare import prepare

PLAIN = VideoConfig(clips=2, blur_probability=0, noise_probability=0, pan=0, zoom=0, roll=0)


def analyzer() -> ColourAnalyzer:
    return ColourAnalyzer()


def test_a_clip_is_the_picture_at_the_drawn_size_and_worse_at_a_higher_rate_factor() -> None:
    image = picture(240, 200, (80, 60, 160, 140))
    params = dataclasses.replace(draw_clip(stream(0, "clip"), PLAIN), face_width=60.0, codec="libx264")
    errors = []
    for crf in (10, 28, 44):
        frames = film(image, 80.0, dataclasses.replace(params, crf=crf), PLAIN.length)
        assert [frame.shape for frame in frames] == [(150, 180, 3)] * PLAIN.keep
        small = np.asarray(Image.fromarray(image).resize((180, 150), Image.Resampling.BOX)).astype(float)
        errors.append(np.mean([np.abs(frame - small).mean() for frame in frames]))
    assert errors[0] < errors[1] < errors[2]
    assert errors[0] < 4


def test_pictures_are_never_enlarged_and_clips_repeat_themselves() -> None:
    image = picture(120, 100)
    params = draw_clip(stream(7, "clip"), VideoConfig())
    once, again = (film(image, 20.0, params, 8) for _ in range(2))
    assert once[0].shape == (100, 120, 3)
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    other = film(image, 20.0, draw_clip(stream(8, "clip"), VideoConfig()), 8)
    assert not np.array_equal(once[0], other[0])


def test_draws_keep_to_their_ranges_and_leave_out_the_first_frame() -> None:
    config = VideoConfig()
    for seed in range(200):
        params = draw_clip(stream(seed, "clip"), config)
        assert config.face_width[0] <= params.face_width <= config.face_width[1]
        assert config.crf[0] <= params.crf <= config.crf[1]
        assert len(params.kept) == config.keep
        assert 0 < min(params.kept) < max(params.kept) < config.length


def test_prepared_pictures_have_the_frames_of_their_clips_and_videos_stay_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    Image.fromarray(picture(240, 200, (80, 60, 160, 140))).save(source / "face.png")
    Image.fromarray(picture(240, 200, None)).save(source / "nobody.png")
    write_video(source / "clip.mp4", 6)
    options = {"label": 0, "split": "train", "frames": 3, "workers": 0, "analyzer": analyzer, "quiet": True}
    made = prepare(source, tmp_path / "out", as_video=PLAIN, **options)  # type: ignore[arg-type]
    by_name = {video.video: video for video in made.videos}
    assert by_name["face"].status == "prepared"
    assert by_name["face"].frames == PLAIN.clips * PLAIN.keep
    assert by_name["nobody"].status == "no_face"
    assert by_name["clip"].frames == 3
    frames = sorted(row.frame for row in made.faces if row.video == "face")
    assert {frame // PLAIN.length for frame in frames} == set(range(PLAIN.clips))
    with pytest.raises(UsageError, match="was begun with"):
        prepare(source, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert len(read_manifest(tmp_path / "out").faces) == len(made.faces)


def test_what_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in" / "clip.mp4", 6)
    with pytest.raises(UsageError, match="as-video: expected pictures"):
        prepare(tmp_path / "in", tmp_path / "out", label=0, workers=0, analyzer=analyzer, as_video=PLAIN, quiet=True)
    with pytest.raises(UsageError, match="at least 1 clip"):
        VideoConfig(clips=0)
    with pytest.raises(UsageError, match="between 1 and 7"):
        VideoConfig(keep=8)
