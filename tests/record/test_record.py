"""What a result says of its input, and the schema that it all follows."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import struct
import sys
from pathlib import Path

import av
import jsonschema
import numpy as np
import pytest
from judging import Box, BrightnessEngine, GreenAnalyzer, empty_image, face_image, lossless_video, save
from PIL import Image
from schemas import check_output, strict

import fpg.cli.detect as detect
from fpg.record.exhibit import examine
from fpg.record.exif import exif_texts
from fpg.record.media import describe_media
from fpg.record.schema import load_schema
from fpg.runtime.pipeline import VideoDetector


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "load_engine", lambda path, **options: BrightnessEngine())
    monkeypatch.setattr(detect, "default_analyzer", GreenAnalyzer)


def tagged_video(path: Path, tags: dict[str, str]) -> Path:
    """A short video with sound, whose container has tags."""
    with av.open(str(path), "w") as container:
        container.metadata.update(tags)
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=8000)
        for i in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(face_image(40 * i), format="rgb24")))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.float32), format="fltp", layout="mono")
        tone.rate, tone.pts = 8000, 0
        container.mux(sound.encode(tone))
        for part in (stream, sound):
            container.mux(part.encode(None))
    return path


def test_the_schema_is_one() -> None:
    schema = load_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    with pytest.raises(jsonschema.ValidationError):
        strict("result").validate({"input": "a"})


def test_every_output_is_valid(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    lossless_video(folder / "clip.mkv", [face_image(20 * i) for i in range(4)])
    tagged_video(folder / "phone.mp4", {"creation_time": "2026-01-02T03:04:05.000000Z", "artist": "nobody"})
    save(folder / "photo.png", face_image(230))
    save(folder / "nobody.png", empty_image())
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "song.mp3").write_bytes(b"x")
    out, lines = tmp_path / "o.json", tmp_path / "o.jsonl"
    assert (
        detect.main(["m.xml", str(folder), "gone.mp4", "--json", str(out), "--jsonl", str(lines), "--case", "17", "--frames", "all"]) == 1
    )
    value = json.loads(out.read_text())
    check_output(value)
    for line in lines.read_text().splitlines():
        check_output(json.loads(line), "line")
    by_name = {Path(r["input"]).name: r for r in value["results"]}
    for name in ("clip.mkv", "phone.mp4", "photo.png", "nobody.png", "broken.mp4"):
        data = (folder / name).read_bytes()
        assert (by_name[name]["sha256"], by_name[name]["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data)), name
    assert by_name["gone.mp4"]["sha256"] is None
    assert by_name["phone.mp4"]["media"]["created"] == "2026-01-02T03:04:05.000000Z"
    assert [s["kind"] for s in by_name["phone.mp4"]["media"]["streams"]] == ["video", "audio"]
    record = value["record"]
    assert (record["case"], record["examiner"], record["settings"]["frames"]) == ("17", None, "all")
    assert record["command"][:2] == ["fpg-detect", "m.xml"]
    assert record["started"] <= record["ended"]


def test_a_line_holds_what_the_file_holds(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for i in range(3):
        save(folder / f"{i}.png", face_image(60 * i))
    out, lines = tmp_path / "o.json", tmp_path / "o.jsonl"
    assert detect.main(["m.xml", str(folder), "--json", str(out), "--jsonl", str(lines), "--jobs", "2"]) == 0
    results = {r["input"]: r for r in json.loads(out.read_text())["results"]}
    for line in map(json.loads, lines.read_text().splitlines()):
        record = line.pop("record")
        assert line.pop("schema") == record["schema"]
        assert line == results[line["input"]]


def test_media_says_what_a_phone_wrote(tmp_path: Path) -> None:
    tags = {"com.apple.quicktime.make": "Maker", "com.apple.quicktime.model": "Phone 3", "com.apple.quicktime.software": "9.1"}
    path = tagged_video(tmp_path / "a.mov", tags)
    media = describe_media(path)
    assert media is not None
    assert media["format"].startswith("mov,mp4")
    assert media["duration_s"] == pytest.approx(0.5, abs=0.11)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_pictures_say_who_made_them(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(face_image(100))
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131], exif[0x0132] = "Maker", "Camera 2", "Program 1.0", "2026:01:02 03:04:05"
    exif.get_ifd(0x8769)[0x9003] = "2025:12:31 23:59:59"
    image.save(tmp_path / f"a.{suffix}", exif=exif)
    media = describe_media(tmp_path / f"a.{suffix}")
    assert media is not None
    created = "2026:01:02 03:04:05" if suffix == "tif" else "2025:12:31 23:59:59"  # Pillow writes no second directory into TIFF files
    assert (media["device"], media["encoder"], media["created"]) == ("Maker Camera 2", "Program 1.0", created)
    assert media["streams"] == []


def test_damaged_exif_states_nothing_or_something_and_never_fails(rng: np.random.Generator) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2025:12:31 23:59:59"
    whole = exif.tobytes()
    assert exif_texts(whole) == {"make": "Maker", "created": "2025:12:31 23:59:59"}
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(256)
        exif_texts(bytes(data[: rng.integers(0, len(data) + 1)]))
    assert exif_texts(b"II*\0" + struct.pack("<I", 2**32 - 1)) == {}


def test_a_folder_of_frames_has_the_hash_of_its_list(tmp_path: Path) -> None:
    paths = [save(tmp_path / "f" / f"frame_{i}.png", face_image(20 * i)) for i in (2, 10, 1)]
    ordered = sorted(paths, key=lambda p: int(p.stem.split("_")[1]))
    lines = "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in ordered)
    found = examine(tmp_path / "f")
    assert (found.sha256, found.bytes) == (hashlib.sha256(lines.encode()).hexdigest(), sum(p.stat().st_size for p in paths))
    with VideoDetector(BrightnessEngine(), GreenAnalyzer) as detector:
        result = detector.judge(tmp_path / "f").to_json()
    check_output(result, "result")
    assert result["sha256"] == found.sha256


def test_csv_has_no_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    names = ["=1+1.png", "+a.png", "-b.png", "@c.png", "x;=cmd.png", 'q";=1.png', "\uff1dz.png", " =s.png", "a,b.png"]
    for name in names:
        save(folder / name, face_image(100))
    monkeypatch.chdir(folder)
    assert detect.main(["m.xml", *(f"./{n}" if n.startswith("-") else n for n in names), "--csv", str(tmp_path / "o.csv")]) == 0
    lines = (tmp_path / "o.csv").read_text().splitlines()
    assert {len(row) for row in csv.reader(lines)} == {13}
    for separator in ",;\t":  # of any country's spreadsheet
        for row in csv.reader(lines, delimiter=separator):
            assert not [text for text in row if text.lstrip(" ")[:1] in tuple("=+-@\uff1d")]


def test_recording_needs_no_c2pa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = examine(save(tmp_path / "a.png", face_image(1))).to_json()
    assert found["c2pa"]["state"] == "not_checked"
    assert "not installed" in found["c2pa"]["problems"][0]


def test_a_file_that_changes_meanwhile_is_told(tmp_path: Path) -> None:
    path = lossless_video(tmp_path / "a.mkv", [face_image(20 * i) for i in range(4)])

    class Writer(GreenAnalyzer):
        def __call__(self, image: np.ndarray) -> list[Box]:
            os.utime(path, ns=(1, 1))
            return super().__call__(image)

    with VideoDetector(BrightnessEngine(), Writer) as detector:
        assert any("changed while it was judged" in warning for warning in detector.judge(path).warnings)
    with VideoDetector(BrightnessEngine(), GreenAnalyzer) as detector:
        assert detector.judge(path).warnings == ()
