"""VideoDetector: several inputs at once, streams, URLs, tracks, ends."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, empty_image, face_image, lossless_video, save

from fpg.common.errors import InputError
from fpg.runtime.pipeline import VideoDetector, judge


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return lossless_video(tmp_path / "v.mkv", [*(face_image(20 * i) for i in range(10)), empty_image()])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize("jobs", [1, 3])
def test_many_inputs_at_once_are_judged_as_one_by_one(tmp_path: Path, jobs: int) -> None:
    paths = [lossless_video(tmp_path / f"{n}.mkv", [face_image(5 * i + 9 * n) for i in range(12)]) for n in range(7)]
    paths.insert(3, tmp_path / "missing.mp4")
    expected = [judge(path, BrightnessEngine(), GreenAnalyzer(), highlights=0) for path in paths]
    with VideoDetector(BrightnessEngine(), GreenAnalyzer, jobs=jobs, batch=5, highlights=0) as detector:
        assert list(detector.judge_many(paths)) == expected
        assert {row.stage: row.number for row in detector.times.summary()}["decode"] == 7 * 12


def test_every_nth_frame(video: Path) -> None:
    with VideoDetector(BrightnessEngine(), GreenAnalyzer, frames=None, every=4) as detector:
        assert [f.index for f in detector.judge(video).frames] == [0, 4, 8]


def test_what_is_decoded_does_not_change_what_is_seen(video: Path) -> None:
    with (
        VideoDetector(BrightnessEngine(), GreenAnalyzer, frames=5) as whole,
        VideoDetector(BrightnessEngine(), GreenAnalyzer, frames=5, decode="needed") as needed,
    ):
        assert needed.judge(video) == whole.judge(video)


def test_a_stream_gives_frames_in_order_and_how_things_stand(video: Path) -> None:
    with VideoDetector(BrightnessEngine(), GreenAnalyzer, batch=4) as detector:
        frames = list(detector.stream(video, images=True))
        whole = detector.judge(video)
    assert tuple(f.frame for f in frames) == whole.frames
    assert frames[-1].score == pytest.approx(whole.score)
    assert frames[3].score == pytest.approx(np.mean([0, 20, 40, 60]) / 255, abs=1e-5)
    assert (frames[3].tracks[0].frames, frames[3].tracks[0].start_s, frames[-1].tracks) == (4, 0.0, {})
    assert all(f.image is not None and f.image.shape == (48, 64, 3) for f in frames)
    assert frames[2].frame.faces[0].activation_map is not None


def test_a_stream_can_be_left_and_leaves_no_thread(video: Path) -> None:
    before = threading.active_count()
    with VideoDetector(BrightnessEngine(), GreenAnalyzer, batch=2) as detector:
        stream = detector.stream(video)
        assert next(stream).frame.index == 0
        stream.close()  # type: ignore[attr-defined]
        assert [f.frame.index for f in detector.stream(video, every=5)] == [0, 5, 10]
    assert threading.active_count() == before


def test_frames_before_a_broken_one_are_given(tmp_path: Path) -> None:
    for i in range(5):
        save(tmp_path / "f" / f"{i}.png", face_image(30 * i))
    (tmp_path / "f" / "5.png").write_bytes(b"x")
    with VideoDetector(BrightnessEngine(), GreenAnalyzer) as detector:
        frames = detector.stream(tmp_path / "f")
        assert [next(frames).frame.index for _ in range(5)] == list(range(5))
        with pytest.raises(InputError, match=r"5\.png"):
            next(frames)


def test_a_url_is_refused_unless_asked_for_and_streams_where_it_is(video: Path, server: str) -> None:
    url = f"{server}/{video.name}"
    with VideoDetector(BrightnessEngine(), GreenAnalyzer) as detector:
        refused = detector.judge(url)
        assert refused.error == "is a URL, and URLs are opened only with --urls"
        assert [f.frame.index for f in detector.stream(url, every=3)] == [0, 3, 6, 9]
    with VideoDetector(BrightnessEngine(), GreenAnalyzer, urls=True, frames=2, every=3) as detector:
        assert [f.index for f in detector.judge(url).frames] == [0, 3]
        assert "404" in (detector.judge(f"{server}/none.mp4").error or "")
        assert detector.judge("ftp://127.0.0.1/x.mp4").error is not None


def test_tracks_follow_faces_and_average_them(tmp_path: Path) -> None:
    second = (48.0, 32.0, 62.0, 46.0)

    class Two(GreenAnalyzer):
        def __call__(self, image: np.ndarray) -> list:  # type: ignore[type-arg]
            faces = super().__call__(image)
            return faces[::-1] if image[0, 0, 0] % 40 else faces  # the order changes from frame to frame

    images = [face_image(20 * i, side=14) for i in range(6)]
    result = judge(lossless_video(tmp_path / "v.mkv", images), BrightnessEngine(), Two(second), min_face=1)
    by_track: dict[int, set[float]] = {}
    for frame in result.frames:
        for face in frame.faces:
            by_track.setdefault(face.track, set()).add(face.box[0])
    assert by_track == {0: {16.0}, 1: {48.0}}
    first = result.tracks[0]
    scores = [face.score for frame in result.frames for face in frame.faces if face.track == 0]
    assert (first.track, first.score, first.frames) == (0, pytest.approx(np.mean(scores)), 6)
    told = result.to_json()["tracks"][0]
    assert {name: told[name] for name in ("track", "score", "frames", "start_s", "end_s")} == {
        "track": 0,
        "score": first.score,
        "frames": 6,
        "start_s": 0.0,
        "end_s": 0.5,
    }


def test_leaving_many_inputs_early_ends_all_threads(tmp_path: Path) -> None:
    before = threading.active_count()
    paths = [lossless_video(tmp_path / f"{n}.mkv", [face_image(5 * i) for i in range(12)]) for n in range(8)]
    with VideoDetector(BrightnessEngine(), GreenAnalyzer, jobs=2) as detector:
        judgements = detector.judge_many(paths)
        assert next(judgements).score is not None
        judgements.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
