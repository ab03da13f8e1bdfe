"""`prepare`: right crops and rows, every input's fate, and one manifest however often it is stopped."""

from __future__ import annotations

import csv
import functools
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import makers
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fpg.cli.prepare import main
from fpg.common.crops import context_crop
from fpg.common.errors import FpgError, InputError, UsageError
from fpg.data.crop_files import OutputError
from fpg.data.manifest import NAME, Manifest, VideoRecord, check_crops, read_manifest, write_manifest
from fpg.data.prepare import prepare
from fpg.data.statistics import statistics
from fpg.data.video import read_frames, read_image

FACES = makers.ColourAnalyzer


def small_set(root: Path, videos: int = 3) -> Path:
    """real/ and fake/ with some videos, an image, a folder of frames."""
    for label in ("real", "fake"):
        (root / label).mkdir(parents=True)
        for i in range(videos):
            makers.write_video(root / label / f"{i:03d}.mp4", 20 + i, seed=i)
    Image.fromarray(makers.picture()).save(root / "real" / "still.png")
    (root / "fake" / "clip").mkdir()
    for i, image in enumerate(makers.pictures(12)):
        Image.fromarray(image).save(root / "fake" / "clip" / f"{i}.png")
    return root


def prepare_here(source: Path, out: Path, **options: object) -> Manifest:
    options.setdefault("workers", 0)
    options.setdefault("analyzer", FACES)
    options.setdefault("frames", 5)
    return prepare(source, out, quiet=True, **options)  # type: ignore[arg-type]


def files_of(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_crops_and_rows(tmp_path: Path) -> None:
    source = small_set(tmp_path / "set")
    manifest = prepare_here(source, tmp_path / "out")
    assert [v.status for v in manifest.videos] == ["prepared"] * 8
    assert {(v.method, v.video): v.frames for v in manifest.videos}["fake", "clip"] == 5
    assert check_crops(manifest) == []
    rows = [row for row in manifest.faces if row.key == ("set", "", "001")]
    assert [row.frame for row in rows] == [0, 5, 10, 15, 20]
    for row, (index, time_s, frame) in zip(rows, read_frames(source / "real/001.mp4", [0, 5, 10, 15, 20]), strict=True):
        assert row.path == f"crops/set/real/001/{index:06d}_0.png"
        (face,) = FACES()(frame)
        assert face.landmarks is not None
        y0, y1, x0, x1 = context_crop(face.landmarks, *frame.shape[:2])
        np.testing.assert_array_equal(read_image(manifest.root / row.path), frame[y0:y1, x0:x1])
        np.testing.assert_allclose(row.landmarks + np.array([x0, y0]), face.landmarks, atol=1e-4)
        np.testing.assert_allclose(row.box + np.array([x0, y0, x0, y0]), face.box, atol=1e-4)
        assert (row.origin, row.size, row.frame_size) == ((x0, y0), (y1 - y0, x1 - x0), frame.shape[:2])
        assert row.time_s == pytest.approx(time_s)
        assert (row.label, row.pose) == (0, (1.0, 2.0, 3.0))
        assert row.score == pytest.approx(0.9)
    assert set(files_of(tmp_path / "out")) == {NAME, "prepare.json", *(row.path for row in manifest.faces)}


def test_large_faces_are_kept_largest_first(tmp_path: Path) -> None:
    image = makers.picture(200, 100, face=(10, 40, 40, 80))  # 1200 square pixels
    image[40:80, 60:100] = makers.SKIN  # 1600
    image[40:60, 120:158] = makers.SKIN  # 760: less than half of the largest
    (tmp_path / "in").mkdir()
    Image.fromarray(image).save(tmp_path / "in" / "a.png")
    rows = prepare_here(tmp_path / "in", tmp_path / "out", label=0).faces
    areas = [float((r.box[2] - r.box[0]) * (r.box[3] - r.box[1])) for r in rows]
    assert [row.face for row in rows] == [0, 1]
    assert areas == [1600, 1200]


def crossing(count: int) -> list[np.ndarray]:
    """Two faces; the smaller one grows past the other, so that largest first changes its mind."""
    images = [makers.picture(200, 100, face=(20, 30, 60, 70), seed=i) for i in range(count)]
    for i, image in enumerate(images):
        image[28 : 64 + i, 130 : 166 + i] = makers.SKIN
    return images


def test_tracks_follow_a_face_that_changes_its_rank(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    makers.write_video(tmp_path / "in" / "a.mp4", crossing(12), options={"qp": "0"})
    manifest = prepare_here(tmp_path / "in", tmp_path / "out", label=0, frames=4)
    places = {(row.track, row.origin[0] + row.box[0] > 100) for row in manifest.faces}
    assert places == {(0, False), (1, True)}
    assert [(row.face, row.track) for row in manifest.faces] == [(0, 0), (1, 1)] * 2 + [(0, 1), (1, 0)] * 2
    s = statistics(manifest)
    assert (s.frames, s.frames_with_face, s.frames_with_several, s.crops, s.tracks, s.videos_with_several) == (4, 4, 4, 8, 2, 1)
    assert 36 <= s.face_size[0] < s.face_size[1] < s.face_size[2] <= 48


def test_statistics_of_nothing(tmp_path: Path) -> None:
    s = statistics(Manifest(tmp_path, [], []))
    assert (s.frames, s.crops, s.tracks) == (0, 0, 0)
    assert np.isnan(s.face_size).all()


def test_manifests_from_before_tracks_and_checksums_are_read(tmp_path: Path) -> None:
    manifest = prepare_here(small_set(tmp_path / "set", videos=1), tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / NAME)
    pq.write_table(table.drop_columns(["track", "crc32"]), tmp_path / "out" / NAME)
    old = read_manifest(tmp_path / "out")
    assert len(old.faces) == len(manifest.faces) > 0
    assert {(row.track, row.crc32) for row in old.faces} == {(None, None)}
    assert check_crops(old, checksums=True) == []
    assert statistics(old).tracks == 0


def test_splits_come_from_folders_or_hash(tmp_path: Path) -> None:
    for place in ("train/real", "test/fake"):
        (tmp_path / "set" / place).mkdir(parents=True)
        Image.fromarray(makers.picture()).save(tmp_path / "set" / place / "a.png")
    manifest = prepare_here(tmp_path / "set", tmp_path / "out")
    assert {(row.label, row.split) for row in manifest.faces} == {(0, "train"), (1, "test")}


def test_every_bad_input_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    real = tmp_path / "set" / "real"
    real.mkdir(parents=True)
    makers.write_video(real / "good.mp4", 8)
    makers.write_video(real / "noface.mp4", makers.pictures(6, face=(0, 0, 0, 0)))
    (real / "zero.mp4").touch()
    (real / "corrupt.mp4").write_bytes(np.random.default_rng(0).bytes(3000))
    makers.truncate(makers.write_video(real / "cut.mp4", 60, container={"movflags": "faststart"}))
    makers.write_sound(real / "audio.mp4")
    makers.write_video(real / "frameless.avi", 0)
    makers.write_png_that_lies(real / "liar.png", (400, 300))
    makers.write_png_that_lies(real / "giant.png", (60000, 60000))
    (real / "clip").mkdir()
    Image.fromarray(makers.picture()).save(real / "clip" / "0.png")
    (real / "clip" / "1.png").write_bytes(b"not an image")
    manifest = prepare_here(tmp_path / "set", tmp_path / "out")
    fate = {v.video: (v.status, v.reason) for v in manifest.videos}
    assert fate["good"] == ("prepared", "")
    assert fate["noface"] == ("no_face", "")
    expected = {
        "zero": "is empty (0 bytes)",
        "corrupt": "not a readable video",
        "cut": "truncated or damaged",
        "audio": "holds sound but no video stream",
        "frameless": "no frame",
        "liar": "less than the 400 x 300 pixels",
        "giant": "is too large",
        "clip": "1.png is not a readable image",
    }
    for name, reason in expected.items():
        assert fate[name][0] == "failed"
        assert reason in fate[name][1]
    assert {Path(row.path).parts[-2] for row in manifest.faces} == {"good"}
    assert not (tmp_path / "out/crops/set/real/clip").exists()
    with open(tmp_path / "out" / "failures.csv", newline="") as file:
        listed = {Path(line["path"]).stem: line["reason"] for line in csv.DictReader(file)}
    assert listed == {name: reason for name, (status, reason) in fate.items() if status == "failed"}


def test_missing_file_of_a_list(tmp_path: Path) -> None:
    makers.write_video(tmp_path / "a.mp4", 6)
    (tmp_path / "list.csv").write_text("path,label\na.mp4,real\ngone.mp4,real\n")
    manifest = prepare_here(tmp_path / "list.csv", tmp_path / "out")
    assert [(v.video, v.status, v.reason) for v in manifest.videos] == [("a", "prepared", ""), ("gone", "failed", "no such file")]


def test_failed_inputs_are_tried_again(tmp_path: Path) -> None:
    source = tmp_path / "set"
    (source / "real").mkdir(parents=True)
    makers.write_video(source / "real" / "a.mp4", 8)
    (source / "real" / "b.mp4").touch()
    assert [v.status for v in prepare_here(source, tmp_path / "out").videos] == ["prepared", "failed"]
    makers.write_video(source / "real" / "b.mp4", 8)
    before = (tmp_path / "out/crops/set/real/a/000000_0.png").stat().st_mtime_ns
    assert [v.status for v in prepare_here(source, tmp_path / "out").videos] == ["prepared", "prepared"]
    assert (tmp_path / "out/crops/set/real/a/000000_0.png").stat().st_mtime_ns == before
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_nan_landmarks_reject_that_face_by_name(tmp_path: Path) -> None:
    real = tmp_path / "set" / "real"
    real.mkdir(parents=True)
    two = makers.picture(120, 80, face=(20, 30, 60, 70))
    two[30:65, 75:105] = makers.SKIN
    Image.fromarray(makers.triggered(two)).save(real / "two.png")
    Image.fromarray(makers.triggered(makers.picture())).save(real / "one.png")
    manifest = prepare_here(tmp_path / "set", tmp_path / "out")
    one, two_faces = manifest.videos
    assert (one.status, two_faces.status) == ("no_face", "prepared")
    for video in manifest.videos:
        assert video.reason.startswith("1 faces rejected: frame 0 face 0: landmarks: expected finite coordinates")
    assert [(row.video, row.face) for row in manifest.faces] == [("two", 0)]
    assert np.isfinite(manifest.faces[0].landmarks).all()


def test_an_analyzer_that_raises_fails_that_input_only(tmp_path: Path) -> None:
    real = tmp_path / "set" / "real"
    real.mkdir(parents=True)
    frames = makers.pictures(10)
    makers.write_video(real / "bad.mp4", [*frames[:6], *map(makers.triggered, frames[6:])])
    makers.write_video(real / "good.mp4", frames)
    manifest = prepare_here(tmp_path / "set", tmp_path / "out", analyzer=functools.partial(FACES, "raise"))
    bad, good = manifest.videos
    assert (bad.status, bad.reason) == ("failed", "unexpected RuntimeError: the analyzer fell over")
    assert good.status == "prepared"
    assert not (tmp_path / "out/crops/set/real/bad").exists()


def test_a_killed_worker_costs_its_input_only(tmp_path: Path) -> None:
    real = tmp_path / "set" / "real"
    real.mkdir(parents=True)
    frames = makers.pictures(6)
    for name in ("a", "b", "c"):
        makers.write_video(real / f"{name}.mp4", frames)
    makers.write_video(real / "bad.mp4", [*frames[:4], *map(makers.triggered, frames[4:])])
    manifest = prepare_here(tmp_path / "set", tmp_path / "out", workers=1, analyzer=functools.partial(FACES, "kill"))
    assert {v.video: v.status for v in manifest.videos} == {"a": "prepared", "b": "prepared", "bad": "failed", "c": "prepared"}
    assert "ended by SIGKILL" in manifest.videos[2].reason
    assert not (tmp_path / "out/crops/set/real/bad").exists()


def cannot_start() -> makers.ColourAnalyzer:
    raise FpgError("no models here")


def dies_at_once() -> makers.ColourAnalyzer:
    os._exit(7)


@pytest.mark.parametrize(("factory", "message"), [(cannot_start, "no models here"), (dies_at_once, "could not start: .* exit code 7")])
def test_workers_that_cannot_start_end_the_run(tmp_path: Path, factory: object, message: str) -> None:
    (tmp_path / "set" / "real").mkdir(parents=True)
    makers.write_video(tmp_path / "set" / "real" / "a.mp4", 3)
    with pytest.raises(FpgError, match=message):
        prepare_here(tmp_path / "set", tmp_path / "out", workers=1, analyzer=factory)


def test_worker_counts_give_one_manifest(tmp_path: Path) -> None:
    source = small_set(tmp_path / "set", videos=2)
    outputs = []
    for workers in (0, 1, 2):
        prepare_here(source, tmp_path / f"out{workers}", workers=workers)
        outputs.append(files_of(tmp_path / f"out{workers}"))
    assert outputs[0] == outputs[1] == outputs[2]


RUN = '''
import makers, pathlib, sys
from fpg.data.prepare import prepare
from fpg.cli.entry import run
import time

class Held(makers.ColourAnalyzer):
    """Goes no further once so many videos are recorded."""

    def __call__(self, image):
        while len(list(pathlib.Path(sys.argv[2]).glob(".progress/*/manifest.parquet"))) >= int(sys.argv[3]):
            time.sleep(0.01)
        return super().__call__(image)

if __name__ == "__main__":
    label = int(sys.argv[4]) if sys.argv[4:] else None
    sys.exit(run(lambda: prepare(sys.argv[1], sys.argv[2], frames=5, workers=2, label=label, analyzer=Held, quiet=True) and 0))
'''


def started(tmp_path: Path, source: Path, out: Path, videos: int, *label: str) -> subprocess.Popen[bytes]:
    script = tmp_path / "run_it.py"
    script.write_text(RUN)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(script), str(source), str(out), str(videos), *label],
        env=environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
        # What a shell starts in the background ignores SIGINT, and so does all that it starts.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_records(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while len(list(out.glob(f".progress/*/{NAME}"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def group_is_gone(group: int) -> bool:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def session_ended(process: subprocess.Popen[bytes]) -> None:
    try:
        assert group_is_gone(process.pid)
    finally:
        if process.poll() is None or not group_is_gone(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_twenty_clips_stopped_twice_equal_an_uninterrupted_run(tmp_path: Path) -> None:
    source = tmp_path / "set"
    source.mkdir()
    for i in range(20):
        makers.write_video(source / f"{i:02d}.mp4", crossing(8 + i % 3))
    whole = prepare_here(source, tmp_path / "whole", label=0)
    out, kept = tmp_path / "out", dict[Path, int]()
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)):
        before = len(kept)
        process = started(tmp_path, source, out, before + 5, "0")
        wait_for_records(out, before + 5, process)
        os.kill(process.pid, number)
        assert process.wait(60) == code
        session_ended(process)  # the workers follow
        assert all(path.stat().st_mtime_ns == at for path, at in kept.items())  # nothing is done twice
        kept = {path: path.stat().st_mtime_ns for path in out.glob(f".progress/*/{NAME}")}
        assert before + 5 <= len(kept) <= before + 6
        assert not (out / NAME).exists()
    process = started(tmp_path, source, out, 21, "0")
    assert process.wait(120) == 0, process.communicate()
    assert len(whole.videos) == 20
    assert {row.track for row in whole.faces} == {0, 1}
    assert files_of(out) == {**files_of(tmp_path / "whole"), "prepare.json": (out / "prepare.json").read_bytes()}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_signal(tmp_path: Path, number: signal.Signals, code: int) -> None:
    source, out = small_set(tmp_path / "set", videos=5), tmp_path / "out"
    process = started(tmp_path, source, out, 2)
    wait_for_records(out, 2, process)
    os.kill(process.pid, number) if number == signal.SIGTERM else os.killpg(process.pid, number)
    assert process.wait(60) == code
    session_ended(process)
    assert not (out / NAME).exists()
    written = {p.relative_to(out).as_posix() for p in out.rglob("*.png")}
    records = [read_manifest(p) for p in out.glob(f".progress/*/{NAME}")]
    assert written == {row.path for record in records for row in record.faces}
    assert list(out.rglob("*.part")) == []


def test_other_settings_are_refused(tmp_path: Path) -> None:
    source = small_set(tmp_path / "set", videos=1)
    prepare_here(source, tmp_path / "out", frames=3)
    before = files_of(tmp_path / "out")
    with pytest.raises(UsageError, match="was begun with frames 3, now 4"):
        prepare_here(source, tmp_path / "out", frames=4)
    with pytest.raises(UsageError, match="was begun with looks 'all', now 'first'"):
        prepare_here(source, tmp_path / "out", frames=3, looks="first")
    with pytest.raises(UsageError, match="was begun with source"):
        prepare_here(source / "real", tmp_path / "out", frames=3, label=0)
    assert files_of(tmp_path / "out") == before


def test_output_inside_source_is_refused(tmp_path: Path) -> None:
    source = small_set(tmp_path / "set", videos=1)
    for out in (source, source / "out"):
        with pytest.raises(UsageError, match="lies inside SOURCE"):
            prepare_here(source, out)
    assert not (source / "out").exists()


def test_labels_are_needed_and_not_contradicted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    makers.write_video(tmp_path / "in" / "a.mp4", 4)
    with pytest.raises(UsageError, match="no labels"):
        prepare_here(tmp_path / "in", tmp_path / "out")
    assert prepare_here(tmp_path / "in", tmp_path / "out", label=1).faces[0].label == 1
    source = small_set(tmp_path / "set", videos=1)
    with pytest.raises(UsageError, match="states labels itself"):
        prepare_here(source, tmp_path / "out2", label=1)


def test_a_full_disk_stops_the_run_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = small_set(tmp_path / "set", videos=2), tmp_path / "out"
    real_write, written = Path.write_bytes, []

    def write_bytes(self: Path, data: bytes) -> int:
        if self.suffix == ".png" and len(written) == 12:
            with open(self, "wb") as file:
                file.write(bytes(data)[:10])
            raise OSError(28, os.strerror(28))
        written.append(self)
        return real_write(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OutputError, match=r"\.png: cannot be written: No space left on device"):
        prepare_here(source, out)
    monkeypatch.undo()
    assert not (out / NAME).exists()
    records = [read_manifest(p) for p in out.glob(f".progress/*/{NAME}")]
    assert {p.relative_to(out).as_posix() for p in out.rglob("*.png")} == {row.path for r in records for row in r.faces}
    prepare_here(source, out)
    prepare_here(source, tmp_path / "whole")
    assert files_of(out) == files_of(tmp_path / "whole")


def test_a_real_refusal_of_the_file_system(tmp_path: Path) -> None:
    """A limit on file size stands in for a full disk: the operating system itself refuses, in the worker."""
    (tmp_path / "set" / "real").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 90, (200, 200, 3), dtype=np.uint8)
    noise[60:160, 60:140] = makers.SKIN
    Image.fromarray(noise).save(tmp_path / "set" / "real" / "a.png")
    script = tmp_path / "run_it.py"
    script.write_text(RUN)
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "set"), str(tmp_path / "out"), "9"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")]), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1].endswith("000000_0.png: cannot be written: File too large")
    assert list((tmp_path / "out").rglob("*.png")) == []
    assert not (tmp_path / "out" / NAME).exists()


def test_output_that_cannot_be_made(tmp_path: Path) -> None:
    source = small_set(tmp_path / "set", videos=1)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder"):
        prepare_here(source, tmp_path / "file")
    with pytest.raises(InputError, match="cannot be written"):
        prepare_here(source, tmp_path / "file" / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path: Path) -> None:
    source = small_set(tmp_path / "set", videos=1)
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written: Permission denied"):
        prepare_here(source, tmp_path / "locked" / "out")


def test_two_runs_into_one_folder(tmp_path: Path) -> None:
    import fcntl

    source = small_set(tmp_path / "set", videos=1)
    (tmp_path / "out").mkdir()
    descriptor = os.open(tmp_path / "out", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(InputError, match="another fpg-prepare"):
            prepare_here(source, tmp_path / "out")
    finally:
        os.close(descriptor)


def test_strange_names_stay_inside_and_apart(tmp_path: Path) -> None:
    for suffix in ("mp4", "mkv", "mov"):  # one id for three files
        makers.write_video(tmp_path / f"a.{suffix}", 4)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "list.csv").write_text("path,label,method\n../a.mp4,real,\n../a.mkv,fake,real\n../a.mov,fake,../../x\n")
    manifest = prepare_here(tmp_path / "sub" / "list.csv", tmp_path / "out")
    assert [v.status for v in manifest.videos] == ["prepared"] * 3
    assert len({row.path for row in manifest.faces}) == len(manifest.faces)
    crops = (tmp_path / "out" / "crops").resolve()
    assert all((manifest.root / row.path).resolve().is_relative_to(crops) for row in manifest.faces)


def test_vanished_and_damaged_crops_are_named(tmp_path: Path) -> None:
    manifest = prepare_here(small_set(tmp_path / "set", videos=1), tmp_path / "out")
    assert check_crops(manifest) == []
    paths = [manifest.root / row.path for row in manifest.faces]
    paths[1].unlink()
    makers.truncate(paths[2], 0.5)
    Image.fromarray(makers.picture(20, 20)).save(paths[3])
    paths[4].write_bytes(b"")
    problems = check_crops(manifest)
    height, width = manifest.faces[3].size
    assert [str(p).removeprefix(str(manifest.root) + "/") for p in problems] == [
        f"{manifest.faces[1].path}: is missing",
        f"{manifest.faces[2].path}: is not a whole PNG",
        f"{manifest.faces[3].path}: is not the crop of {width} x {height} pixels that the manifest lists",
        f"{manifest.faces[4].path}: is not a whole PNG",
    ]


def test_a_crop_with_another_picture_of_its_size_has_another_checksum(tmp_path: Path) -> None:
    manifest = prepare_here(small_set(tmp_path / "set", videos=1), tmp_path / "out")
    first = manifest.root / manifest.faces[0].path
    Image.fromarray(255 - read_image(first)).save(first)
    assert check_crops(manifest) == []
    (problem,) = check_crops(manifest, checksums=True)
    assert (problem.path, problem.reason) == (str(first), "is not what was written: its checksum differs from the manifest's")


@pytest.mark.parametrize(("name", "value"), [("label", 2), ("split", "holdout"), ("status", "skipped")])
def test_a_manifest_with_unknown_values_is_refused(tmp_path: Path, name: str, value: object) -> None:
    record = VideoRecord("d", "", "v", 0, "test", "v.mp4", "no_face")
    write_manifest(tmp_path, [], [replace(record, **{name: value})])  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"manifest\.parquet: d//v: label, split or status"):
        read_manifest(tmp_path)


def test_vanished_crops_are_made_again(tmp_path: Path) -> None:
    source = small_set(tmp_path / "set", videos=1)
    manifest = prepare_here(source, tmp_path / "out")
    before = files_of(tmp_path / "out")
    (manifest.root / manifest.faces[0].path).unlink()
    prepare_here(source, tmp_path / "out")
    assert files_of(tmp_path / "out") == before


def test_faces_that_are_too_small_are_no_crops_and_are_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, side in (("a", 31), ("b", 33)):
        image = np.full((120, 160, 3), 90, np.uint8)
        image[40 : 40 + side, 60 : 60 + side] = (255, 0, 0)
        Image.fromarray(image).save(tmp_path / "in" / f"{name}.png")
    manifest = prepare_here(tmp_path / "in", tmp_path / "out", label=0)
    assert [video.status for video in manifest.videos] == ["no_face", "prepared"]
    assert manifest.videos[0].reason == "1 faces rejected: frame 0 face 0: face too small to judge: 31 px (at least 32 are needed)"
    with pytest.raises(UsageError, match="min_face 32, now 20"):
        prepare_here(tmp_path / "in", tmp_path / "out", label=0, min_face=20)
    assert [video.status for video in prepare_here(tmp_path / "in", tmp_path / "out2", label=0, min_face=20).videos] == ["prepared"] * 2


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set" / "real").mkdir(parents=True)
    makers.write_video(tmp_path / "set" / "real" / "a.mp4", 6)
    (tmp_path / "set" / "real" / "[b].mp4").touch()
    monkeypatch.setattr("fpg.data.prepare.default_faces", FACES)
    monkeypatch.setattr("fpg.data.prepare.prepare.__kwdefaults__", {**(prepare.__kwdefaults__ or {}), "analyzer": FACES})
    arguments = [str(tmp_path / "set"), str(tmp_path / "out"), "--workers", "0", "--frames", "3"]
    assert main(arguments) == 1
    error = capfd.readouterr().err
    assert f"failed: {tmp_path}/set/real/[b].mp4: is empty (0 bytes)" in error
    assert "without a face" in error
    assert "\\[b]" not in error  # the table prints names as they are
    (tmp_path / "set" / "real" / "[b].mp4").unlink()
    assert main(arguments) == 0
    assert main([*arguments[:-1], "4"]) == 2
    assert main([str(tmp_path / "none"), str(tmp_path / "out2")]) == 1
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), str(tmp_path / "out3")]) == 1
    assert "holds no video and no image" in capfd.readouterr().err
    assert main([str(tmp_path / "set"), str(tmp_path / "out4"), "--frames", "0"]) == 2


def test_default_faces_on_a_real_picture(tmp_path: Path) -> None:
    skimage = pytest.importorskip("skimage")
    pytest.importorskip("openvino")
    (tmp_path / "in").mkdir()
    Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png").convert("RGB").save(tmp_path / "in" / "a.png")
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(tmp_path / "in" / "b.png")
    manifest = prepare(tmp_path / "in", tmp_path / "out", label=0, workers=0, quiet=True)
    assert [v.status for v in manifest.videos] == ["prepared", "no_face"]
    (row,) = manifest.faces
    assert row.landmarks.shape == (81, 2)
    x0, y0, x1, y1 = row.box + np.tile(row.origin, 2)
    assert 150 < x0 < 190 < 260 < x1 < 285  # her face is about (170, 65) to (270, 180)
    assert 50 < y0 < 90 < 160 < y1 < 195
    assert ((row.landmarks >= 0) & (row.landmarks < [row.size[1], row.size[0]])).all()
