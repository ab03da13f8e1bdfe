"""What an attack on the readers found: each item stays mended. Every test fails when its guard is taken out."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from judging import spec as engine_spec
from PIL import Image

from fpg.common.errors import InputError
from fpg.common.files import cell
from fpg.common.spec import read_spec
from fpg.common.strict_json import parse_json
from fpg.data.crop_files import read_crop, write_crop
from fpg.data.cropping import crop_folder
from fpg.data.images import read_image
from fpg.data.jpeg_scans import MAX_SCANS, scans
from fpg.data.layouts.base import read_json
from fpg.data.manifest import FaceRow, VideoRecord, read_manifest, write_manifest
from fpg.data.sources import VideoSource, survey
from fpg.engines.base import fake_probability
from fpg.evaluate.foreign import read_scores
from fpg.faces.precomputed import read_landmarks
from fpg.models.weights import read_checkpoint
from fpg.record.media import describe_media
from fpg.train.setup import UsageError, claim

CASES = Path(__file__).parents[1] / "data" / "cases"


def face(**changes: Any) -> FaceRow:
    points = np.zeros((68, 2), np.float32)
    row = FaceRow("d", "", "v", 0, 0.0, 0, 0, "train", "crops/a.png", (0, 0), (50, 70), (50, 70), np.float32([0, 0, 9, 9]), points, 0.9)
    return replace(row, **changes)


VIDEO = VideoRecord("d", "", "v", 0, "train", "/v.mp4", "prepared")


# Manifests


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.png", "crops/../../a.png", "", "a\0b.png", "..\\a.png"])
def test_a_manifest_does_not_leave_its_folder(tmp_path: Path, path: str) -> None:
    write_manifest(tmp_path, [face(path=path)], [VIDEO])
    with pytest.raises(InputError, match="path: expected one inside the folder"):
        read_manifest(tmp_path)
    with pytest.raises(InputError):
        read_crop(tmp_path, face(path=path))


@pytest.mark.parametrize(
    ("faces", "videos", "reason"),
    [
        ([face(), face()], [VIDEO], "is there twice"),
        ([face(video="w")], [VIDEO], "is not among the videos"),
        ([], [VIDEO, VIDEO], "listed twice"),
        ([face(size=(0, 70))], [VIDEO], "size: expected that of a crop"),
        ([face(size=(40000, 40000))], [VIDEO], "size: expected that of a crop"),
    ],
)
def test_rows_that_contradict_each_other(tmp_path: Path, faces: list[FaceRow], videos: list[VideoRecord], reason: str) -> None:
    write_manifest(tmp_path, faces, videos)
    with pytest.raises(InputError, match=reason) as caught:
        read_manifest(tmp_path)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(VideoRecord)])
@pytest.mark.parametrize("value", [None, True, [1], {"a": 1}, 1.5])
def test_fields_of_videos_have_their_types(tmp_path: Path, field: str, value: Any) -> None:
    rewrite(tmp_path, json.dumps([{**dataclasses.asdict(VIDEO), field: value}]))
    with pytest.raises(InputError, match=r"expected|unknown"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"dataset": "\\ud800"}]', "{}x", '[{"1": 2}]', "3", "[3]"])
def test_videos_that_are_no_list_of_videos(tmp_path: Path, text: str) -> None:
    rewrite(tmp_path, text)
    with pytest.raises(InputError):
        read_manifest(tmp_path)


def rewrite(folder: Path, videos: str) -> None:
    """Put another text in the place of a manifest's list of videos."""
    path = write_manifest(folder, [face()], [VIDEO])
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"fpg.schema": b"fpg.manifest/1", b"fpg.videos": videos.encode()}), path)


@pytest.mark.parametrize("column", ["path", "dataset", "frame", "box", "size", "label"])
def test_columns_of_another_type(tmp_path: Path, column: str) -> None:
    path = write_manifest(tmp_path, [face()], [VIDEO])
    table = pq.read_table(path)
    for other in (pa.array([7]), pa.array([None], pa.string()), pa.array([[1, 2, 3]]), pa.array(["x"])):
        at = table.schema.get_field_index(column)
        if other.type == table.schema.field(column).type and other.null_count == 0:
            continue
        pq.write_table(table.set_column(at, column, other).replace_schema_metadata(table.schema.metadata), path)
        try:
            read_manifest(tmp_path)
        except InputError:
            continue
        pytest.fail(f"{column} as {other.type} was read")


def test_a_manifest_of_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_manifest(tmp_path, [face(frame=i) for i in range(5)], [VIDEO])
    monkeypatch.setattr("fpg.data.manifest.MAX_ROWS", 4)
    with pytest.raises(InputError, match="is too large: 5 rows") as caught:
        read_manifest(tmp_path)
    assert caught.value.code == "too_large"


def test_pipes_and_devices_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.parquet")
    (tmp_path / "crops").mkdir()
    os.mkfifo(tmp_path / "crops" / "a.png")
    for read in (lambda: read_manifest(tmp_path / "manifest.parquet"), lambda: read_crop(tmp_path, face())):
        with pytest.raises(InputError, match=r"is not a file|has no manifest"):
            read()


def png(width: int, height: int) -> bytes:
    """A PNG of one colour, as small as it can be."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((1 + width) * height), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def test_a_crop_is_not_decoded_before_its_header_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = png(4000, 4000)
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops" / "a.png").write_bytes(data)
    monkeypatch.setattr("fpg.data.crop_files.cv2.imdecode", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr("fpg.data.crop_files.read_image", lambda *_: pytest.fail("decoded"))
    with pytest.raises(InputError, match="expected 50 x 70 as in the manifest, got 4000 x 4000"):
        read_crop(tmp_path, face(crc32=zlib.crc32(data)))


def test_a_crop_that_is_larger_than_its_pixels(tmp_path: Path) -> None:
    checksum = write_crop(tmp_path / "crops" / "a.png", np.zeros((50, 70, 3), np.uint8))
    with open(tmp_path / "crops" / "a.png", "ab") as file:
        file.truncate(3_000_000)
    with pytest.raises(InputError, match="is larger than a crop"):
        read_crop(tmp_path, face(crc32=checksum))


# Names


def test_long_names_are_shortened_and_stay_apart(tmp_path: Path) -> None:
    folders = []
    for name in ("\u00e9" * 300 + "a", "\u00e9" * 300 + "b", "/".join(["x" * 100] * 50), "m" * 500):
        folder = crop_folder(VideoSource("d", "f" * 400, name, 1, None, tmp_path, "video"), 1)
        assert max(len(part.encode()) for part in folder.split("/")) <= 255
        assert len(folder.encode()) < 1500
        write_crop(tmp_path / folder / "0.png", np.zeros((4, 4, 3), np.uint8))
        folders.append(folder)
    assert len(set(folders)) == len(folders)


def test_a_name_that_the_file_system_refuses_costs_its_input_only(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write_crop(tmp_path / ("n" * 300) / "0.png", np.zeros((4, 4, 3), np.uint8))
    assert type(caught.value) is InputError


# Weights


@pytest.mark.parametrize("name", [f"checkpoint_{i}.pth" for i in range(1, 6)])
def test_damaged_checkpoints_are_one_line(name: str) -> None:
    with pytest.raises(InputError) as caught:
        read_checkpoint(CASES / name)
    assert "\n" not in str(caught.value)


def test_a_torchscript_program_is_named_without_advice() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="is a TorchScript program, and no program is run") as caught:
            read_checkpoint(CASES / "torchscript.pt")
    assert "weights_only" not in str(caught.value)
    assert caught.value.code == "refused"


def test_a_checkpoint_that_unpacks_to_more_than_its_size(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(3_000_000)}, tmp_path / "whole.pth")
    with zipfile.ZipFile(tmp_path / "whole.pth") as source, zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in source.infolist():
            bomb.writestr(entry.filename, source.read(entry))
    assert (tmp_path / "bomb.pth").stat().st_size < 100_000
    with pytest.raises(InputError, match="claims to hold more than its own size"):
        read_checkpoint(tmp_path / "bomb.pth")
    assert read_checkpoint(tmp_path / "whole.pth")["w"].shape == (3_000_000,)


# Text


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff": 1}', '[["a", "x\\ud83dy"]]'])
def test_half_a_character_is_refused_on_reading(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="half a character"):
        parse_json(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match="half a character"):
        read_json(tmp_path / "a.json")
    assert parse_json('"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize("depth", [101, 480, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    for text in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(text)
    assert parse_json("[" * 99 + "]" * 99) is not None


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\t=1"])
def test_cells_are_no_formulas(text: str) -> None:
    assert cell(text) == "'" + text
    assert cell("a=1") == "a=1"


# Sidecars


def sidecar(tmp_path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    value = dataclasses.asdict(engine_spec())
    edit(value)
    (tmp_path / "m.spec.json").write_text(json.dumps(value))
    (tmp_path / "m.onnx").write_bytes(b"x")
    return tmp_path / "m.onnx"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "edit",
    [
        lambda s: s.update(temperature=10**400),
        lambda s: s.update(threshold=10**400),
        lambda s: s.update(provenance=nested(480)),
        lambda s: s.update(files={"a\0b": "0"}, model_file="a\0b"),
        lambda s: s.update(files={"\ud800": "0"}, model_file="\ud800"),
        lambda s: s.update(batch=[1, 8, 20_000]),
        lambda s: s.update(map_size=[1 << 20, 1 << 20]),
        lambda s: s.update(map_size=[17, 4]),
    ],
)
def test_sidecars_that_would_break_later_are_refused(tmp_path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    assert read_spec(sidecar(tmp_path, lambda s: None)).image_size == 16
    with pytest.raises(InputError):
        read_spec(sidecar(tmp_path, edit))


# Pictures


def progressive(count: int) -> bytes:
    """A JPEG whose last scan is there `count` times more."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)).save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    start = data.rindex(b"\xff\xda")
    return data[:-2] + data[start:-2] * count + data[-2:]


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    few = progressive(0)
    assert 1 < scans(few) < 12
    assert scans(progressive(20)) == scans(few) + 20
    assert scans(few + b"\xff\xda\x00\x02" * 1000) == scans(few)  # behind its end: another picture, or a video
    (tmp_path / "a.jpg").write_bytes(progressive(2000))
    with pytest.raises(InputError, match=f"a JPEG of more than {MAX_SCANS} scans"):
        read_image(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(few)
    assert read_image(tmp_path / "b.jpg").shape == (16, 16, 3)


def test_a_png_that_claims_four_thousand_million_squared() -> None:
    with pytest.raises(InputError):
        read_image(CASES / "header.png")


# Landmarks


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 81, 2), }" % 10**30,
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 81, 2), ",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': ((((((((((1, 81, 2), }",
        b"{'descr': 'O', 'fortran_order': False, 'shape': (1, 81, 2), }",
        b"{'descr': [], 'fortran_order': 1, 'shape': 3}",
        b"\xff\xfe\x00'",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 81, 2), }",
    ],
)
def test_headers_of_landmarks(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + bytes(648))
    with pytest.raises(InputError):
        read_landmarks(tmp_path / "a.npy")


def test_landmarks_in_broken_archives_and_of_thousands_of_faces(tmp_path: Path) -> None:
    (tmp_path / "zip.npy").write_bytes(b"PK\x03\x04" + b"\0" * 50)
    np.save(tmp_path / "many.npy", np.zeros((3000, 68, 2), np.float32))
    os.mkfifo(tmp_path / "pipe.npy")
    for name, code in (("zip.npy", "unreadable"), ("many.npy", "too_large"), ("pipe.npy", "not_a_file")):
        with pytest.raises(InputError) as caught:
            read_landmarks(tmp_path / name)
        assert caught.value.code == code


# Answers of the network, runs, telemetry


def test_logits_that_are_not_finite_warn_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(fake_probability(np.float32([[np.inf, np.inf]]))).all()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    held = claim(tmp_path, resume=True)
    assert held is not None
    with pytest.raises(UsageError, match="another fpg-train is writing"):
        claim(tmp_path, resume=True)
    os.close(held)
    again = claim(tmp_path, resume=True)
    assert again is not None
    os.close(again)


def test_openvino_reports_nothing() -> None:
    """Its package for telemetry is not loaded by anything that ours load, and leaves nothing in the home folder."""
    code = (
        "import sys, threading, fpg.common.openvino as o; o.core(); import openvino.tools.ovc;"
        "print(sorted(n for n, m in sys.modules.items() if n.startswith('openvino_telemetry') and m is not None))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


# What the fuzzers found


@pytest.mark.parametrize("image", ["/", ".", "./", "//", ["/"]])
def test_frames_of_other_tools_whose_paths_name_nothing(tmp_path: Path, image: Any) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"image": [image], "pred": [0.1], "label": [0]}))
    with pytest.raises(InputError, match="expected the path of a frame"):
        read_scores(tmp_path / "s.json", 0.5)


def test_frames_of_other_tools_with_thousands_of_digits(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"image": ["9" * 5000 + ".png"], "pred": [0.1], "label": [0]}))
    assert len(read_scores(tmp_path / "s.json", 0.5)) == 1


def test_a_list_that_names_a_null_byte(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(b"path,label\na\0b.mp4,real\nc.mp4,fake\n")
    with pytest.raises(InputError, match=r"null byte|is not a readable CSV"):
        survey(tmp_path / "l.csv").require()


def test_an_avif_whose_pixels_do_not_decode_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[data.index(b"mdat") + 4 :] = b"\xaa" * (len(data) - data.index(b"mdat") - 4)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.avif: is damaged or truncated: Failed to decode frame 0"):
        read_image(str(path))


def test_a_jpeg_2000_whose_box_claims_more_than_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.jp2"
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path)
    data, header = path.read_bytes(), b"jp2h"
    at = data.index(header) - 4
    path.write_bytes(data[:at] + struct.pack(">I4sQ", 1, header, 1 << 50) + data[at + 8 :])  # a petabyte, in the long form of a length
    with pytest.raises(InputError, match=r"a\.jp2: is (damaged|not a readable image)"):
        read_image(str(path))
    assert describe_media(path) is None
