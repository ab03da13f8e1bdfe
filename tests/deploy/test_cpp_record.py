"""The record that fpg-detect-cpp writes: valid by the schema, and of the same bytes and claims as fpg-detect's."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import makers
import numpy as np
import pytest
from PIL import Image
from schemas import check_output
from twins import Programs, cpp

import fpg.cli.detect as detect

pytestmark = pytest.mark.slow

FACTS = ("sha256", "bytes", "modified", "media")


def tagged(path: Path, portrait: np.ndarray, **options: Any) -> Path:
    """A picture with EXIF."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131], exif[0x0132] = "Maker", "Maker 2", "Program  1.0\n", "2026:01:02 03:04:05"
    exif.get_ifd(0x8769)[0x9003] = "2025:12:31 23:59:59"
    Image.fromarray(portrait).save(path, exif=exif, **options)
    return path


def test_record_schema_and_facts(programs: Programs, portrait: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    small = portrait[::2, ::2]
    for suffix in ("jpg", "png", "webp", "tif"):
        tagged(folder / f"tagged.{suffix}", small)
    tagged(folder / "=1.jpg", small, quality=60)
    makers.write_video(folder / "sound.mp4", [small] * 4, sound=True)
    makers.write_video(folder / "plain.mkv", [small] * 4)
    (folder / "broken.mp4").write_bytes(b"no video")
    out = {name: tmp_path / f"{name}.csv" for name in ("python", "cpp")}
    lines = tmp_path / "lines.jsonl"
    files, options = [folder, tmp_path / "gone.mp4"], ["--frames", "2", "--case", "7", "--examiner", "A. Person"]
    both = programs(*files, *options)
    for value in both:
        check_output(value)
    assert (both[1]["record"]["fpg"]["program"], both[1]["record"]["case"]) == ("fpg-detect-cpp", "7")
    assert [m["sha256"] for m in both[1]["record"]["models"]] == [m["sha256"] for m in both[0]["record"]["models"]]
    assert set(both[1]["record"]["settings"]) <= set(both[0]["record"]["settings"])
    for theirs, ours in zip(both[0]["results"], both[1]["results"], strict=True):
        assert {key: ours[key] for key in FACTS} == {key: theirs[key] for key in FACTS}, ours["input"]
    done = cpp(
        programs.program, programs.face_models, programs.engine, *files, *options, "--jsonl", lines, "--csv", out["cpp"], "--jobs", "2"
    )
    assert done.returncode == 1
    read = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert {r["input"] for r in read} == {r["input"] for r in both[1]["results"]}
    for line in read:
        check_output(line, "line")
    detect.main([str(programs.engine), *map(str, files), *options, "--csv", str(out["python"])])
    rows = {name: list(csv.reader(path.read_text(encoding="utf-8").splitlines())) for name, path in out.items()}
    assert [row[:2] + row[8:11] for row in rows["cpp"]] == [row[:2] + row[8:11] for row in rows["python"]]
    assert all(line.startswith('"') and line[1] != "=" for line in out["cpp"].read_text(encoding="utf-8").splitlines())


def test_a_line_per_input_as_it_ends_and_what_cannot_be_written(programs: Programs, portrait: np.ndarray, tmp_path: Path) -> None:
    path = tagged(tmp_path / "a.jpg", portrait)
    (tmp_path / "folder").mkdir()
    done = cpp(programs.program, programs.face_models, programs.engine, path, "--jsonl", tmp_path / "folder")
    assert (done.returncode, "is a folder" in done.stderr) == (2, True)
    done = cpp(programs.program, programs.face_models, programs.engine, path, "--jsonl", "/dev/full")
    assert (done.returncode, "/dev/full: cannot be written" in done.stderr) == (1, True)
    assert hashlib.sha256(path.read_bytes()).hexdigest()  # the input is as it was
