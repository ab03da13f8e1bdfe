"""The same work on a Ray cluster: one on the loopback, with two workers, some of which are killed."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import judging
import makers
import pytest
from schemas import check_output

from fpg.cli import detect
from fpg.cli.prepare import main
from fpg.common.errors import FpgError, InputError, MissingDependencyError, UsageError
from fpg.data.manifest import NAME
from fpg.data.prepare import prepare
from fpg.data.ray_pool import DEATHS, connected, run_on_ray

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs fpg[ray]")  # imported later: its switches come first


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A cluster of this machine with two CPUs; what is run on it takes the connection that is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        with connected("local", 2):
            yield "local"


def clips(root: Path, count: int, bad: int) -> Path:
    """Clips of which the one numbered `bad` carries the analyzer's trigger in its second half."""
    root.mkdir()
    for i in range(count):
        frames = makers.pictures(8, seed=i)
        frames[4:] = map(makers.triggered, frames[4:]) if i == bad else frames[4:]
        makers.write_video(root / f"{i:02d}.mp4", frames)
    return root


def files_of(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "127.0.0.1:99999"])
def test_an_address_where_nobody_listens_is_refused_at_once(address: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    makers.write_video(tmp_path / "a.mp4", 2)
    assert main([str(tmp_path / "a.mp4"), str(tmp_path / "out"), "--label", "real", "--ray", address]) == 2
    assert f"--ray {address}: no Ray cluster answers there" in capsys.readouterr().err


@needs_ray
def test_a_worker_is_killed_and_nothing_is_lost_or_done_twice(cluster: str, tmp_path: Path) -> None:
    source, died = clips(tmp_path / "in", 12, bad=5), tmp_path / "died"
    died.touch()
    options = {"frames": 4, "label": 0, "quiet": True}
    prepare(source, tmp_path / "here", workers=0, analyzer=functools.partial(Noted, str(died), str(tmp_path / "log0"), 1), **options)
    died.unlink()
    analyzer = functools.partial(Noted, str(died), str(tmp_path / "log"), 2)
    manifest = prepare(source, tmp_path / "there", analyzer=analyzer, ray=cluster, **options)
    assert died.exists()
    assert [video.status for video in manifest.videos] == ["prepared"] * 12
    seen = (tmp_path / "log").read_text().split()
    assert len(set(seen)) == 3  # two workers, and the one that took the dead one's place
    assert len(seen) == 12 * 4 + 3  # the frames of the clip that a worker died on were looked at again, no others
    here, there = files_of(tmp_path / "here"), files_of(tmp_path / "there")
    assert {k: v for k, v in here.items() if k != "prepare.json"} == {k: v for k, v in there.items() if k != "prepare.json"}


class Noted(makers.ColourAnalyzer):
    """Writes the process that looked at each frame into a file; begins when there are so many processes."""

    def __init__(self, on_trigger: str, log: str, processes: int) -> None:
        super().__init__(on_trigger)
        self.log, self.processes = Path(log), processes

    def __call__(self, image: object) -> list[makers.FakeFace]:
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()}\n")
        while len(set(self.log.read_text().split())) < self.processes:
            time.sleep(0.01)
        return super().__call__(image)  # type: ignore[arg-type]


@needs_ray
def test_a_file_that_kills_every_worker_is_given_up_by_name(cluster: str, tmp_path: Path) -> None:
    source = clips(tmp_path / "in", 4, bad=1)
    analyzer = functools.partial(makers.ColourAnalyzer, "kill")
    manifest = prepare(source, tmp_path / "out", frames=4, label=0, analyzer=analyzer, ray=cluster, quiet=True)
    assert [video.status for video in manifest.videos] == ["prepared", "failed", "prepared", "prepared"]
    assert manifest.videos[1].reason == f"{DEATHS} worker processes in a row died on it (out of memory?)"
    assert not (tmp_path / "out/crops/in/real/01").exists()


@needs_ray
def test_a_full_disk_ends_the_work_on_ray(cluster: str, tmp_path: Path) -> None:
    source = clips(tmp_path / "in", 3, bad=0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "crops").touch()  # no folder can be made there
    with pytest.raises(InputError, match="cannot be written: Not a directory"):
        prepare(source, tmp_path / "out", frames=2, label=0, analyzer=makers.ColourAnalyzer, ray=cluster, quiet=True)
    assert not (tmp_path / "out" / NAME).exists()


def fails() -> Callable[[int], int]:
    raise FpgError("no models here")


@needs_ray
def test_errors_come_back_as_they_are(cluster: str) -> None:
    with pytest.raises(FpgError, match=r"^no models here$"):
        list(run_on_ray([1, 2], fails, cluster))
    assert list(run_on_ray([], fails, cluster)) == []
    with pytest.raises(UsageError, match="expected at least 1, got 0"):
        list(run_on_ray([1], fails, cluster, 0))


def brightness(path: str, **options: object) -> judging.BrightnessEngine:
    return judging.BrightnessEngine()


@needs_ray
def test_detect_gives_the_same_judgements_in_the_same_order(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "load_engine", brightness)
    monkeypatch.setattr(detect, "default_analyzer", judging.GreenAnalyzer)
    monkeypatch.chdir(tmp_path)
    for name, red in (("b", 200), ("a", 30), ("d", 90)):
        judging.save(tmp_path / f"{name}.png", judging.face_image(red))
    (tmp_path / "c.png").write_bytes(b"no image")
    results, lines = [], []
    files = ["--json", "out.json", "--jsonl", "out.jsonl", "--report", "out.html"]
    for extra in ([], ["--jobs", "3"], ["--ray", cluster]):
        assert detect.main(["model.xml", "b.png", "a.png", "c.png", "d.png", *files, *extra]) == 1
        results.append(json.loads((tmp_path / "out.json").read_text())["results"])
        ended = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        lines.append({line["input"]: {key: line[key] for key in line if key != "record"} for line in ended})
    assert results[0] == results[1] == results[2]
    assert lines[0] == lines[1] == lines[2]
    assert [r["input"] for r in results[0]] == ["b.png", "a.png", "c.png", "d.png"]
    assert [r["score"] is None for r in results[0]] == [False, False, True, False]


@needs_ray
@pytest.mark.parametrize("jobs", [[], ["--jobs", "1"], ["--jobs", "2"]])
def test_detect_writes_the_same_lines_and_goes_on_from_them(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], jobs: list[str]
) -> None:
    monkeypatch.setattr(detect, "load_engine", brightness)
    monkeypatch.setattr(detect, "default_analyzer", judging.GreenAnalyzer)
    for i in range(12):
        judging.save(tmp_path / "in" / f"{i:02d}.png", judging.empty_image() if i == 3 else judging.face_image(20 * i))
    judging.lossless_video(tmp_path / "in" / "clip.mkv", [judging.face_image(20 * i) for i in range(8)])
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no video")
    command = ["model.xml", str(tmp_path / "in"), "--frames", "4"]
    assert detect.main([*command, "--json", str(tmp_path / "here.json")]) == 1
    here = capsys.readouterr().out.splitlines()
    lines, out = tmp_path / "o.jsonl", tmp_path / "o.json"
    ray = [*command, *jobs, "--ray", cluster, "--jsonl", str(lines), "--json", str(out)]
    assert detect.main(ray) == 1
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(here)
    values = [json.loads(line) for line in lines.read_text().splitlines()]
    for value in values:
        check_output(value, "line")
    expected, found = (json.loads(path.read_text()) for path in (tmp_path / "here.json", out))
    check_output(found)
    assert found["results"] == expected["results"]
    assert sorted(v["input"] for v in values) == sorted(r["input"] for r in expected["results"])
    lines.write_bytes(b"".join(lines.read_bytes().splitlines(keepends=True)[:5]) + b'{"half')
    assert detect.main([*ray, "--resume"]) == 1
    assert "5 inputs were judged before" in capsys.readouterr().err
    assert json.loads(out.read_text())["results"] == expected["results"]


def test_without_ray_the_way_to_get_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    makers.write_video(tmp_path / "a.mp4", 2)
    with pytest.raises(MissingDependencyError, match=r"pip install 'ray\[data"):
        prepare(tmp_path / "a.mp4", tmp_path / "out", label=0, analyzer=makers.ColourAnalyzer, ray="auto", quiet=True)
