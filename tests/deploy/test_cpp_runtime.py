"""fpg-detect-cpp compared with fpg-detect: the same verdicts, boxes and errors, whatever the input; signals, memory, installation."""

from __future__ import annotations

import csv
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import makers
import numpy as np
import pytest
from PIL import Image
from twins import Programs, compare, cpp, reason

import fpg.cli.detect as detect
from fpg.common.spec import sidecar

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def moving(portrait: np.ndarray, count: int, height: int = 240, width: int = 320, scale: float = 0.45) -> list[np.ndarray]:
    """A portrait that wanders over a textured ground."""
    small = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ground = cv2.resize(np.random.default_rng(1).integers(0, 256, (height // 8, width // 8, 3), np.uint8), (width, height))
    images = []
    for i in range(count):
        image = ground.copy()
        x, y = min(2 * i, width - small.shape[1]), min(i, height - small.shape[0])
        image[y : y + small.shape[0], x : x + small.shape[1]] = small
        images.append(image)
    return images


VIDEOS: dict[str, dict[str, Any]] = {
    "plain.mp4": {},
    "uneven.mkv": {"times": [0.0, 0.04, 0.2, 0.21, 0.9, 1.0, 1.01, 2.0, 2.5, 2.6]},
    "rotated.mp4": {"rotation": 90},
    "interlaced.mpg": {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme"}},
    "alpha.webm": {"codec": "libvpx-vp9", "pixels": "yuva420p"},
    "vp8.webm": {"codec": "libvpx"},
    "sound.mp4": {"sound": True},
    "444.mkv": {"pixels": "yuv444p"},
    "full.mov": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "hdtv.mp4": {"colorspace": "itu709"},
}


def test_videos_of_every_kind(programs: Programs, portrait: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, options in VIDEOS.items():
        makers.write_video(folder / name, moving(portrait, 10), **options)
    both = programs(folder, "--frames", 5)
    compare(both)
    assert sum(r["score"] is not None for r in both[0]["results"]) >= len(VIDEOS) - 1  # a turned face may go unseen


def test_aligned_crops_and_no_activation_map(
    program: Path, face_models: str, aligned_engine: Path, portrait: np.ndarray, tmp_path: Path
) -> None:
    """A head that turns, one that leaves the picture, one that is too small: the same scores within 0.01, and the same reasons."""
    (tmp_path / "json").mkdir()
    folder = tmp_path / "in"
    folder.mkdir()
    whole = moving(portrait, 1, 480, 640, 0.9)[0]
    turned = [cv2.warpAffine(whole, cv2.getRotationMatrix2D((220, 200), a, 1), (640, 480)) for a in (-40, -20, 0, 15, 30)]
    makers.write_video(folder / "turned.mp4", turned)
    Image.fromarray(portrait[:, 215:]).save(folder / "cut.png")
    Image.fromarray(cv2.resize(portrait, (110, 110), interpolation=cv2.INTER_AREA)).save(folder / "small.png")
    both = Programs(program, face_models, aligned_engine, tmp_path / "json")(folder, "--frames", "all")
    compare(both, 1e-3)
    python, ours = ({Path(r["input"]).name: r for r in results["results"]} for results in both)
    assert len([f for f in python["turned.mp4"]["frames"] if f["faces"]]) >= 3
    for name in ("cut.png", "small.png"):
        (theirs,), (found,) = python[name]["frames"], ours[name]["frames"]
        assert (theirs["faces"], found["faces"]) == ([], [])
        assert [reason(face["reason"]) for face in found["rejected"]] == [reason(face["reason"]) for face in theirs["rejected"]]
    assert ours["cut.png"]["error"].startswith("no face that can be judged in 1 frame: cut off")
    assert (ours["cut.png"]["error_code"], ours["small.png"]["error_code"]) == ("face_rejected", "face_too_small")


def test_frames_whose_size_changes_and_a_wall_of_faces(programs: Programs, portrait: np.ndarray, tmp_path: Path) -> None:
    """Two transport streams one after the other; a wall of portraits, in one image and moving."""
    first = makers.write_video(tmp_path / "first.mpg", moving(portrait, 8), codec="mpeg2video")
    second = makers.write_video(tmp_path / "second.mpg", moving(portrait, 8, 288, 352), codec="mpeg2video")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "grows.mpg").write_bytes(first.read_bytes() + second.read_bytes())
    wall = np.full((600, 800, 3), 90, np.uint8)  # of different sizes: faces are sorted by their areas
    for k in range(12):
        y, x, side = 200 * (k // 4), 200 * (k % 4), 130 + 6 * k
        wall[y : y + side, x : x + side] = cv2.resize(portrait[:300, 100:400], (side, side), interpolation=cv2.INTER_AREA)
    Image.fromarray(wall).save(folder / "wall.png")
    makers.write_video(folder / "walls.mp4", [wall, np.roll(wall, 4, 1), np.roll(wall, 8, 1)], options={"crf": "10"})
    both = programs(folder, "--frames", "all")
    compare(both, 1e-4)
    faces = {Path(r["input"]).name: [len(f["faces"]) for f in r["frames"]] for r in both[1]["results"]}
    assert len(faces["grows.mpg"]) >= 14
    assert max(faces["wall.png"]) >= 5
    assert max(faces["walls.mp4"]) >= 5


def test_ten_bits_and_odd_sizes(programs: Programs, portrait: np.ndarray, tmp_path: Path) -> None:
    makers.write_video(tmp_path / "ten.mp4", moving(portrait, 10), pixels="yuv420p10le")
    makers.write_video(tmp_path / "odd.mkv", moving(portrait, 6, 241, 323), codec="ffv1", pixels="bgr0")
    compare(programs(tmp_path / "ten.mp4", tmp_path / "odd.mkv", "--frames", "all"), 0.01)


def test_images_folders_of_frames_and_choices_of_frames(programs: Programs, portrait: np.ndarray, tmp_path: Path) -> None:
    frames = tmp_path / "in" / "frames"
    frames.mkdir(parents=True)
    for i, image in enumerate(moving(portrait, 12)):
        Image.fromarray(image).save(frames / f"f{i}.png")
    Image.fromarray(portrait).save(tmp_path / "in" / "portrait.jpg")
    Image.fromarray(np.concatenate([portrait, portrait[:, ::-1]], 1)).save(tmp_path / "in" / "two.png")
    Image.fromarray(np.full((300, 300, 3), 90, np.uint8)).save(tmp_path / "in" / "nobody.png")
    Image.fromarray(cv2.resize(portrait, (60, 60), interpolation=cv2.INTER_AREA)).save(tmp_path / "in" / "tiny.png")
    video = makers.write_video(tmp_path / "in" / "v.mp4", moving(portrait, 40))
    compare(programs(tmp_path / "in"))  # every frame of the folder is an image of its own
    compare(programs(tmp_path / "in" / "portrait.jpg", video, "--every", 7, "--threshold", "0.25", "--batch", 3))
    both = programs(video, "--frames", "all")
    compare(both)
    assert len(both[1]["results"][0]["frames"]) == 40
    both = programs(video, "--frames", 3, "--decode", "needed")
    compare(both)
    assert both[1]["protocol"]["decode"] == "needed"


def test_faces_of_any_size(programs: Programs, portrait: np.ndarray, tmp_path: Path, rng: np.random.Generator) -> None:
    """Faces that finer looks alone show, in both by the same looks; and faces that are too small, which are named."""
    folder = tmp_path / "in"
    folder.mkdir()
    head = portrait[:300, 75:375]  # its face is 102 pixels large
    for name, shape, sizes in (
        ("wide.png", (1080, 1920), (60, 70)),
        ("tall.png", (1600, 900), (45,)),
        ("odd.png", (1441, 2563), (60, 55, 50)),
        ("small.png", (200, 220), (26,)),
    ):
        image = cv2.resize(rng.integers(40, 200, (shape[0] // 24, shape[1] // 24, 3), np.uint8), shape[::-1], interpolation=cv2.INTER_CUBIC)
        for place, size in enumerate(sizes):
            side = round(300 * size / 102)
            room = shape[1] // len(sizes)
            y, x = int(rng.integers(0, shape[0] - side)), place * room + int(rng.integers(0, room - side))
            image[y : y + side, x : x + side] = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
        Image.fromarray(image).save(folder / name)
    both = programs(folder)
    compare(both, 1e-4)
    for python, ours in zip(both[0]["results"], both[1]["results"], strict=True):
        assert python["error"] == ours["error"]
        for a, b in zip(python["frames"], ours["frames"], strict=True):
            assert [face["box"] for face in b["faces"]] == [pytest.approx(face["box"], abs=0.05) for face in a["faces"]]
            assert [face["reason"] for face in b.get("rejected", [])] == [face["reason"] for face in a.get("rejected", [])]
    names = {Path(r["input"]).name: r for r in both[1]["results"]}
    assert sum(len(names[name]["frames"][0]["faces"]) for name in ("wide.png", "tall.png", "odd.png")) >= 4
    assert re.fullmatch(r"face too small to judge: 2\d px \(at least 32 are needed\)", names["small.png"]["error"])
    both = programs(folder / "small.png", "--min-face", 20)
    compare(both, 1e-4)
    assert both[1]["results"][0]["error"] is None
    both = programs(folder / "wide.png", "--min-face", 100)
    assert both[0]["results"][0]["error"] == both[1]["results"][0]["error"] != ""


def bad_inputs(folder: Path, portrait: np.ndarray) -> None:
    folder.mkdir()
    makers.write_video(folder / "a_good.mp4", moving(portrait, 4))
    makers.write_sound(folder / "audio.mp4")
    makers.write_bomb(folder / "bomb.png")
    (folder / "corrupt.mp4").write_bytes(np.random.default_rng(0).bytes(3000))
    makers.truncate(makers.write_video(folder / "cut.mp4", 60, container={"movflags": "faststart"}))
    makers.truncate(makers.write_video(folder / "cut.mkv", 100))
    makers.truncate(makers.write_video(folder / "cut.avi", 100, codec="mpeg4"))
    makers.damage(makers.write_video(folder / "hit.mp4", 100, container={"movflags": "faststart"}))
    (folder / "empty.mp4").touch()
    makers.write_video(folder / "frameless.avi", 0)
    makers.write_video(folder / "frameless.mp4", 0)
    makers.write_png_that_lies(folder / "giant.png", (60000, 60000))
    makers.write_png_that_lies(folder / "liar.png", (400, 300))
    (folder / "line\nbreak.mp4").touch()
    (folder / "junk.png").write_bytes(b"not an image")
    Image.fromarray(portrait).save(folder / "short.jpg")
    makers.truncate(folder / "short.jpg")
    Image.fromarray(portrait).save(folder / "short.png")
    makers.truncate(folder / "short.png")
    makers.write_video(folder / "noface.mp4", makers.pictures(6, face=(0, 0, 0, 0)))
    (folder / "playlist.m3u8.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x.ts\n")
    (folder / 'z "quoted", name.mp4').write_bytes(b"x")


def test_every_bad_input_is_an_error_in_both_and_the_good_one_goes_through(
    programs: Programs, portrait: np.ndarray, tmp_path: Path
) -> None:
    bad_inputs(tmp_path / "in", portrait)
    both = programs(tmp_path / "in", tmp_path / "missing.mp4", "http://127.0.0.1/v.mp4", tmp_path / "json", "--frames", 2)
    judged = {Path(r["input"]).name for r in both[1]["results"] if r["error"] is None}
    assert judged == {"a_good.mp4"}
    python, ours = both
    for side in both:  # where they stand among the results and how URLs are called is each program's own
        side["results"] = [r for r in side["results"] if not r["input"].startswith("http") and Path(r["input"]).name != "json"]
    compare((python, ours))
    assert not list((tmp_path / "json").glob(".*"))


def test_terminal_csv_and_statistics(
    program: Path, face_models: str, engine: Path, portrait: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    bad_inputs(folder, portrait)
    assert detect.main([str(engine), str(folder), "--frames", "2", "--csv", str(tmp_path / "python.csv")]) == 1
    printed = capsys.readouterr()
    done = cpp(program, face_models, engine, folder, "--frames", 2, "--csv", tmp_path / "cpp.csv", "--stats", "--jobs", 3)
    assert done.returncode == 1
    assert done.stdout.splitlines() == printed.out.splitlines()
    assert not [line for line in done.stderr.splitlines() if " @ 0x" in line]  # FFmpeg's own log
    names = [line.split(": ")[1] for line in printed.err.splitlines() if line.startswith("error: ")]
    assert [line.split(": ")[1] for line in done.stderr.splitlines() if line.startswith("error: ")] == names
    assert all(f"\n{stage}" in done.stderr for stage in ("decode", "faces", "crop", "network"))
    theirs, rows = (list(csv.DictReader((tmp_path / f"{name}.csv").open(encoding="utf-8", newline=""))) for name in ("python", "cpp"))
    assert [(r["input"], r["frame"], r["track"]) for r in rows] == [(r["input"], r["frame"], r["track"]) for r in theirs]
    assert float(rows[0]["score"]) == pytest.approx(float(theirs[0]["score"]), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m, s: s.write_text("{"), "is not a readable sidecar"),
        (lambda m, s: s.unlink(), "has no sidecar"),
        (
            lambda m, s: s.write_text(s.read_text().replace('"temperature": 1.0', '"temperature": 0')),
            "temperature: expected a number > 0, got 0",
        ),
        (lambda m, s: s.write_text(s.read_text().replace('"crop": "evaluation"', '"crop": null')), "crop: expected"),
        (lambda m, s: s.write_text(s.read_text().replace('"precision": "fp32"', '"precision": null')), "precision: expected a"),
        (lambda m, s: s.write_text(s.read_text().replace("fpg.engine/1", "fpg.engine/9")), "schema: expected fpg.engine/1"),
        (lambda m, s: s.write_text(s.read_text().replace('"engine.bin"', '"../engine.bin"')), "files: expected plain names"),
        (lambda m, s: m.with_suffix(".bin").write_bytes(m.with_suffix(".bin").read_bytes()[:-1] + b"x"), "does not match its sidecar"),
        (lambda m, s: m.write_text(m.read_text() + " "), "does not match its sidecar"),
        (lambda m, s: m.unlink(), "no such file"),
    ],
)
def test_models_that_are_not_what_their_sidecar_says(
    program: Path, face_models: str, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, said: str
) -> None:
    for path in (engine, engine.with_suffix(".bin"), sidecar(engine)):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    model = tmp_path / engine.name
    change(model, sidecar(model))
    assert detect.main([str(model), "v.mp4"]) == 2
    assert said in capsys.readouterr().err
    done = cpp(program, face_models, model, "v.mp4")
    assert (done.returncode, said in done.stderr, done.stdout) == (2, True, "")
    assert len(done.stderr.splitlines()) == 1


def test_usage(program: Path, face_models: str, engine: Path, tmp_path: Path) -> None:
    for arguments in (
        [],
        [engine],
        [engine, "v.mp4", "--frames", "0"],
        [engine, "v.mp4", "--nope", "1"],
        [engine, "v.mp4", "--threshold", "2"],
        [engine, "v.mp4", "--decode", "half"],
    ):
        done = cpp(program, face_models, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")
    assert cpp(program, face_models, engine, "v.mp4", "--json", tmp_path).returncode == 2
    assert cpp(program, face_models, engine, "v.mp4", "--every", 2, "--frames", 3).returncode == 2
    assert "examples:" in subprocess.run([str(program), "--help"], capture_output=True, text=True, check=True).stdout
    done = cpp(program, str(tmp_path), engine, "v.mp4")
    assert done.returncode == 2
    assert "face_detection_full_range.tflite" in done.stderr


def test_a_json_file_that_cannot_be_written(program: Path, face_models: str, engine: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(portrait).save(tmp_path / "a.png")
    for target in ("/dev/full", str(tmp_path / "a.png" / "x.json")):
        done = cpp(program, face_models, engine, tmp_path / "a.png", "--json", target)
        assert done.returncode == 1
        assert f"error: {target}: cannot be written" in done.stderr
        assert "a.png" in done.stdout  # the verdict is said all the same
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly_also_between_two_wanted_frames(
    program: Path, face_models: str, engine: Path, portrait: np.ndarray, tmp_path: Path, number: int
) -> None:
    """Two frames are wanted, far apart: most of the time nothing but decoding goes on."""
    picture = moving(portrait, 1, 720, 1280)[0]
    video = makers.write_video(tmp_path / "v.mp4", [picture] * 3000, options={"preset": "ultrafast", "crf": "30"})
    command = [str(program), str(engine), str(video), "--frames", "2", "--json", str(tmp_path / "o.json"), "--face-models", face_models]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(1.0)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors == "interrupted\n"
    assert not (tmp_path / "o.json").exists()
    assert not list(tmp_path.glob(".*"))


def test_memory_stays_where_it_was_over_two_hundred_more_videos(
    program: Path, face_models: str, engine: Path, portrait: np.ndarray, tmp_path: Path
) -> None:
    """The peak of 300 videos is that of 100, and little more: a frame that was lost in each would be 46 MB. Allocators settle by then."""
    video = makers.write_video(tmp_path / "v.mp4", moving(portrait, 6))
    peaks = []
    for count in (100, 300):
        links = tmp_path / str(count)
        links.mkdir()
        for i in range(count):
            os.link(video, links / f"{i}.mp4")
        code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        command = [program, engine, links, "--frames", "2", "--jobs", "2", "--threads", "1", "--face-models", face_models]
        done = subprocess.run([sys.executable, "-c", code, *map(str, command)], capture_output=True, text=True, check=True, timeout=300)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 25, peaks


def test_the_c_interface(built: Path, face_models: str, engine: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    code = """
import ctypes, json, sys
library, model, options, inputs = ctypes.CDLL(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
library.fpg_detector_create.restype = library.fpg_detector_judge.restype = ctypes.c_void_p
library.fpg_detector_judge.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
library.fpg_detector_destroy.argtypes = library.fpg_string_free.argtypes = [ctypes.c_void_p]
error = ctypes.c_void_p()
assert library.fpg_detector_create(b"none.xml", None, ctypes.byref(error)) is None
print(ctypes.string_at(error).decode())
library.fpg_string_free(error)
assert library.fpg_detector_create(model.encode(), b'{"nope": 1}', None) is None
detector = library.fpg_detector_create(model.encode(), options.encode(), ctypes.byref(error))
for path in inputs:
    text = library.fpg_detector_judge(detector, path.encode())
    print(json.dumps(json.loads(ctypes.string_at(text))))
    library.fpg_string_free(text)
library.fpg_detector_destroy(detector)
"""
    Image.fromarray(portrait).save(tmp_path / "a.png")
    options = json.dumps({"frames": 3, "threads": 1, "face_models": face_models, "threshold": 0.0})
    command = [sys.executable, "-c", code, built / "deploy" / "libfpg_runtime.so", engine, options, tmp_path / "a.png", tmp_path / "b.png"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    message, good, bad = done.stdout.splitlines()
    assert message == "none.xml: no such file"
    assert json.loads(good)["verdict"] == "fake"
    assert (json.loads(bad)["error"], json.loads(bad)["score"]) == ("no such file", None)
    assert ctypes.sizeof(ctypes.c_void_p) == 8


def test_the_example_builds_against_what_was_installed(
    built: Path, face_models: str, engine: Path, portrait: np.ndarray, tmp_path: Path
) -> None:
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "FPG_FACE_MODELS": face_models}

    def run(*command: object) -> str:
        done = subprocess.run(list(map(str, command)), env=tools, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("cmake", "--install", built, "--prefix", tmp_path / "prefix")
    run("cmake", "-S", ROOT / "deploy/examples", "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}")
    run("cmake", "--build", tmp_path / "build")
    Image.fromarray(portrait).save(tmp_path / "a.png")
    judgement = json.loads(run(tmp_path / "build" / "judge", engine, tmp_path / "a.png"))
    assert judgement["verdict"] in ("real", "fake")
    assert "a.png" in run(tmp_path / "prefix" / "bin" / "fpg-detect-cpp", engine, tmp_path / "a.png")
