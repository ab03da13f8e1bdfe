"""Every kind of picture and video is shown as a good player shows it, or refused by name; and the rules behind that, one by one."""

from __future__ import annotations

import itertools
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import corpus
import cv2
import makers
import numpy as np
import pytest
from PIL import Image, ImageOps

from fpg.common.errors import InputError
from fpg.data.ends import lacks_ogg_end, transport_stream_end
from fpg.data.images import read_image
from fpg.data.notes import Notes
from fpg.data.orientation import exif_orientation, matrix_turn, undone, upright
from fpg.data.seek import read_needed_frames
from fpg.data.video import probe, read_frames
from fpg.runtime.inputs import open_frames


def frames(path: Path, decode: str = "whole", count: int | None = 4) -> tuple[list[np.ndarray], list[float], Notes]:
    notes = Notes()
    found = list(open_frames(path, count, decode=decode, notes=notes)[1])
    return [image for _, _, image in found], [time_s for _, time_s, _ in found], notes


@pytest.mark.parametrize("case", corpus.CASES, ids=lambda case: case.name)
def test_every_kind_is_shown_as_it_should_be(tmp_path: Path, case: corpus.Case) -> None:
    scene, path = corpus.scene(), tmp_path / case.name
    case.write(path, scene)
    if case.refused is not None:
        with pytest.raises(InputError, match=case.refused):
            frames(path)
        return
    images, times, notes = frames(path)
    expected = case.shown(scene)
    for image in images:
        assert image.shape == expected.shape
        assert np.abs(image.astype(int) - expected).mean() <= case.tolerance
    assert all(a < b for a, b in itertools.pairwise(times))
    assert [case.warning in warning for warning in notes.warnings] == [True] if case.warning else notes.warnings == []
    if case in corpus.VIDEOS:
        info = probe(path)
        assert (info.height, info.width) == expected.shape[:2]
        assert notes.stream is not None
        assert np.array_equal(frames(path, "needed")[0], images)
    if case.frames is not None:
        assert len(frames(path, count=None)[0]) == case.frames


@pytest.mark.parametrize("case", [c for c in corpus.PICTURES if c.refused is None and c.compared], ids=lambda case: case.name)
def test_pictures_are_those_of_pillow_turned_upright(tmp_path: Path, case: corpus.Case) -> None:
    case.write(tmp_path / case.name, corpus.scene())
    with Image.open(tmp_path / case.name) as image:
        expected = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(read_image(tmp_path / case.name), expected)


@pytest.mark.parametrize("case", [c for c in corpus.VIDEOS if c.refused is None and c.compared], ids=lambda case: case.name)
def test_videos_are_those_of_ffmpeg(tmp_path: Path, case: corpus.Case) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("ffmpeg, the program, is not here")
    case.write(tmp_path / case.name, corpus.scene())
    (image, *_), _, _ = frames(tmp_path / case.name)
    height, width = image.shape[:2]
    command = [program, "-v", "error", "-i", str(tmp_path / case.name), "-frames:v", "1", "-vf", f"scale={width}:{height}"]
    done = subprocess.run([*command, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"], capture_output=True, check=True)
    theirs = np.frombuffer(done.stdout, np.uint8).reshape(height, width, 3)
    assert np.abs(image.astype(int) - theirs).mean() < 3


@pytest.mark.parametrize("decode", ["whole", "needed"])
@pytest.mark.parametrize("name", ["uneven.mp4", "uneven.mkv"])
def test_times_of_a_variable_frame_rate_are_kept(tmp_path: Path, name: str, decode: str) -> None:
    next(case for case in corpus.VIDEOS if case.name == name).write(tmp_path / name, corpus.scene())
    assert frames(tmp_path / name, decode, None)[1] == pytest.approx(corpus.UNEVEN, abs=1e-3)


def test_a_grid_of_tiles_is_one_picture() -> None:
    """Four tiles in one HEIC; each is a video stream to FFmpeg."""
    image = read_image(Path(__file__).parents[1] / "data" / "inputs" / "grid.heic")
    assert image.shape == (368, 480, 3)
    across, down = image[:, 238:242].astype(int), image[182:186].astype(int)  # no seams
    assert np.abs(np.diff(across, axis=1)).mean() < 12
    assert np.abs(np.diff(down, axis=0)).mean() < 12


@pytest.mark.parametrize("case", corpus.misnamed(), ids=lambda case: case.name)
def test_pictures_and_videos_under_the_other_ones_names_are_named(tmp_path: Path, case: corpus.Case) -> None:
    case.write(tmp_path / case.name, corpus.scene())
    with pytest.raises(InputError, match="and its name is that of a") as caught:
        frames(tmp_path / case.name)
    assert (caught.value.reason, caught.value.code) == (case.refused, "unsupported")


def test_heic_without_what_reads_it_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match="is a HEIC picture, and reading one needs pillow-heif"):
        read_image(Path(__file__).parents[1] / "data" / "inputs" / "grid.heic")


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("value", range(12))
def test_exif_orientation(value: int, kind: int, big: bool) -> None:
    block = corpus.exif(value, kind, big)
    assert exif_orientation(block) == exif_orientation(block[6:]) == (value if 1 <= value <= 8 else 1)


def test_no_exif_orientation(rng: np.random.Generator) -> None:
    block = corpus.exif(6)
    assert exif_orientation(corpus.exif(b"6\0", 2)) == 1
    assert exif_orientation(block.replace(struct.pack("<HI", 3, 1), struct.pack("<HI", 3, 2))) == 1
    assert exif_orientation(block.replace(b"II*\0", b"II+\0")) == 1
    for length in range(len(block) - 4):
        assert exif_orientation(block[:length]) in (1, 6)
    for _ in range(300):
        assert 1 <= exif_orientation(b"II*\0" + rng.bytes(int(rng.integers(60)))) <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_come_back_and_are_those_of_the_matrix(rng: np.random.Generator, orientation: int) -> None:
    image = rng.integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(upright(upright(image, orientation), undone(orientation)), image)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(image)
    picture.getexif()[0x0112] = orientation
    assert np.array_equal(upright(image, orientation), np.array(ImageOps.exif_transpose(picture)))
    matrix = corpus.display_matrix(orientation, 0) or [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]
    found, (a, b, c, d) = matrix_turn([3 * v for v in matrix])
    assert found == orientation
    shown = upright(image, orientation)
    for y, x in ((0, 0), (1, 3), (4, 6)):  # the pixel (x, y) is shown at (a x + c y, b x + d y), moved into the picture
        to_x = a * x + c * y + (6 if a < 0 else 4 if c < 0 else 0)
        to_y = b * x + d * y + (6 if b < 0 else 4 if d < 0 else 0)
        assert np.array_equal(shown[round(to_y), round(to_x)], image[y, x])


def test_matrices_that_flatten_do_nothing_and_nearly_quarter_turns_are_some() -> None:
    assert matrix_turn([0] * 9)[0] == 1
    assert matrix_turn([1 << 16, 1 << 16, 0, 1 << 16, 1 << 16, 0, 0, 0, 1 << 30])[0] == 1
    assert matrix_turn(corpus.display_matrix(1, 0.4) or [])[0] == 1
    assert matrix_turn(corpus.display_matrix(1, 90.5) or [])[0] == 8
    assert matrix_turn(corpus.display_matrix(1, 12) or [])[0] is None


def test_the_default_stream_then_the_largest(tmp_path: Path) -> None:
    corpus.video(preview="track")(tmp_path / "a.mp4", corpus.scene())
    notes = Notes()
    next(read_frames(tmp_path / "a.mp4", [0], notes=notes))
    assert notes.stream == {
        "index": 1, "streams": 2, "codec": "h264", "width": 160, "height": 120, "pixel_aspect": "1:1", "orientation": 1, "transfer": "SDR",
    }  # fmt: skip


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_avi_without_times_gives_the_same_frames_either_way(tmp_path: Path, codec: str) -> None:
    images = makers.pictures(60, width=96, height=64)
    path = makers.write_video(
        tmp_path / "a.avi",
        images,
        codec=codec,
        options={"bf": "2", "g": "12"} | ({"crf": "12"} if codec == "libx264" else {"qmin": "1", "qmax": "1"}),
    )
    wanted = [0, 5, 17, 34, 51, 59]
    whole, needed = (list(read(path, wanted)) for read in (read_frames, read_needed_frames))
    for (i, time_s, image), (j, other_s, other) in zip(whole, needed, strict=True):
        assert (i, time_s) == (j, pytest.approx(other_s))
        assert time_s == pytest.approx(i / 25, abs=1e-3)
        assert np.array_equal(image, other)
        assert np.argmin([np.abs(image.astype(int) - truth).mean() for truth in images[i - i % 2 : i + 2]]) == i % 2


def test_ends_of_ogg_files(tmp_path: Path) -> None:
    path = tmp_path / "a.ogv"
    corpus.video(60, codec="libvpx", options={"b": "2M"})(path, corpus.scene())
    data = path.read_bytes()
    assert not lacks_ogg_end(path)
    pages = [i for i in range(len(data)) if data[i : i + 4] == b"OggS"]
    for cut in (pages[-1], len(data) - 1, pages[-1] + 20, len(data) // 2):
        path.write_bytes(data[:cut])
        assert lacks_ogg_end(path)
    path.write_bytes(data + b"something else that lies behind it")
    assert not lacks_ogg_end(path)


@pytest.mark.parametrize("zeros", [0, 100, 188, 70_000, 300_000])
def test_zeros_behind_a_transport_stream(tmp_path: Path, zeros: int) -> None:
    path = tmp_path / "a.ts"
    corpus.video()(path, corpus.scene())
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + bytes(zeros))
    assert transport_stream_end(path) == (size if zeros else None)
    images, _, notes = frames(path, count=None)
    assert len(images) == 12
    assert bool(notes.warnings) == bool(zeros)
    (tmp_path / "b.bin").write_bytes(b"\x47" + bytes(1000))
    assert transport_stream_end(tmp_path / "b.bin") is None
    assert os.path.getsize(path) == size + zeros


def test_combs_go_and_what_rests_stays(rng: np.random.Generator) -> None:
    from fpg.data.display import without_combs

    still = cv2.GaussianBlur(rng.integers(0, 256, (64, 80, 3), np.uint8), (0, 0), 3)
    assert np.abs(without_combs(still).astype(int) - still).mean() < 0.5
    moved = np.roll(cv2.resize(still, None, fx=1, fy=1), 12, 1)
    moved[:, 20:40] = 250
    woven = still.copy()
    woven[1::2] = moved[1::2]
    assert np.abs(np.diff(without_combs(woven)[8:56, 24:36].astype(int), axis=0)).mean() < 12
    assert np.abs(np.diff(woven[8:56, 24:36].astype(int), axis=0)).mean() > 60
