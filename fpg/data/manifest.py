"""The manifest: one Parquet file per prepared data set, a row per face crop, and what became of every video.

`OUT/manifest.parquet` is the only index. Crops are lossless images at `OUT/<path>`. The list of videos, those without a
face and those that failed included, travels in the file's metadata, so that a failure cannot be lost.
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fpg.common.errors import InputError, MissingDependencyError
from fpg.common.files import atomic_write
from fpg.common.packages import install_extra
from fpg.common.strict_json import parse_json

NAME = "manifest.parquet"
REAL, FAKE = 0, 1
SPLITS = ("train", "val", "test")
STATUSES = ("prepared", "no_face", "failed")
CHANGED = "is not what was written: its checksum differs from the manifest's"
"""Of a crop's file."""

MAX_ROWS = 5_000_000
"""Crops in one manifest: 32 frames each of 150,000 videos."""
MAX_BYTES = 16_000_000_000
MAX_CROP_PIXELS = 100_000_000


@cache
def parquet() -> tuple[ModuleType, ModuleType, Any]:
    """`pyarrow`, `pyarrow.parquet` and the schema of a row; imported when first needed: judging takes no manifest, and pyarrow is large.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"prepared data needs pyarrow: {install_extra('train')}") from error
    f32 = pa.float32()
    schema = pa.schema(
        [
            ("dataset", pa.string()),
            ("method", pa.string()),
            ("video", pa.string()),
            ("frame", pa.int32()),
            ("time_s", pa.float64()),
            ("face", pa.int32()),
            ("label", pa.int8()),
            ("split", pa.string()),
            ("path", pa.string()),
            ("origin", pa.list_(pa.int32(), 2)),
            ("frame_size", pa.list_(pa.int32(), 2)),
            ("size", pa.list_(pa.int32(), 2)),
            ("box", pa.list_(f32, 4)),
            ("landmarks", pa.list_(f32)),
            ("score", f32),
            ("pose", pa.list_(f32, 3)),
            ("track", pa.int32()),
            ("crc32", pa.int64()),
        ]
    )
    return pa, pq, schema


@dataclass(frozen=True)
class FaceRow:
    """One face in one frame, cropped with context."""

    dataset: str
    method: str
    """Manipulation, `""` for real videos."""
    video: str
    """Identifier within (data set, method)."""
    frame: int
    """Index of the frame in the video, 0-based; 0 for an image."""
    time_s: float
    face: int
    """0 is the largest face of its frame."""
    label: int
    """0 real, 1 fake."""
    split: str
    path: str
    """Of the crop, relative to the manifest's folder, with `/`."""
    origin: tuple[int, int]
    """(x, y) of the crop's first pixel in the frame."""
    frame_size: tuple[int, int]
    """(height, width) of the whole frame."""
    size: tuple[int, int]
    """(height, width) of the crop."""
    box: np.ndarray
    """Face box, float32 [4] = (x0, y0, x1, y1), in pixels of the crop."""
    landmarks: np.ndarray
    """float32 [68 or 81, 2] = (x, y), dlib's order, in pixels of the crop."""
    score: float
    """The face detector's confidence in [0, 1]."""
    pose: tuple[float, float, float] | None = None
    """(yaw, pitch, roll) in degrees, None when unknown."""
    track: int | None = None
    """The same for one face in all frames of its video, see `fpg.faces.tracks`; None in manifests from before there were tracks."""
    crc32: int | None = None
    """CRC-32 (ISO 3309) of the crop's file; None in manifests from before there were checksums."""

    @property
    def key(self) -> tuple[str, str, str]:
        """(data set, method, video): what identifies a video."""
        return self.dataset, self.method, self.video


@dataclass(frozen=True)
class VideoRecord:
    """What became of one video (or image)."""

    dataset: str
    method: str
    video: str
    label: int
    split: str
    source: str
    """Path it was read from."""
    status: str
    """`prepared`, `no_face` or `failed`."""
    reason: str = ""
    frames: int = 0
    """Frames that were looked at."""
    frames_with_face: int = 0
    compression: str = ""
    """`raw`, `c23` or `c40` where the data set has several."""
    target: str = ""
    """Whose video it is, `""` unknown; see `fpg.data.sources.VideoSource`."""
    donor: str = ""
    """Whose face was put in, `""` unknown or nobody's."""
    split_reason: str = ""
    """What the split was read from."""
    error_code: str = ""
    """Of a failed one, see `fpg.common.errors`; `""` in manifests from before there were codes."""
    attributes: dict[str, str] = field(default_factory=dict, hash=False)
    """What the list of videos says in columns of its own, see `fpg.data.layouts.base.VideoSource`."""

    @property
    def key(self) -> tuple[str, str, str]:
        """(data set, method, video)."""
        return self.dataset, self.method, self.video


@dataclass(frozen=True)
class Manifest:
    """A prepared data set: `root` is the folder that crop paths are relative to."""

    root: Path
    faces: list[FaceRow]
    videos: list[VideoRecord]

    def select(self, *, split: str | None = None, label: int | None = None, largest_only: bool = False) -> Manifest:
        """The part of one split and/or label; `largest_only` keeps the largest face of each frame."""

        def wanted(item: FaceRow | VideoRecord) -> bool:
            return (split is None or item.split == split) and (label is None or item.label == label)

        faces = [f for f in self.faces if wanted(f) and not (largest_only and f.face)]
        return Manifest(self.root, faces, [v for v in self.videos if wanted(v)])


def write_manifest(root: str | os.PathLike[str], faces: Iterable[FaceRow], videos: Iterable[VideoRecord]) -> Path:
    """Write `root/manifest.parquet` atomically, rows sorted by (data set, method, video, frame, face)."""
    pa, pq, schema = parquet()
    rows = sorted(faces, key=lambda f: (*f.key, f.frame, f.face))
    records = sorted(videos, key=lambda v: v.key)
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in schema.names}
    columns["box"] = [np.asarray(b, np.float32).tolist() for b in columns["box"]]
    columns["landmarks"] = [np.asarray(x, np.float32).ravel().tolist() for x in columns["landmarks"]]
    metadata = {"fpg.schema": "fpg.manifest/1", "fpg.videos": json.dumps([dataclasses.asdict(v) for v in records])}
    table = pa.table(columns, schema=schema.with_metadata(metadata))
    path = Path(root) / NAME
    with atomic_write(path) as file:
        pq.write_table(table, file, compression="zstd")
    return path


def manifest_file(root: str | os.PathLike[str]) -> Path:
    """The manifest of a prepared data set (its folder or the manifest file).

    Raises:
        InputError: there is none, or it is no file.
    """
    path = Path(root)
    path = path / NAME if path.is_dir() else path
    if not path.exists():
        raise InputError(root, f"has no {NAME}: prepare it with fpg-prepare first")
    if not path.is_file():
        raise InputError(path, "is not a file", "not_a_file")
    return path


def read_manifest(root: str | os.PathLike[str]) -> Manifest:
    """Read a prepared data set (its folder or the manifest file).

    Raises:
        InputError: no manifest, not one of fpg's, or damaged.
    """
    pa, pq, schema = parquet()
    path = manifest_file(root)
    try:
        what = pq.read_metadata(path)
        size = sum(what.row_group(i).total_byte_size for i in range(what.num_row_groups))
        if what.num_rows > MAX_ROWS or size > MAX_BYTES:
            text = f"is too large: {what.num_rows} rows of {size / 1e9:.1f} GB, the limits are {MAX_ROWS} and {MAX_BYTES / 1e9:.0f} GB"
            raise InputError(path, text, "too_large")
        table = pq.read_table(path)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:  # the last of names of columns
        raise InputError(path, f"is not a readable manifest: {error}") from error
    metadata = table.schema.metadata or {}
    if metadata.get(b"fpg.schema") != b"fpg.manifest/1":
        raise InputError(path, f"schema: expected fpg.manifest/1, got {metadata.get(b'fpg.schema')!r}")
    for column in table.schema:
        if column.name in schema.names and column.type != schema.field(column.name).type:
            text = f"column {column.name}: expected {schema.field(column.name).type}, got {column.type}"
            raise InputError(path, f"is not a readable manifest: {text}", "invalid")
    try:
        videos = [_record(values) for values in parse_json(metadata[b"fpg.videos"].decode("utf-8"))]
        faces = [_row(values) for values in table.to_pylist()]
        _check_rows(faces, videos)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(path, f"is not a readable manifest: {error}", "invalid") from error
    items: list[FaceRow | VideoRecord] = [*faces, *videos]
    for item in items:
        if item.label not in (REAL, FAKE) or item.split not in SPLITS or getattr(item, "status", STATUSES[0]) not in STATUSES:
            raise InputError(path, f"{'/'.join(item.key)}: label, split or status has an unknown value: {item.label}, {item.split}")
    return Manifest(path.parent, faces, videos)


def check_crops(manifest: Manifest, *, checksums: bool = False) -> list[InputError]:
    """Look at every crop's file: one error per crop that is missing, cut short or another picture.

    Args:
        manifest: of a prepared data set.
        checksums: read the whole file and compare it with its CRC-32, instead of its first and last bytes alone.
    """
    faults = ((manifest.root / row.path, _crop_fault(manifest.root / row.path, row, checksums)) for row in manifest.faces)
    return [InputError(path, reason) for path, reason in faults if reason]


def _crop_fault(path: Path, row: FaceRow, checksums: bool) -> str:
    try:
        with open(path, "rb") as file:
            head = file.read(24)
            file.seek(-min(12, file.seek(0, os.SEEK_END)), os.SEEK_END)
            tail = file.read()
            file.seek(0)
            changed = checksums and row.crc32 is not None and zlib.crc32(file.read()) != row.crc32
    except OSError as error:
        return "is missing" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
    height, width = row.size
    if head[:8] != b"\x89PNG\r\n\x1a\n" or tail[4:8] != b"IEND":
        return "is not a whole PNG"
    if head[16:24] != struct.pack(">II", width, height):
        return f"is not the crop of {width} x {height} pixels that the manifest lists"
    return CHANGED if changed else ""


def is_inside(path: object) -> bool:
    """Whether a path is relative and stays in the folder that it is relative to."""
    if not isinstance(path, str) or not path or "\0" in path or "\\" in path:
        return False
    return not path.startswith("/") and ".." not in path.split("/")


def _record(values: dict[str, Any]) -> VideoRecord:
    record = VideoRecord(**values)
    for known in dataclasses.fields(VideoRecord):
        value = getattr(record, known.name)
        kind = {"int": int, "str": str}.get(str(known.type), dict)
        texts = [*value.keys(), *value.values()] if isinstance(value, dict) else []
        if not isinstance(value, kind) or isinstance(value, bool) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"a video's {known.name}: expected {kind.__name__}, got {value!r:.60}")
    return record


def _check_rows(faces: list[FaceRow], videos: list[VideoRecord]) -> None:
    """What the types do not say. Raises `ValueError`."""
    known = {video.key for video in videos}
    if len(known) < len(videos):
        raise ValueError("a video is listed twice")
    seen: set[tuple[tuple[str, str, str], int, int]] = set()
    for row in faces:
        place = (row.key, row.frame, row.face)
        if place in seen:
            raise ValueError(f"{'/'.join(row.key)}: frame {row.frame} face {row.face} is there twice")
        seen.add(place)
        if row.key not in known:
            raise ValueError(f"{'/'.join(row.key)}: has crops, and is not among the videos")


def _row(values: dict[str, Any]) -> FaceRow:
    for name in ("dataset", "method", "video", "split", "path"):
        if not isinstance(values[name], str):
            raise ValueError(f"{name}: expected text, got {values[name]!r:.60}")
    if not is_inside(values["path"]):
        raise ValueError(f"path: expected one inside the folder, got {values['path']!r:.60}")
    for name in ("frame", "time_s", "face", "label", "origin", "frame_size", "size", "box", "landmarks", "score"):
        if values[name] is None:
            raise ValueError(f"{name}: expected a value, got nothing")
    height, width = values["size"]
    if not (0 < height * width <= MAX_CROP_PIXELS and height > 0):
        raise ValueError(f"size: expected that of a crop, got {values['size']}")
    for name in ("origin", "frame_size", "size", "pose"):
        values[name] = None if values[name] is None else tuple(values[name])
    values["box"] = np.asarray(values["box"], np.float32)
    values["landmarks"] = np.asarray(values["landmarks"], np.float32).reshape(-1, 2)
    return FaceRow(**values)
