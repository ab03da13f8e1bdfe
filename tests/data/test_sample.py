"""The sample set: built from packages, the same each time, people apart, forgeries forged where the face is and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fpg.common.errors import MissingDependencyError
from fpg.common.files import sha256
from fpg.data import sample
from fpg.data.faceswap import Donor, swap_face
from fpg.data.video import probe, read_frames
from fpg.faces import default_analyzer

SUBSET = tuple(replace(p, split="test" if p.name == "hopper" else "train") for p in sample.PEOPLE if p.name in ("collins", "hopper"))
"""Two people whose packages are needed anyway; one plays the test person."""
LENGTH = 6


def frames_of(path: Path) -> np.ndarray:
    return np.stack([image for _, _, image in read_frames(path, range(probe(path).frames))])


def test_nobody_is_in_two_splits_and_every_source_is_named() -> None:
    assert len({p.name for p in sample.PEOPLE}) == len({p.file for p in sample.PEOPLE}) == len(sample.PEOPLE) >= 6
    assert {p.split for p in sample.PEOPLE} == {"train", "val", "test"}
    split = {p.name: p.split for p in sample.PEOPLE}
    assert split[sample.DETECT.rsplit("_", 1)[0]] == "test"
    assert all(split[donor] == "test" for donor, _ in sample.SWAPS)  # nobody trains on a donor
    notice = (Path(__file__).parents[2] / "NOTICE").read_text(encoding="utf-8")
    required = (Path(__file__).parents[2] / "requirements-samples.txt").read_text(encoding="utf-8")
    for person in sample.PEOPLE:
        assert person.distribution in notice
        assert person.distribution in required
        assert person.licence


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    sample.build(out, SUBSET, (("collins", "feather"),), length=LENGTH, threads=1)
    return out


def test_layout_of_a_small_set(built: Path) -> None:
    names = sorted(p.relative_to(built).as_posix() for p in built.rglob("*") if p.is_file())
    assert names == [
        "SOURCES.txt",
        *(f"faces/test/fake/hopper_{i}_collins_feather.mp4" for i in (1, 2, 3)),
        *(f"faces/test/real/hopper_{i}.mp4" for i in (1, 2, 3)),
        *(f"faces/train/real/collins_{i}.mp4" for i in (1, 2, 3)),
    ]
    assert "public domain" in (built / "SOURCES.txt").read_text(encoding="utf-8")
    for number, (_, width, height) in enumerate(sample.STILL_VIEWS, 1):
        info = probe(built / f"faces/test/real/hopper_{number}.mp4")
        assert (info.frames, info.width, info.height, info.fps) == (LENGTH, width, height, sample.FPS)


def test_clips_move_and_show_the_face(built: Path) -> None:
    frames = frames_of(built / "faces/train/real/collins_2.mp4")
    analyzer = default_analyzer()
    boxes = np.array([analyzer(frames[i])[0].box for i in (0, 3, 5)])
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert np.ptp(centers, axis=0).max() > 5
    assert np.abs(boxes[:, 2] - boxes[:, 0] - 96).max() < 16


def test_forgeries_differ_in_the_face_alone(built: Path) -> None:
    real = frames_of(built / "faces/test/real/hopper_1.mp4")[4]
    fake = frames_of(built / "faces/test/fake/hopper_1_collins_feather.mp4")[4]
    difference = np.abs(real.astype(float) - fake).mean(2)
    x0, y0, x1, y1 = (int(v) for v in default_analyzer()(real)[0].box)
    inside = difference[y0:y1, x0:x1].mean()
    difference[y0 - 8 : y1 + 8, x0 - 8 : x1 + 8] = 0
    assert inside > 6
    assert difference.mean() < inside / 3  # what the encoder makes of it


def test_the_same_bytes_again(built: Path, tmp_path: Path) -> None:
    sample.build(tmp_path, SUBSET, (("collins", "feather"),), length=LENGTH, threads=2)
    for path in sorted(built.rglob("*.mp4")):
        assert sha256(tmp_path / path.relative_to(built)) == sha256(path), path.name


@pytest.mark.parametrize("blend", ["feather", "poisson"])
def test_swapping_a_face_with_itself_changes_little(blend: sample.Blend) -> None:
    image = sample.read_image(sample.packaged_file(SUBSET[0]))
    (face,) = default_analyzer()(image)
    assert face.landmarks is not None
    same = swap_face(image, face, Donor(image, face.landmarks), blend)
    assert same.shape == image.shape
    assert np.abs(same.astype(int) - image).mean() < 0.5
    x0, y0, x1, y1 = (int(v) for v in face.box)
    outside = np.abs(swap_face(image, face, Donor(image[::-1], face.landmarks), blend).astype(int) - image)
    margin = (x1 - x0) // 6
    outside[y0 - margin : y1 + margin, x0 - margin : x1 + margin] = 0
    assert not outside.any()
    far = replace(face, landmarks=face.landmarks + np.float32(5000))
    np.testing.assert_array_equal(swap_face(image, far, Donor(image, face.landmarks), blend), image)
    with pytest.raises(ValueError, match="expected 81 landmarks, got None"):
        swap_face(image, replace(face, landmarks=None), Donor(image, face.landmarks), blend)


def test_a_missing_package_is_named_before_anything_is_written(tmp_path: Path) -> None:
    for absent in (replace(SUBSET[0], distribution="no-such-package"), replace(SUBSET[0], file="skimage/data/nobody.png")):
        with pytest.raises(MissingDependencyError, match=r"collins.*pip install --no-deps .*scikit-image"):
            sample.build(tmp_path / "out", (SUBSET[1], absent))
    assert not (tmp_path / "out").exists()


def test_wrong_usage_and_an_unwritable_folder(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "fpg.data.sample"]
    assert subprocess.run(program, capture_output=True).returncode == 2
    (tmp_path / "file").write_text("in the way")
    done = subprocess.run([*program, str(tmp_path / "file")], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_whole_set(tmp_path: Path) -> None:
    files = [p.relative_to(tmp_path).as_posix() for p in sample.build(tmp_path)]
    assert sum("/test/real/" in f for f in files) >= 4
    assert sum("/test/fake/" in f for f in files) >= sum("/test/real/" in f for f in files)
    assert sum("/train/real/" in f for f in files) >= 10
    assert sum("/val/real/" in f for f in files) >= 2
    pair = [frames_of(tmp_path / "detect" / name) for name in ("real.mp4", "forged.mp4")]
    assert pair[0].shape == pair[1].shape
    analyzer = default_analyzer()
    for video in pair:
        assert all(len(analyzer(video[i])) == 1 for i in range(0, len(video), 30))
