"""Long runs: lines as inputs end, going on after a kill, memory, folders that are watched, streams that break."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from judging import BrightnessEngine, GreenAnalyzer, empty_image, face_image, lossless_video, save
from schemas import check_output

import fpg.cli.detect as detect
from fpg.cli.live import Live
from fpg.cli.watch import SETTLED, arrivals
from fpg.common.errors import InputError
from fpg.runtime.judgement import FaceScore, FrameScore
from fpg.runtime.pipeline import StreamFrame, VideoDetector

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(detect, "load_engine", lambda path, **options: BrightnessEngine())
    monkeypatch.setattr(detect, "default_analyzer", GreenAnalyzer)
    yield
    while STARTED:  # whatever the test came to
        STARTED.pop().kill()


STARTED: list[subprocess.Popen[str]] = []


def start(*arguments: object, slow_s: float = 0) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "FPG_SLOW_S": str(slow_s)}
    command = [sys.executable, str(TESTS / "detect_process.py"), "m.xml", *map(str, arguments)]
    STARTED.append(subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    return STARTED[-1]


def until_lines(path: Path, count: int, process: subprocess.Popen[str], patience_s: float = 120) -> None:
    """Wait until a file has so many lines."""
    end = time.monotonic() + patience_s
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)


def without_times(path: Path) -> dict[str, Any]:
    """A file of results without what differs from run to run of the same: times, the command."""
    value = json.loads(path.read_text())
    check_output(value)
    for key in ("started", "ended", "command"):
        del value["record"][key]
    del value["record"]["fpg"]["commit"]  # `-dirty` comes while somebody edits
    return dict(value)


def inputs(folder: Path, count: int) -> Path:
    """Pictures, one in ten without a face, and a video in between."""
    for i in range(count):
        save(folder / f"{i:05d}.png", empty_image() if i % 10 == 3 else face_image((37 * i) % 256))
    lossless_video(folder / "00007a.mkv", [face_image(20 * i) for i in range(8)])
    (folder / "00008a.mp4").write_bytes(b"no video")
    return folder


@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("lines", ["--jsonl", "--json alone"])
def test_a_killed_run_goes_on_exactly(tmp_path: Path, count: int, lines: str) -> None:
    folder = inputs(tmp_path / "in", count)
    whole = tmp_path / "whole.json"
    assert detect.main(["m.xml", str(folder), "--json", str(whole), "--frames", "4"]) == 1
    out = tmp_path / "o.json"
    kept = tmp_path / "o.jsonl" if lines == "--jsonl" else tmp_path / "o.json.unfinished.jsonl"
    command = [folder, "--json", out, "--frames", "4", *(["--jsonl", kept] if lines == "--jsonl" else [])]
    process = start(*command, slow_s=0.01)
    until_lines(kept, count // 2, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    before = kept.read_bytes()
    with open(kept, "ab") as file:
        file.write(before[:100])  # what a kill in the middle of a line leaves
    again = start(*command, "--resume")
    printed, errors = again.communicate(timeout=300)
    assert again.returncode == 1, errors
    assert without_times(out) == without_times(whole)
    done = before.count(b"\n")
    assert f"note: {done} inputs were judged before" in errors
    shown = [line for line in printed.splitlines() if line.startswith(("not calibrated ", "not judged "))]
    assert len(shown) == count + 2 - done
    assert f"{count + 2} inputs, worst first:" in printed  # those from before, too
    if lines == "--jsonl":
        names = [json.loads(line)["input"] for line in kept.read_text().splitlines()]
        assert len(names) == len(set(names)) == count + 2
        assert kept.read_bytes().startswith(before)
    else:
        assert not kept.exists()


def test_what_changed_since_is_judged_again_and_other_settings_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    for i in range(3):
        save(folder / f"{i}.png", face_image(50 * i))
    lines, out = tmp_path / "o.jsonl", tmp_path / "o.json"
    assert detect.main(["m.xml", str(folder), "--jsonl", str(lines)]) == 0
    save(folder / "1.png", face_image(250))
    os.utime(folder / "1.png", ns=(1, 1))
    assert detect.main(["m.xml", str(folder), "--jsonl", str(lines), "--json", str(out), "--resume"]) == 0
    assert "2 inputs were judged before" in capsys.readouterr().err
    assert [r["verdict"] for r in json.loads(out.read_text())["results"]] == ["real", "fake", "real"]
    for other in (["--frames", "7"], ["--threshold", "0.1"], ["--min-face", "20"]):
        assert detect.main(["m.xml", str(folder), "--jsonl", str(lines), "--resume", *other]) == 2
        assert f"was written with {other[0]}" in capsys.readouterr().err
    lines.write_text('{"a": 1}\n')
    assert detect.main(["m.xml", str(folder), "--jsonl", str(lines), "--resume"]) == 1
    assert "line 1 is not a result of fpg-detect" in capsys.readouterr().err
    assert detect.main(["m.xml", str(folder), "--resume"]) == 2


def test_a_resumed_report_has_its_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for i in range(3):
        save(folder / f"{i}.png", face_image(50 * i))
    lines = tmp_path / "o.jsonl"
    assert detect.main(["m.xml", str(folder), "--jsonl", str(lines), "--report", str(tmp_path / "a.html")]) == 0
    assert detect.main(["m.xml", str(folder), "--jsonl", str(lines), "--report", str(tmp_path / "b.html"), "--resume"]) == 0
    pictures = [(tmp_path / f"{name}.html").read_text().count("data:image/jpeg") for name in "ab"]
    assert pictures[0] == pictures[1] == 6


def test_lines_go_through_a_pipe_and_a_full_disk_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "in" / "a.png", face_image(230))
    (tmp_path / "in" / "raw.nef").write_bytes(b"not read")
    process = start(tmp_path / "in", "--jsonl", "/dev/stderr", "--json", tmp_path / "o.json")
    _, errors = process.communicate(timeout=120)
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    assert [Path(line["input"]).name for line in lines] == ["a.png", "raw.nef"]
    assert lines[1]["sha256"] is not None
    assert [r["input"] for r in json.loads((tmp_path / "o.json").read_text())["results"]] == [line["input"] for line in lines]
    if os.path.exists("/dev/full"):
        assert detect.main(["m.xml", str(tmp_path / "in"), "--jsonl", "/dev/full"]) == 1
        assert "/dev/full: cannot be written: No space left" in capsys.readouterr().err


def test_lines_come_as_inputs_end(tmp_path: Path) -> None:
    folder = inputs(tmp_path / "in", 6)
    process = start(folder, "--jsonl", tmp_path / "o.jsonl", slow_s=0.5)
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(3)]
    assert process.poll() is None
    assert first[1].startswith("finding ")
    assert first[2].rstrip().endswith("00000.png")
    assert (tmp_path / "o.jsonl").read_text().count("\n") >= 1
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_memory_is_flat_over_many_files(tmp_path: Path) -> None:
    count = int(os.environ.get("FPG_TEST_FILES", "2000"))
    (tmp_path / "in").mkdir()
    video = lossless_video(tmp_path / "clip.mkv", [face_image(20 * i) for i in range(4)])
    image = save(tmp_path / "photo.png", face_image(230))
    for i in range(count):
        source = video if i % 4 == 0 else image
        os.link(source, tmp_path / "in" / f"{i:05d}{source.suffix}")
    command = [
        sys.executable,
        "-c",
        MEMORY,
        "m.xml",
        str(tmp_path / "in"),
        "--json",
        str(tmp_path / "o.json"),
        "--csv",
        str(tmp_path / "o.csv"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run([*command, "--report", str(tmp_path / "o.html")], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    early, late = (int(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("MEMORY"))
    print(f"{count} files: {early >> 20} MB after the first hundred, {late >> 20} MB at the last")
    assert late - early < 30 << 20
    assert len(json.loads((tmp_path / "o.json").read_text())["results"]) == count


MEMORY = """
import os, sys
import detect_process, fpg.cli.detect as detect, fpg.cli.results as results
detect_process.stand_in()
def resident():
    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')
add, seen, total = results.Results.add, [0], len(os.listdir(sys.argv[2]))
def counted(self, *arguments, **named):
    add(self, *arguments, **named)
    seen[0] += 1
    if seen[0] in (100, total):
        print('MEMORY', resident(), file=sys.stderr)
results.Results.add = counted
sys.exit(detect.main(sys.argv[1:]))
"""


def test_a_watched_folder_is_judged_as_files_settle(tmp_path: Path) -> None:
    folder, lines, out = tmp_path / "in", tmp_path / "o.jsonl", tmp_path / "o.json"
    save(folder / "sub" / "first.png", face_image(230))
    process = start("--watch", folder, "--jsonl", lines, "--json", out)
    until_lines(lines, 1, process)
    image = save(tmp_path / "later.png", face_image(20)).read_bytes()
    with open(folder / "later.png", "wb") as file:  # written slowly: judged once, when it is whole
        for at in range(0, len(image), len(image) // 4 + 1):
            file.write(image[at : at + len(image) // 4 + 1])
            file.flush()
            time.sleep(0.2)
    until_lines(lines, 2, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 143
    value = json.loads(out.read_text())
    check_output(value)
    assert [(Path(r["input"]).name, r["verdict"]) for r in value["results"]] == [("first.png", "fake"), ("later.png", "real")]


def test_arrivals_wait_for_files_that_grow(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"1")
    coming = arrivals(str(tmp_path), poll_s=0)
    for i in range(5):
        assert next(coming) is None
        path.write_bytes(b"1" * (i + 2))
    assert [next(coming) for _ in range(SETTLED + 1)][-1] == path
    assert next(coming) is None
    path.unlink()
    assert next(coming) is None


class Broken:
    """A detector whose stream gives frames, breaks, and comes again."""

    def __init__(self, *connections: list[float] | InputError) -> None:
        self._connections = iter(connections)
        detector = VideoDetector(BrightnessEngine(), GreenAnalyzer)
        self.conclude, self.failed = detector.conclude, detector.failed

    def stream(self, source: str, *, every: int) -> Iterator[StreamFrame]:
        found = next(self._connections)
        if isinstance(found, InputError):
            raise found
        for number, score in enumerate(found):
            frame = FrameScore(number, number / 10, (FaceScore((0, 0, 40, 40), score),))
            yield StreamFrame(frame, score, {}, None)
        raise InputError(source, "timed out", "unreadable")


def test_a_stream_that_breaks_is_taken_up_again_with_longer_waits() -> None:
    lost = InputError("rtsp://camera", "no route to host", "unreadable")
    detector, told, waits = Broken([0.1, 0.3], lost, lost, [0.9, 0.9], [0.5]), [], []
    live = Live(detector, "rtsp://camera", 1e6, 1, 5, None, told.append, waits.append)  # type: ignore[arg-type]
    found = list(live.stretches())
    assert [s.result.score for s in found] == pytest.approx([0.2, 0.9, 0.5])
    assert [s.live["number"] for s in found] == [0, 1, 2]
    assert waits == [1, 2, 4, 1]
    assert "connection lost (no route to host); reconnecting in 2 s" in told[1]
    for stretch in found:
        check_output({**stretch.result.to_json(), "live": stretch.live}, "result")


def test_a_stream_that_never_comes_is_given_up() -> None:
    lost = InputError("rtsp://camera", "no route to host", "unreadable")
    live = Live(Broken(*[lost] * 9), "rtsp://camera", 10, 1, None, 0.2, lambda text: None, lambda seconds: time.sleep(0.1))  # type: ignore[arg-type]
    (last,) = live.stretches()
    assert last.result.error_code == "timeout"
    assert "without a frame" in str(last.result.error)


def test_a_camera_is_named_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[str, str | None]] = []
    video = lossless_video(tmp_path / "camera.mkv", [face_image(200)] * 4)

    import av

    real = av.open

    def camera(name: str, *arguments: Any, format: str | None = None, **options: Any) -> Any:
        seen.append((name, format))
        return real(str(video), mode="r")

    monkeypatch.setattr("fpg.data.containers.av.open", camera)
    out = tmp_path / "o.json"
    assert detect.main(["m.xml", "3", "--frames", "2", "--every", "2", "--json", str(out)]) == 0
    (result,) = json.loads(out.read_text())["results"]
    assert (result["input"], result["sha256"], len(result["frames"])) == ("camera:3", None, 2)
    assert result["live"]["number"] == 0
    assert seen[0][0].endswith("3")
    check_output(json.loads(out.read_text()))
