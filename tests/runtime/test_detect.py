"""fpg-detect from the command line with stand-ins for the networks: files, exit codes, report."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from judging import BrightnessEngine, GreenAnalyzer, check_page, empty_image, face_image, lossless_video, save

import fpg.cli.detect as detect
from fpg.cli.inputs import expand
from fpg.cli.results import drop_highlights
from fpg.common.errors import InputError
from fpg.data.video import probe
from fpg.record.run import ModelRecord, RunRecord
from fpg.runtime.judgement import Highlight, Judgement
from fpg.runtime.report import MAX_SECTIONS, plain, short_names, shorten, write_detect_report


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "load_engine", lambda path, **options: BrightnessEngine())
    monkeypatch.setattr(detect, "default_analyzer", GreenAnalyzer)


def read(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def test_good_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = lossless_video(tmp_path / "in" / "clip.mkv", [face_image(20 * i) for i in range(12)])
    image = save(tmp_path / "in" / "photo.png", face_image(230))
    out, report = tmp_path / "new" / "out.json", tmp_path / "new" / "out.html"
    assert detect.main(["model.xml", str(video), str(image), "--json", str(out), "--report", str(report), "--frames", "6"]) == 0
    value = read(out)
    assert list(value) == ["schema", "record", "model", "protocol", "warnings", "results", "skipped"]
    assert [r["input"] for r in value["results"]] == [str(video), str(image)]
    assert [r["verdict"] for r in value["results"]] == ["real", "fake"]
    assert [len(r["frames"]) for r in value["results"]] == [6, 1]
    assert value["results"][0]["score"] == pytest.approx(np.mean([0, 40, 80, 120, 160, 220]) / 255, abs=1e-3)
    assert (value["protocol"]["frames"], value["protocol"]["unit"], value["model"]["backbone"]) == (6, "video", "brightness")
    assert sorted(p.name for p in out.parent.iterdir()) == ["out.html", "out.json"]  # no temporary file
    page = check_page(report)
    assert "2 inputs: 2 not calibrated." in page.text
    assert page.text.index("photo.png") < page.text.index("clip.mkv")
    assert "judged real" not in page.text  # by a model that is not calibrated, or at all
    assert {"clip.mkv", "photo.png"} <= set(page.text.split())
    assert page.tags.count("svg") == 1  # the image has no curve
    pictures = [r for r in page.references if r.startswith("data:image/jpeg")]
    assert len(pictures) == 2 * (6 + 1) + 1  # and the portrait of a face with a suspicious segment
    printed = capsys.readouterr().out
    assert re.search(r"\nnot calibrated +0.902 +0.500  .*photo.png\n    judged on 1 face\n", printed)
    assert printed.startswith("judged by model.xml (brightness at 16 px): threshold 0.5, with no stated false positive rate\nfinding ")
    assert "\n2 inputs, worst first:\n     2  not calibrated\nNot calibrated: " in printed


def test_a_bad_file_among_good_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    save(folder / "sub" / "good.png", face_image(230))
    save(folder / "nobody.png", empty_image())
    (folder / "empty.mp4").touch()
    (folder / ".hidden.mp4").touch()
    (folder / "notes.txt").write_text("not an input")
    out, report = tmp_path / "out.json", tmp_path / "out.html"
    missing = str(tmp_path / "missing.mp4")
    assert detect.main(["m.xml", str(folder), missing, "--json", str(out), "--report", str(report)]) == 1
    results = {Path(r["input"]).name: r for r in read(out)["results"]}
    assert set(results) == {"good.png", "nobody.png", "empty.mp4", "missing.mp4"}
    assert results["good.png"]["verdict"] == "fake"
    for name, reason in [("nobody.png", "no face found in 1 frame"), ("empty.mp4", "is empty"), ("missing.mp4", "no such file")]:
        assert reason in results[name]["error"]
        assert (results[name]["score"], results[name]["verdict"]) == (None, None)
    errors = capsys.readouterr().err
    assert all(name in errors for name in ("nobody.png", "empty.mp4", "missing.mp4"))
    assert [line.split(":")[0] for line in errors.strip().splitlines()] == ["error"] * 3 + ["note"]
    text = check_page(report).text
    assert "4 inputs: 1 not calibrated, 3 not judged." in text
    assert all(reason in text for reason in ("no face found in 1 frame", "is empty", "no such file"))


def test_a_folder_without_inputs_is_named(tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    assert detect.main(["m.xml", str(tmp_path / "void"), "--json", str(tmp_path / "o.json")]) == 1
    (result,) = read(tmp_path / "o.json")["results"]
    assert result["error"] == "the folder holds no videos or images"


def test_an_input_given_twice_is_judged_once(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", face_image(10))
    assert expand([str(image), str(tmp_path), str(image)]).files == [image]
    names = [save(tmp_path / "n" / f"f{n}.png", face_image(10)) for n in (2, 10, 1)]
    assert expand([str(tmp_path / "n")]).files == [names[2], names[0], names[1]]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>.png", "a&b\"'.png", os.fsdecode(b"caf\xe9.png"), "line\nbreak.png"])
def test_odd_names_are_escaped_everywhere(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = name.replace("/", "\u2215")
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    save(folder / name, face_image(230))
    (folder / f"bad {name}").write_bytes(b"x")
    assert detect.main(["m.xml", str(folder), "--json", str(tmp_path / "o.json"), "--report", str(tmp_path / "o.html")]) == 1
    page = check_page(tmp_path / "o.html")
    assert "onerror" in page.text
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert len(read(tmp_path / "o.json")["results"]) == 2


def test_csv_overlay_and_stats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = lossless_video(tmp_path / "in" / "clip.mkv", [face_image(20 * i) for i in range(12)])
    image = save(tmp_path / "in" / "photo.png", face_image(230))
    (tmp_path / "in" / "bad, file.mp4").write_bytes(b"x")
    out, seen = tmp_path / "o.csv", tmp_path / "seen"
    code = detect.main(["m.xml", str(tmp_path / "in"), "--every", "5", "--csv", str(out), "--overlay", str(seen), "--jobs", "2", "--stats"])
    assert code == 1
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert [Path(row["input"]).name for row in rows] == ["bad, file.mp4", *["clip.mkv"] * 3, "photo.png"]
    assert rows[0]["error"].startswith("is not a readable video")
    assert rows[0]["score"] == ""
    assert [row["frame"] for row in rows[1:4]] == ["0", "5", "10"]
    assert (rows[2]["time_s"], rows[2]["x0"], rows[2]["y1"], rows[2]["track"]) == ("0.5000", "16.00", "40.00", "0")
    assert float(rows[4]["score"]) == pytest.approx(230 / 255, abs=1e-4)
    assert sorted(p.name for p in seen.iterdir()) == ["clip-overlay.mp4", "photo-overlay.png"]
    assert probe(seen / "clip-overlay.mp4").frames == 12
    errors = capsys.readouterr().err
    assert "2 inputs, 4 frames and 4 faces in" in errors
    assert all(f"\n{stage}" in errors for stage in ("decode", "faces", "crop", "network"))
    assert (video.is_file(), image.is_file()) == (True, True)


def test_ways_to_decode_give_the_same_and_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = str(lossless_video(tmp_path / "clip.mkv", [face_image(20 * i) for i in range(12)]))
    found = {}
    for way in ("whole", "needed"):
        assert detect.main(["m.xml", video, "--frames", "4", "--decode", way, "--json", str(tmp_path / way)]) == 0
        found[way] = read(tmp_path / way)
    assert found["needed"]["results"] == found["whole"]["results"]
    assert found["needed"]["protocol"] == found["whole"]["protocol"] | {"decode": "needed"}
    if not torch.cuda.is_available():
        assert detect.main(["m.xml", video, "--decode", "cuda"]) in (1, 2)
        assert "on a GPU" in capsys.readouterr().err


def test_frames_and_every_contradict_each_other_even_at_their_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = str(lossless_video(tmp_path / "clip.mkv", [face_image(200)] * 3))
    assert detect.main(["m.xml", video, "--frames", "32", "--every", "2"]) == 2
    assert "--frames and --every: give one of them" in capsys.readouterr().err
    assert detect.main(["m.xml", video, "https://example.org/a.mp4", "--urls", "--every", "2"]) == 2
    assert "files and URLs in separate calls" in capsys.readouterr().err


def test_one_overlay_and_what_it_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = str(lossless_video(tmp_path / "clip.mkv", [face_image(20 * i) for i in range(3)]))
    assert detect.main(["m.xml", video, "--overlay", str(tmp_path / "o.mp4")]) == 0
    assert (tmp_path / "o.mp4").is_file()
    other = str(save(tmp_path / "p.png", face_image(230)))
    assert detect.main(["m.xml", video, other, "--overlay", str(tmp_path / "o.mp4")]) == 2
    assert "name a folder" in capsys.readouterr().err
    assert detect.main(["m.xml", video, "--overlay", str(tmp_path / "p.png" / "o.mp4"), "--json", str(tmp_path / "j.json")]) == 1
    verdict, lost = read(tmp_path / "j.json")["results"]  # the verdict stands, and what was not drawn is named
    assert (verdict["verdict"], verdict["error"], lost["score"]) == ("real", None, None)
    assert "cannot be written" in lost["error"]


def test_an_overlay_never_takes_an_inputs_place_nor_anothers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = lossless_video(tmp_path / "a" / "clip.mkv", [face_image(20 * i) for i in range(3)])
    other = lossless_video(tmp_path / "b" / "clip.mkv", [face_image(20 * i) for i in range(3)])
    before = one.read_bytes()
    assert detect.main(["m.xml", str(one), "--overlay", str(one)]) == 2
    assert "is an input and would be lost" in capsys.readouterr().err
    assert one.read_bytes() == before
    assert detect.main(["m.xml", str(one), str(other), "--overlay", str(tmp_path / "seen")]) == 0
    assert sorted(str(p.relative_to(tmp_path / "seen")) for p in (tmp_path / "seen").rglob("*.mp4")) == [
        "a/clip-overlay.mp4",
        "b/clip-overlay.mp4",
    ]


def test_every_and_frames_contradict_each_other_and_urls_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = str(lossless_video(tmp_path / "clip.mkv", [face_image(20 * i) for i in range(9)]))
    assert detect.main(["m.xml", video, "--every", "2", "--frames", "3"]) == 2
    assert detect.main(["m.xml", video, "--every", "4", "--json", str(tmp_path / "o.json")]) == 0
    value = read(tmp_path / "o.json")
    assert [f["index"] for f in value["results"][0]["frames"]] == [0, 4, 8]
    assert (value["protocol"]["frames"], value["protocol"]["sampling"]) == ("all", "every 4th frame from the first")
    capsys.readouterr()
    assert detect.main(["m.xml", "https://127.0.0.1/v.mp4"]) == 1
    assert "error: https://127.0.0.1/v.mp4: is a URL, and URLs are opened only with --urls" in capsys.readouterr().err


def test_threshold_option(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", face_image(153))
    detect.main(["m.xml", str(image), "--json", str(tmp_path / "o.json"), "--threshold", "0.7"])
    (result,) = read(tmp_path / "o.json")["results"]
    assert (result["verdict"], result["threshold"]) == ("real", 0.7)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["m.xml"],
        ["m.xml", "a.mp4", "--frames", "0"],
        ["m.xml", "a.mp4", "--frames", "some"],
        ["m.xml", "a.mp4", "--threshold", "1.5"],
        ["m.xml", "a.mp4", "--threshold", "nan"],
        ["m.xml", "a.mp4", "--batch", "-1"],
        ["m.xml", "a.mp4", "--unknown"],
    ],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        detect.main(arguments)
    assert error.value.code == 2


def test_output_that_is_a_folder_or_the_same_file_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect.main(["m.xml", "a.mp4", "--json", str(tmp_path)]) == 2
    assert detect.main(["m.xml", "a.mp4", "--json", str(tmp_path / "o"), "--report", str(tmp_path / "o")]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_an_empty_name_is_wrong_usage(tmp_path: Path) -> None:
    assert detect.main(["m.xml", ""]) == 2


def test_a_model_that_cannot_be_loaded_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(path: str, **options: Any) -> None:
        raise InputError(path, "no such file")

    monkeypatch.setattr(detect, "load_engine", refuse)
    assert detect.main(["m.xml", "a.mp4"]) == 2
    assert capsys.readouterr().err == "error: m.xml: no such file\n"


def test_a_full_disk_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = save(tmp_path / "a.png", face_image(10))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "o.json").write_text("old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fpg.common.files.os.fsync", full)
    assert detect.main(["m.xml", str(image), "--json", str(tmp_path / "out" / "o.json")]) == 1
    assert "o.json: cannot be written: No space left on device" in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["o.json", "o.json.unfinished.jsonl"]  # --resume writes it from there
    assert (tmp_path / "out" / "o.json").read_text() == "old"


def judged(name: str, score: float) -> Judgement:
    highlight = Highlight(0, 0.0, score, np.zeros((8, 8, 3), np.uint8), np.zeros((2, 2), np.float32))
    return Judgement(name, score, "real", 0.5, highlights=(highlight,))


def test_many_inputs_keep_the_pictures_of_the_most_suspicious(tmp_path: Path) -> None:
    pictured: dict[tuple[int, int], Judgement] = {}
    results = [judged(f"v{i}", i / 100) for i in range(3 * MAX_SECTIONS)]
    for i, result in enumerate(results):
        pictured[0, i] = result
        drop_highlights(pictured)
        assert len(pictured) < 2 * MAX_SECTIONS
    named = ("sampling", "faces", "crop", "aggregation", "intervals", "segments", "shots")
    protocol = {"frames": 32, "compression": "unknown", **dict.fromkeys(named, "")}
    model = {"file": "m", "sha256": None, "backbone": "b", "image_size": 8, "precision": "fp32", "backend": "onnx"}
    model |= {"threshold": 0.5, "temperature": 1.0, "warnings": ["A <demo>."], "provenance": {"seed": 3}}
    details = {i: result for (_, i), result in pictured.items()}
    record = RunRecord((ModelRecord("m", None, {}, None),), {"frames": 32}, ("fpg-detect", "a b"), "17 <b>", "A. Person").to_json()
    write_detect_report(tmp_path / "o.html", [r.to_json() for r in results], details, [model], protocol, 0.5, record)
    page = check_page(tmp_path / "o.html")
    assert page.tags.count("section") == MAX_SECTIONS
    assert f"The {MAX_SECTIONS} most suspicious of {3 * MAX_SECTIONS} judged inputs" in page.text
    assert all(text in page.text for text in ("A <demo>.", "17 <b>", "A. Person", "fpg-detect 'a b'"))


def test_short_names() -> None:
    assert short_names(["/a/b/c.mp4"]) == ["c.mp4"]
    assert short_names(["/a/b/c.mp4", "/a/d/c.mp4"]) == ["b/c.mp4", "d/c.mp4"]
    assert short_names(["x.mp4", "y/x.mp4"]) == ["x.mp4", "y/x.mp4"]
    assert short_names([]) == []


def test_provenance_as_text() -> None:
    assert plain({"a": [1, 2.5], "b": {"c": None, "d": "x"}}) == "a 1, 2.5; b d x"
    assert shorten("x" * 500, 10) == "x" * 10 + " …"
