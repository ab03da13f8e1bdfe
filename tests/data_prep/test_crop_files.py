"""Crops as files: what was written is what is read, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import makers
import numpy as np
import pytest
from PIL import Image

from fpg.common.errors import InputError
from fpg.data.crop_files import OutputError, read_crop, write_crop
from fpg.data.manifest import FaceRow


def row(checksum: int | None, size: tuple[int, int] = (50, 70)) -> FaceRow:
    points = np.zeros((81, 2), np.float32)
    return FaceRow(
        "d", "", "v", 0, 0.0, 0, 0, "train", "a/b.png", (0, 0), size, size, np.float32([0, 0, 9, 9]), points, 0.9, crc32=checksum
    )


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def test_what_was_written_is_read(tmp_path: Path, image: np.ndarray) -> None:
    checksum = write_crop(tmp_path / "a/b.png", image)
    np.testing.assert_array_equal(read_crop(tmp_path, row(checksum)), image)
    np.testing.assert_array_equal(read_crop(tmp_path, row(None)), image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a/b.png")), image)


def test_another_picture_is_refused(tmp_path: Path, image: np.ndarray) -> None:
    known = row(write_crop(tmp_path / "a/b.png", image))
    write_crop(tmp_path / "a/b.png", image[::-1])
    with pytest.raises(InputError, match=r"b\.png: is not what was written: its checksum differs"):
        read_crop(tmp_path, known)
    assert read_crop(tmp_path, replace(known, crc32=None)).shape == (50, 70, 3)
    write_crop(tmp_path / "a/b.png", image[:, :60])
    with pytest.raises(InputError, match="size: expected 50 x 70 as in the manifest, got 50 x 60"):
        read_crop(tmp_path, known)
    checksum = write_crop(tmp_path / "a/b.png", image)
    with pytest.raises(InputError, match="size: expected 50 x 71"):
        read_crop(tmp_path, row(checksum, (50, 71)))


def test_damage_is_named(tmp_path: Path, image: np.ndarray) -> None:
    known = row(write_crop(tmp_path / "a/b.png", image))
    makers.truncate(tmp_path / "a/b.png")
    with pytest.raises(InputError, match=r"b\.png: is damaged or truncated"):
        read_crop(tmp_path, known)
    (tmp_path / "a/b.png").unlink()
    with pytest.raises(InputError, match=r"b\.png: no such file"):
        read_crop(tmp_path, known)


def test_what_cannot_be_written(tmp_path: Path, image: np.ndarray) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(OutputError, match=r"b\.png: cannot be written: "):
        write_crop(tmp_path / "a/b.png", image)
