"""The C++ runtime on every kind of picture and video: the pixels, words and scores of Python; the frames that both show."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
from pathlib import Path

import corpus
import cv2
import numpy as np
import pytest
from PIL import Image

import fpg.cli.detect as detect
from fpg.runtime.inputs import open_frames

pytestmark = pytest.mark.slow

GRID = Path(__file__).parents[1] / "data" / "inputs" / "grid.heic"
READ = [case for case in corpus.CASES if case.refused is None and case.cpp_refused is None]


def of_probe(probe: Path, path: Path, decode: str, count: str = "4") -> list[np.ndarray]:
    image = path.suffix in {Path(case.name).suffix for case in corpus.PICTURES}
    command = ["image", path] if image else ["frames", path, count, decode]
    done = subprocess.run([probe, *command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    data, at, found = done.stdout, 0, []
    while at < len(data):
        height, width = (int(v) for v in np.frombuffer(data, np.int32, 2, at))
        found.append(np.frombuffer(data, np.uint8, 3 * height * width, at + 8).reshape(height, width, 3))
        at += 8 + 3 * height * width
    return found


@pytest.mark.parametrize("decode", ["whole", "needed"])
@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_pixels_are_those_of_python(probe: Path, tmp_path: Path, case: corpus.Case, decode: str) -> None:
    path = tmp_path / case.name
    case.write(path, corpus.scene())
    expected = [image for _, _, image in open_frames(path, 4)[1]]
    got = of_probe(probe, path, decode)
    assert [image.shape for image in got] == [image.shape for image in expected]
    for ours, theirs in zip(got, expected, strict=True):
        difference = np.abs(ours.astype(int) - theirs)
        assert difference.max() <= (0 if path.suffix == ".avif" else 1)
        assert difference.mean() < 0.1
    if case.frames is not None:
        assert len(of_probe(probe, path, decode, "all")) == case.frames


@pytest.mark.parametrize("premultiplied", [False, True])
def test_alpha_of_avif_is_dropped_as_in_python(probe: Path, tmp_path: Path, premultiplied: bool) -> None:
    path, scene = tmp_path / "a.avif", corpus.scene()[:119, :159]  # of odd sides, which share their last chroma samples with nobody
    alpha = np.tile(np.linspace(0, 255, scene.shape[1]).astype(np.uint8), (scene.shape[0], 1))
    Image.fromarray(np.dstack([scene, alpha])).save(path, quality=90, alpha_premultiplied=premultiplied)
    (got,) = of_probe(probe, path, "whole")
    ((_, _, expected),) = open_frames(path, 1)[1]
    assert np.array_equal(got, expected)


def test_a_grid_of_tiles_is_one_picture(probe: Path) -> None:
    (got,) = of_probe(probe, GRID, "whole")
    ((_, _, expected),) = open_frames(GRID, 1)[1]
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("case", [c for c in corpus.CASES if c not in READ], ids=lambda case: case.name)
def test_what_cannot_be_read_right_is_refused(probe: Path, tmp_path: Path, case: corpus.Case) -> None:
    path = tmp_path / case.name
    case.write(path, corpus.scene())
    image = case in corpus.PICTURES
    done = subprocess.run([probe, *(["image", path] if image else ["frames", path, "4"])], capture_output=True, check=False)
    assert done.returncode == 1
    assert (case.cpp_refused or case.refused or "") in done.stderr.decode()


@pytest.mark.parametrize("case", corpus.misnamed(), ids=lambda case: case.name)
def test_pictures_and_videos_under_the_other_ones_names_are_named(probe: Path, tmp_path: Path, case: corpus.Case) -> None:
    path = tmp_path / case.name
    case.write(path, corpus.scene())
    done = subprocess.run([probe, "image" if path.suffix == ".jpg" else "frames", path, "4"], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.decode().strip() == f"{path}: {case.refused}"


def test_scores_words_and_shown_frames_are_those_of_python(program: Path, face_models: str, engine: Path, tmp_path: Path) -> None:
    """A face in a file of every kind: scores within 1e-3, the same stream and warnings, the same frames and crops."""
    portrait = importlib.metadata.distribution("scikit-image").locate_file("skimage/data/astronaut.png")
    face = cv2.resize(np.array(Image.open(str(portrait)).convert("RGB"))[:400, 30:430], (320, 320), interpolation=cv2.INTER_AREA)
    corpus.write_corpus(tmp_path / "in", np.ascontiguousarray(np.pad(face, ((0, 0), (0, 80), (0, 0)), mode="edge")))
    shutil.copy(GRID, tmp_path / "in")
    python, ours = tmp_path / "python", tmp_path / "cpp"
    arguments = [str(engine), str(tmp_path / "in"), "--frames", "2"]
    assert detect.main([*arguments, "--json", f"{python}.json", "--show-frames", str(python)]) == 1
    command = [program, *arguments, "--json", f"{ours}.json", "--show-frames", ours, "--face-models", face_models]
    subprocess.run(list(map(str, command)), check=False, capture_output=True, timeout=900)
    theirs, results = (json.loads(Path(f"{side}.json").read_text(encoding="utf-8"))["results"] for side in (python, ours))
    unlike = {case.name for case in corpus.CASES if case.cpp_refused}
    judged = 0
    for a, b in zip(theirs, results, strict=True):
        assert a["input"] == b["input"]
        if Path(a["input"]).name in unlike:
            continue
        assert (a["score"] is None) == (b["score"] is None), (a, b)
        if a["score"] is not None:
            judged += 1
            assert b["score"] == pytest.approx(a["score"], abs=1e-3), a["input"]
            assert (b["stream"], b["warnings"]) == (a["stream"], a["warnings"]), a["input"]
    assert judged >= len(READ) - 3
    indices = [json.loads((side / "index.json").read_text(encoding="utf-8"))["inputs"] for side in (python, ours)]
    compare_shown(python, ours, *indices, unlike)


def compare_shown(python: Path, ours: Path, expected: list[dict], got: list[dict], unlike: set[str]) -> None:
    """What one program cannot read has no folder there, so that folders' numbers differ."""
    expected, got = ([entry for entry in side if Path(entry["input"]).name not in unlike] for side in (expected, got))
    assert [entry["input"] for entry in got] == [entry["input"] for entry in expected]
    pixels = 0
    for a, b in zip(expected, got, strict=True):
        assert [f["index"] for f in b["frames"]] == [f["index"] for f in a["frames"]]
        assert [f["time_s"] for f in b["frames"]] == pytest.approx([f["time_s"] for f in a["frames"]], abs=2e-4)
        for one, other in zip(a["frames"], b["frames"], strict=True):
            names = [(frame["image"], *(face["crop"] for face in frame["faces"])) for frame in (one, other)]
            assert [Path(name).name for name in names[1]] == [Path(name).name for name in names[0]]
            for left_name, right_name in zip(*names, strict=True):
                left, right = (np.array(Image.open(path)).astype(int) for path in (python / left_name, ours / right_name))
                assert left.shape == right.shape
                assert np.abs(left - right).mean() < 0.5
                pixels += left.size
    assert pixels
