"""Videos written and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fpg.data.encode import write_video
from fpg.data.video import probe, read_frames


def test_round_trip(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    frames = [np.stack(np.broadcast_arrays(ramp[None], ramp[:48, None], np.uint8(20 * i)), -1) for i in range(6)]
    assert write_video(tmp_path / "deep" / "a.mp4", iter(frames), fps=24, crf=10) == 6
    info = probe(tmp_path / "deep" / "a.mp4")
    assert (info.frames, info.width, info.height, info.fps) == (6, 64, 48, 24)
    back = [image for _, _, image in read_frames(tmp_path / "deep" / "a.mp4", range(6))]
    for image, original in zip(back, frames, strict=True):
        assert np.abs(image.astype(int) - original).mean() < 6


def test_bad_frames_leave_nothing_behind(tmp_path: Path) -> None:
    even, odd = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 7, 3), np.uint8)
    cases = [([], "at least one"), ([odd], "even"), ([even, odd], r"expected uint8 \[8, 8, 3\]"), ([even, even.astype(float)], "float64")]
    for frames, message in cases:
        with pytest.raises(ValueError, match=message):
            write_video(tmp_path / "a.mp4", frames, fps=24)
    assert list(tmp_path.iterdir()) == []
