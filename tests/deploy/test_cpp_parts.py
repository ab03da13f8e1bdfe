"""The C++ runtime's own parts against OpenCV, PyAV and Pillow, on fresh random input."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import cv2
import makers
import numpy as np
import pytest
from PIL import Image

from fpg.common.crops import ALIGNED_POINTS, ALIGNED_SCALE, FaceRejected, aligned_square
from fpg.common.upright import Roi, crop_upright
from fpg.data.video import map_frames
from fpg.faces import default_analyzer

pytestmark = pytest.mark.slow


def run(probe: Path, *arguments: object, image: np.ndarray | None = None) -> bytes:
    data = None if image is None else image.tobytes()
    done = subprocess.run([str(probe), *map(str, arguments)], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def frames(probe: Path, *arguments: object) -> list[np.ndarray]:
    data, at, found = run(probe, *arguments), 0, []
    while at < len(data):
        height, width = (int(v) for v in np.frombuffer(data, np.int32, 2, at))
        found.append(np.frombuffer(data, np.uint8, 3 * height * width, at + 8).reshape(height, width, 3))
        at += 8 + 3 * height * width
    return found


AREAS = [(144, 176, 100, 77), (720, 1280, 108, 192), (1080, 1920, 108, 192), (300, 200, 150, 100), (301, 203, 51, 39), (97, 96, 97, 96)]


@pytest.mark.parametrize("size", AREAS)
def test_area(probe: Path, rng: np.random.Generator, size: tuple[int, int, int, int]) -> None:
    height, width, h, w = size
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    got = np.frombuffer(run(probe, "area", *size, image=image), np.uint8).reshape(h, w, 3)
    difference = np.abs(got.astype(int) - cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-4


def test_linear(probe: Path, rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (50, 61, 3), np.uint8)
    got = np.frombuffer(run(probe, "linear", 50, 61, 157, 192, image=image), np.uint8).reshape(157, 192, 3)
    assert np.array_equal(got, cv2.resize(image, (192, 157), interpolation=cv2.INTER_LINEAR))


@pytest.mark.parametrize("side", [30.0, 130.0, 700.0])
def test_upright_crops(probe: Path, rng: np.random.Generator, side: float) -> None:
    image = cv2.GaussianBlur(rng.integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 2)
    roi = Roi(float(rng.uniform(20, 300)), float(rng.uniform(20, 220)), side, float(rng.uniform(-3, 3)))
    expected = crop_upright(image, roi, 192)
    assert expected is not None
    got = np.frombuffer(run(probe, "upright", 240, 320, 192, *roi, image=image), np.uint8).reshape(192, 192, 3)
    difference = np.abs(got.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-5, "boxes that differ in a thousandth of a pixel put a crop's edge elsewhere"


def test_faces_are_those_of_python(probe: Path, face_models: str, portrait: np.ndarray, rng: np.random.Generator) -> None:
    """To the bit: a crop's edges are whole pixels, and boxes a thousandth of a pixel apart would put some of them elsewhere."""
    analyzer, same, boxes = default_analyzer(), 0, 0
    for _ in range(8):
        height, width = int(rng.integers(140, 300)), int(rng.integers(170, 400))
        side = int(rng.integers(120, 140))
        image = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 3)
        y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        image[y : y + side, x : x + side] = cv2.resize(portrait[:300, 60:360], (side, side), interpolation=cv2.INTER_AREA)
        found = analyzer(image)
        lines = run(probe, "faces", face_models, height, width, image=image).decode().splitlines()
        got = [np.float32([float.fromhex(value) for value in line.split()[:8]]) for line in lines]
        assert len(got) == len(found)
        for ours, face in zip(got, found, strict=True):
            expected = np.concatenate([face.box, face.detector_box])
            np.testing.assert_allclose(ours, expected, atol=0.02)
            same, boxes = same + int(np.array_equal(ours, expected)), boxes + 1
    assert boxes >= 6
    assert same >= boxes - 1


@pytest.mark.parametrize("side", [60.0, 140.0, 400.0])
def test_aligned_crops(probe: Path, rng: np.random.Generator, side: float) -> None:
    image = cv2.GaussianBlur(rng.integers(0, 256, (480, 640, 3), np.uint8), (0, 0), 2)
    for _ in range(4):
        angle, centre = rng.uniform(-0.9, 0.9), rng.uniform((220, 180), (420, 300))
        turn = side * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        points = (ALIGNED_POINTS - 0.5) / ALIGNED_SCALE @ turn + centre + rng.normal(0, side / 60, (5, 2))
        expected = crop_upright(image, aligned_square(points, 480, 640), 112, black=True)
        assert expected is not None
        got = np.frombuffer(run(probe, "aligned", 480, 640, 112, *points.ravel(), image=image), np.float32).reshape(3, 112, 112)
        difference = np.abs(255 * got.transpose(1, 2, 0) - expected)
        assert difference.max() <= 1.1
        assert (difference > 0.1).mean() < 1e-4


def test_aligned_crops_that_are_refused(probe: Path) -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    for scale, shift in ((30.0, 100), (150.0, 10), (150.0, 185)):
        points = (ALIGNED_POINTS - 0.5) / ALIGNED_SCALE * scale + shift
        with pytest.raises(FaceRejected) as refused:
            aligned_square(points, 200, 200)
        command = [str(probe), "aligned", "200", "200", "64", *map(str, points.ravel())]
        done = subprocess.run(command, input=image.tobytes(), capture_output=True, check=False)
        assert (done.returncode, done.stderr.decode(), done.stdout) == (3, str(refused.value), b"")


def test_hashes(probe: Path, rng: np.random.Generator) -> None:
    for length in (0, 1, 55, 56, 63, 64, 65, 1000, 100_000):
        data = rng.integers(0, 256, length, np.uint8)
        assert run(probe, "sha256", image=data).decode() == hashlib.sha256(data.tobytes()).hexdigest()


VIDEOS = {
    "plain.mp4": {},
    "rotated.mp4": {"rotation": 90},
    "upside_down.mp4": {"rotation": 180},
    "other_way.mp4": {"rotation": 270},
    "bt709.mp4": {"colorspace": "itu709"},
    "ten_bits.mp4": {"pixels": "yuv420p10le"},
    "full_range.mov": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "444.mkv": {"pixels": "yuv444p"},
    "alpha.webm": {"codec": "libvpx-vp9", "pixels": "yuva420p"},
    "rgb.mkv": {"codec": "ffv1", "pixels": "bgr0"},
    "grey.mkv": {"codec": "ffv1", "pixels": "gray"},
    "old.avi": {"codec": "mpeg4"},
    "vp8.webm": {"codec": "libvpx"},
    "uneven.mkv": {"times": [0.0, 0.04, 0.2, 0.21, 0.9, 1.0, 1.01, 2.0]},
    "interlaced.mpg": {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme"}},
    "animation.gif": {"codec": "gif", "pixels": "rgb8"},
}


@pytest.mark.parametrize("name", VIDEOS)
def test_decoded_frames_are_those_of_python(probe: Path, tmp_path: Path, name: str) -> None:
    images = makers.pictures(8, width=98 if name != "rotated.mp4" else 96, height=64)
    path = makers.write_video(tmp_path / name, images, **VIDEOS[name])  # type: ignore[arg-type]
    expected = map_frames(path, 5, lambda index, time_s, image: image)
    got = frames(probe, "frames", path, 5)
    assert [image.shape for image in got] == [image.shape for image in expected]
    for ours, theirs in zip(got, expected, strict=True):
        difference = np.abs(ours.astype(int) - theirs)
        if name == "ten_bits.mp4":  # FFmpeg's scaler for more than 8 bits places chroma otherwise in other versions
            assert difference.mean() < 2
        else:
            assert difference.max() <= 2


LONGER = {
    "groups.mp4": {"options": {"g": "12", "bf": "3"}},
    "open.mp4": {"options": {"g": "12", "bf": "3", "x264-params": "open-gop=1"}},
    "stream.ts": {"options": {"g": "10"}},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "g": "15"}},
    "hidden.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "2M"}},
    "old.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "uneven.mkv": {"times": [0.04 * i + 0.3 * (i > 20) for i in range(60)], "options": {"g": "10"}},
}


@pytest.mark.parametrize("name", LONGER)
def test_needed_frames_are_those_of_a_whole_pass(probe: Path, tmp_path: Path, name: str) -> None:
    path = makers.write_video(tmp_path / name, makers.pictures(60, width=96, height=64), **LONGER[name])  # type: ignore[arg-type]
    for count in (3, 7, "all"):
        needed, whole = frames(probe, "frames", path, count, "needed"), frames(probe, "frames", path, count, "whole")
        assert len(needed) == len(whole) == (60 if count == "all" else count)
        assert all(np.array_equal(a, b) for a, b in zip(needed, whole, strict=True))


def test_damage_between_needed_frames_goes_unseen(probe: Path, tmp_path: Path) -> None:
    images = makers.pictures(120, width=96, height=64)
    path = makers.write_video(tmp_path / "a.mp4", images, options={"g": "10", "bf": "0"})
    good = frames(probe, "frames", path, 2)
    makers.damage(path, at=0.5)
    done = subprocess.run([probe, "frames", path, "2"], capture_output=True, check=False)
    assert done.returncode != 0
    assert b"cannot be decoded after frame" in done.stderr or b"is damaged at frame" in done.stderr
    assert all(np.array_equal(a, b) for a, b in zip(frames(probe, "frames", path, 2, "needed"), good, strict=True))
    done = subprocess.run([probe, "frames", path, "all", "needed"], capture_output=True, check=False)
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("name", "mode", "options", "allowed"),
    [
        ("a.png", "RGB", {}, 0),
        ("grey.png", "L", {}, 0),
        ("alpha.png", "RGBA", {}, 0),
        ("palette.png", "P", {}, 0),
        ("deep.png", "I;16", {}, 0),
        ("a.bmp", "RGB", {}, 0),
        ("a.ppm", "RGB", {}, 0),
        ("a.webp", "RGB", {"lossless": True}, 0),
        ("a.tif", "RGB", {}, 0),
        ("a.jpg", "RGB", {"quality": 95}, 1),
        ("grey.jpg", "L", {"quality": 95}, 1),
        ("turned.jpg", "RGB", {"quality": 95, "orientation": 6}, 1),
        *((f"o{o}.jpg", "RGB", {"orientation": o, "quality": 80}, 1) for o in (2, 3, 4, 5, 7, 8)),
        ("inks.jpg", "CMYK", {"quality": 95}, 2),
    ],
)
def test_images_are_those_of_python(probe: Path, tmp_path: Path, name: str, mode: str, options: dict[str, object], allowed: int) -> None:
    from fpg.data.video import read_image

    colour = makers.picture(97, 62)
    if mode == "I;16":
        Image.fromarray((colour[..., 0].astype(np.uint16) << 8) + 77).save(tmp_path / name)
    else:
        exif = Image.Exif()
        if "orientation" in options:
            exif[0x0112] = options.pop("orientation")
            options["exif"] = exif
        Image.fromarray(colour).convert(mode).save(tmp_path / name, **options)
    expected = read_image(tmp_path / name)
    (got,) = frames(probe, "image", tmp_path / name)
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max() <= allowed
