"""`fpg-doctor data`: whole miniatures are found whole, every planted fault is found, and nothing is written next to the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import makers
import miniatures
import numpy as np
import pytest

from fpg.cli import doctor
from fpg.data.doctor import DataReport, as_json, examine_data
from fpg.data.prepare import prepare


def look(root: Path, **options: Any) -> DataReport:
    options = {"estimate": 0, "workers": 0, "quiet": True, **options}
    return examine_data(root, **options)


def planted(report: DataReport) -> set[tuple[str, str]]:
    """(code, name of the file) of what is wrong, published numbers aside: a miniature has none of them."""
    return {(f.code, Path(f.path).name) for f in report.findings if f.level != "note" and f.code != "count"}


@pytest.mark.parametrize("name", miniatures.BUILDERS)
def test_whole_miniatures_are_whole(name: str, tmp_path: Path) -> None:
    root = miniatures.BUILDERS[name](tmp_path / "set")
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    report = look(root, deep=name in ("ff", "wild", "deepfakebench"))
    assert planted(report) == set()
    assert report.videos == sum(c.videos for c in report.counts) == len(report.listing) == report.opened > 0
    assert all(c.missing == 0 and c.reason and c.split != "none" for c in report.counts)
    assert all(entry["on_disk"] and entry["opened"]["frames"] >= 1 for entry in report.listing)
    assert sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before
    assert json.loads(as_json(report))["schema"] == "fpg.data/1"


REAL = "original_sequences/youtube/c23/videos"
FAKE = "manipulated_sequences/FaceShifter/c23/videos"


def cut(root: Path) -> None:
    makers.truncate(root / REAL / "000.mp4")


def empty(root: Path) -> None:
    (root / REAL / "000.mp4").write_bytes(b"")


def noise(root: Path) -> None:
    (root / REAL / "000.mp4").write_bytes(np.random.default_rng(0).bytes(500))


def gone(root: Path) -> None:
    (root / FAKE / "000_003.mp4").unlink()


def unlisted(root: Path) -> None:
    miniatures.put(root / REAL / "777.mp4")


def no_split(root: Path) -> None:
    (root / "test.json").unlink()


def bad_split(root: Path) -> None:
    (root / "test.json").write_text("[[20, 21]]")


def two_splits(root: Path) -> None:
    (root / "test.json").write_text('[["020", "021"], ["000", "777"]]')


def copy(root: Path) -> None:
    (root / FAKE / "003_000.mp4").write_bytes((root / REAL / "020.mp4").read_bytes())


def twice(root: Path) -> None:
    video = miniatures.put(root / REAL / "000.mov")
    video.write_bytes(video.read_bytes())


def wrong_shape(root: Path) -> None:
    np.save(root / "original_sequences/youtube/c23/landmarks/000/001.npy", np.zeros((1, 12, 2)))


def wrong_boxes(root: Path) -> None:
    np.save(root / "original_sequences/youtube/c23/retina/000/001.npy", np.zeros((1, 7, 2)))


def no_landmarks(root: Path) -> None:
    (root / "original_sequences/youtube/c23/landmarks/000/000.npy").unlink()


@pytest.mark.parametrize(
    ("fault", "code", "name", "text"),
    [
        (cut, "unreadable", "000.mp4", ""),
        (empty, "unreadable", "000.mp4", "is empty (0 bytes)"),
        (noise, "unreadable", "000.mp4", "is not a readable video"),
        (gone, "listed_not_on_disk", "000_003.mp4", "the split files name it"),
        (unlisted, "not_in_split", "777.mp4", "left out"),
        (no_split, "split_file_missing", "test.json", "is missing"),
        (bad_split, "split_file_faulty", "test.json", "expected a pair of ids"),
        (two_splits, "split_conflict", "test.json", "has the id 000, which train.json has too"),
        (copy, "duplicate_content", "003_000.mp4", "they have different labels and splits"),
        (twice, "duplicate_id", "000.mp4", "has the same name"),
        (wrong_shape, "face_files", "000.mp4", "000/001.npy expected numbers [n, 81, 2]"),
        (wrong_boxes, "face_files", "000.mp4", "000/001.npy boxes: expected x0 < x1"),
        (no_landmarks, "face_files", "000.mp4", "1 of 2 frames have no landmark file"),
    ],
)
def test_planted_faults_are_found(
    fault: Callable[[Path], None], code: str, name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = miniatures.sbi_tree(tmp_path / "set")
    fault(root)
    report = look(root)
    assert code in {c for c, _ in planted(report)}
    assert [f for f in report.findings if f.code == code and text in f.text and Path(f.path).name.startswith(name[:3])]
    assert not report.ok
    listed = tmp_path / "list.json"
    assert doctor.main(["data", str(root), "--estimate", "0", "--out", str(listed)]) == 1
    printed = capsys.readouterr().out
    assert f": {code}: " in printed
    written = json.loads(listed.read_text(encoding="utf-8"))
    assert code in {f["code"] for f in written["findings"]}
    assert len(written["listing"]) == written["videos"] == report.videos


def test_only_deep_opens_everything(tmp_path: Path) -> None:
    root = miniatures.ff(tmp_path / "set")
    makers.truncate(root / REAL / "003.mp4")
    assert look(root, sample=1).opened == 1
    assert planted(look(root, sample=1)) == set()
    report = look(root, sample=1, deep=True)
    assert planted(report) == {("unreadable", "003.mp4")}
    assert report.opened == report.videos == 24


def test_deep_with_workers_over_many_videos(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for i in range(55):
        miniatures.put(root / f"real/{i:02d}.mp4")
    makers.truncate(root / "real/31.mp4")
    report = look(root, deep=True, workers=1)
    assert planted(report) == {("unreadable", "31.mp4")}
    assert report.opened == 55


def test_published_numbers(tmp_path: Path) -> None:
    report = look(miniatures.celeb(tmp_path / "set"))
    numbers = {(o.method, o.label, o.split): (o.here, o.official) for o in report.official}
    assert numbers == {
        ("", 0, None): (3, 890),
        ("Celeb-synthesis", 1, None): (2, 5639),
        (None, 0, "test"): (2, 178),
        (None, 1, "test"): (1, 340),
    }
    assert {f.code for f in report.findings if f.level == "warning"} == {"count"}
    assert look(miniatures.real_fake(tmp_path / "mine")).ok


def test_a_missing_split_file_leaves_the_counts(tmp_path: Path) -> None:
    root = miniatures.ff(tmp_path / "set")
    no_split(root)
    report = look(root)
    assert {c.split for c in report.counts} == {"none"}
    assert report.videos == 24


def test_earlier_preparation_and_what_became_of_it(tmp_path: Path) -> None:
    root = miniatures.real_fake(tmp_path / "set")
    makers.truncate(root / "test/fake/a.mp4")
    manifest = prepare(root, tmp_path / "out", workers=0, frames=2, analyzer=makers.ColourAnalyzer, quiet=True)
    first, second = (tmp_path / "out" / row.path for row in manifest.faces[:2])
    first.unlink()
    makers.truncate(second, 0.5)
    report = look(root)
    (done,) = report.preparation
    assert (done.kind, Path(done.path).name) == ("manifest", "out")
    assert done.text.startswith("5 videos prepared, 0 without a face, 1 failed; 10 crops")
    problems = {(f.code, f.path): f.text for f in report.findings if f.code in ("crop", "failed")}
    assert problems.pop(("crop", str(first))) == "is missing"
    assert problems.pop(("crop", str(second))) == "is not a whole PNG"
    assert [code for code, _ in problems] == ["failed"]

    of_output = look(tmp_path / "out")
    assert of_output.layouts == ["fpg-prepare"]
    assert (of_output.videos, sum(c.missing for c in of_output.counts)) == (6, 1)
    assert {f.code for f in of_output.findings} == {"crop", "failed", "copies_across"}


def test_face_files_are_seen(tmp_path: Path) -> None:
    (done,) = look(miniatures.sbi_tree(tmp_path / "set")).preparation
    assert done.kind == "face files"
    assert done.text.startswith("12 of 24 videos have frames and landmarks, 12 of them RetinaFace boxes")


def test_estimate_is_measured(tmp_path: Path) -> None:
    root = miniatures.real_fake(tmp_path / "set")
    guess = look(root, estimate=3, frames=2, analyzer=makers.ColourAnalyzer).estimate
    assert guess is not None
    manifest = prepare(root, tmp_path / "out", workers=0, frames=2, analyzer=makers.ColourAnalyzer, quiet=True)
    size = sum((manifest.root / row.path).stat().st_size for row in manifest.faces)
    assert (guess.measured, guess.videos, guess.frames) == (3, 6, 2)
    assert guess.bytes == pytest.approx(size, rel=0.01)  # all videos show the same
    assert guess.seconds > 0
    assert guess.free > 0


def test_people_in_two_splits_and_one_class_are_noted(tmp_path: Path) -> None:
    notes = {f.code: f.text for f in look(miniatures.celeb(tmp_path / "set")).findings if f.level == "note"}
    assert notes["identities"].startswith("2 identities are in more than one split, first id0")
    fakes = miniatures.df40(tmp_path / "d")
    for file in (fakes / "heygen/real/b").iterdir():
        file.unlink()
    assert "all fake" in {f.code: f.text for f in look(fakes).findings}["one_class"]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = miniatures.real_fake(tmp_path / "set")
    assert doctor.main(["data", str(root), "--estimate", "0"]) == 0
    printed = capsys.readouterr().out
    assert "real-fake, 6 videos" in printed
    assert "set, test: 2 (folder test/)" in printed
    assert "6 of 6 videos were opened" in printed
    assert doctor.main(["data", str(root), "--estimate", "0", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["ok"] is True
    assert "listing" not in content
    assert doctor.main(["data", "--layout", "list"]) == 0
    assert "celeb-df-v2" in capsys.readouterr().out
    assert doctor.main(["data", str(tmp_path / "no")]) == 1
    assert doctor.main(["data"]) == 2
    assert doctor.main(["data", str(root), "--layout", "nonsense"]) == 2
    assert doctor.main(["data", str(root), "--frames", "0"]) == 2
    (tmp_path / "void").mkdir()
    assert doctor.main(["data", str(tmp_path / "void")]) == 1
