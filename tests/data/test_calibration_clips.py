"""Clips to calibrate on: each person as they are and forged, by two tools that have nothing in common, the same bytes each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fpg.cli.prepare import main as prepare
from fpg.common.files import sha256
from fpg.data import sample
from fpg.data.calibration_clips import Tool, main, make_clips
from fpg.data.faceswap import Donor
from fpg.data.images import read_image
from fpg.data.reenact import misfit, reenact_face
from fpg.data.video import probe, read_frames
from fpg.faces import Face, default_analyzer

PEOPLE = {p.name: p for p in sample.PEOPLE if p.name in ("collins", "hopper", "maher", "guido")}
FRAMES = 4


@pytest.fixture(scope="module")
def portraits() -> dict[str, tuple[np.ndarray, Face]]:
    analyzer = default_analyzer()
    images = {name: read_image(sample.packaged_file(person)) for name, person in PEOPLE.items()}
    return {name: (image, analyzer(image)[0]) for name, image in images.items()}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    rows = [f"{sample.packaged_file(person)},real,test" for person in PEOPLE.values()]
    (folder / "faces.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n", encoding="utf-8")
    assert prepare([str(folder / "faces.csv"), str(folder / "out"), "--workers", "1"]) == 0
    return folder / "out"


def frames_of(path: Path) -> np.ndarray:
    return np.stack([image for _, _, image in read_frames(path, range(probe(path).frames))])


def made(prepared: Path, out: Path, tools: Sequence[Tool]) -> dict[str, str]:
    """Name of every clip: its hash."""
    assert make_clips(prepared, out, "test", tools=tools, frames=FRAMES) == len(PEOPLE)
    return {path.relative_to(out).as_posix(): sha256(path) for path in sorted(out.rglob("*.mp4"))}


def test_everybody_is_there_as_they_are_and_forged_by_each_tool_in_turn(prepared: Path, tmp_path: Path) -> None:
    both = made(prepared, tmp_path / "both", ("swap", "reenact"))
    swapped = made(prepared, tmp_path / "swap", ("swap",))
    for clips in (both, swapped):
        names = [sorted(Path(name).name for name in clips if name.startswith(kind)) for kind in ("real/", "fake/")]
        assert len(names[0]) == len(PEOPLE)
        assert names[0] == names[1]
    methods = [sorted(Path(name).parent.name for name in clips if name.startswith("fake/")) for clips in (both, swapped)]
    assert methods == [["feather", "poisson", "reenact", "reenact"], ["feather", "feather", "poisson", "poisson"]]
    for name in both:
        if name.startswith("real/"):
            assert both[name] == swapped[name]
    assert made(prepared, tmp_path / "again", ("swap", "reenact")) == both
    for name in both:
        if "reenact" in name:
            real, fake = frames_of(tmp_path / "both" / "real" / Path(name).name), frames_of(tmp_path / "both" / name)
            assert real.shape == fake.shape
            assert len(real) == FRAMES
            assert np.abs(real.astype(float) - fake).mean() > 0.3


def test_a_reenacted_face_moves_to_the_expression_and_nothing_around_it(portraits: dict[str, tuple[np.ndarray, Face]]) -> None:
    analyzer = default_analyzer()
    closer = 0
    for name, other in (("collins", "hopper"), ("hopper", "collins"), ("maher", "guido"), ("guido", "maher")):
        (image, face), (driving, driver) = portraits[name], portraits[other]
        assert face.landmarks is not None
        assert driver.landmarks is not None
        donor = Donor(driving, driver.landmarks)
        moved = reenact_face(image, face, donor)
        assert moved.shape == image.shape
        changed = np.abs(moved.astype(int) - image).max(2) > 8
        x0, y0, x1, y1 = (int(v) for v in face.box)
        margin = (x1 - x0) // 3 + 8
        outside = changed.copy()
        outside[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin] = False
        assert not outside.any()
        assert changed.any()
        found = analyzer(moved)[0].landmarks
        assert found is not None
        before, after, wanted = (openness(marks) for marks in (face.landmarks, found, driver.landmarks))
        closer += abs(after - wanted) <= abs(before - wanted) + 0.02
    assert closer >= 3


def openness(landmarks: np.ndarray) -> float:
    """How far the lips are apart, by the width of the mouth."""
    return float(np.linalg.norm(landmarks[62] - landmarks[66]) / np.linalg.norm(landmarks[48] - landmarks[54]))


def test_one_s_own_expression_and_no_strength_leave_the_face(portraits: dict[str, tuple[np.ndarray, Face]]) -> None:
    image, face = portraits["collins"]
    assert face.landmarks is not None
    own, (driving, driver) = Donor(image, face.landmarks), portraits["hopper"]
    assert driver.landmarks is not None
    for moved in (reenact_face(image, face, own), reenact_face(image, face, Donor(driving, driver.landmarks), 0.0)):
        assert np.abs(moved.astype(int) - image).max() <= 1
    turned = face.landmarks @ np.array([[0.8, -0.3], [0.3, 0.8]]) + 20
    assert misfit(face.landmarks, turned) < 1e-3 < misfit(face.landmarks, driver.landmarks)
    np.testing.assert_array_equal(reenact_face(image, replace(face, landmarks=face.landmarks + np.float32(5000)), own), image)
    with pytest.raises(ValueError, match="expected 81 landmarks, got None"):
        reenact_face(image, replace(face, landmarks=None), own)


def test_a_split_without_people_is_one_line(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(prepared), str(tmp_path / "clips"), "--split", "val"]) == 1
    assert "holds 0 photographs of real faces in split val; swapping needs two" in capsys.readouterr().err
