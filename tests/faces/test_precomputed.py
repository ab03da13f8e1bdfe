"""Precomputed dlib and RetinaFace files: matched, ordered, and refused when they are not what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpg.common.errors import InputError
from fpg.faces.precomputed import read_faces


def face_at(x: float, y: float, size: float, count: int = 81) -> np.ndarray:
    points = np.random.default_rng(int(x)).random((count, 2))
    points[:2] = (0, 0), (1, 1)
    return points * size + (x, y)


def retina_at(x: float, y: float, size: float) -> np.ndarray:
    return np.concatenate([[[x, y], [x + size, y + size]], np.full((5, 2), x + size / 2)])


def saved(folder: Path, name: str, array: Any, **options: Any) -> Path:
    np.save(folder / name, array, **options)
    return folder / name


def test_matches_boxes_to_landmarks_largest_first(tmp_path: Path) -> None:
    dlib = saved(tmp_path, "l.npy", np.stack([face_at(10, 10, 40), face_at(200, 20, 90), face_at(400, 400, 30)]).astype(np.int64))
    retina = saved(tmp_path, "r.npy", np.stack([retina_at(12, 8, 42), retina_at(700, 0, 50), retina_at(195, 15, 99)]))
    faces = read_faces(dlib, retina)
    assert [f.box.tolist() for f in faces] == [[195, 15, 294, 114], [12, 8, 54, 50]]
    assert all(f.landmarks is not None and f.landmarks.shape == (81, 2) and f.landmarks.dtype == np.float32 for f in faces)
    assert faces[0].landmarks is not None
    assert faces[0].landmarks[0].tolist() == [200, 20]
    assert [f.box.tolist() for f in read_faces(dlib)] == [[200, 20, 290, 110], [10, 10, 50, 50], [400, 400, 430, 430]]


def test_one_box_serves_one_face(tmp_path: Path) -> None:
    dlib = saved(tmp_path, "l.npy", np.stack([face_at(0, 0, 50, 68), face_at(4, 4, 50, 68)]))
    retina = saved(tmp_path, "r.npy", retina_at(1, 1, 50)[None])
    (face,) = read_faces(dlib, retina)
    assert face.landmarks is not None
    assert face.landmarks[0].tolist() == [0, 0]
    assert face.landmarks.shape == (68, 2)


def test_no_faces(tmp_path: Path) -> None:
    none = saved(tmp_path, "l.npy", np.zeros((0, 81, 2)))
    assert read_faces(none) == []
    assert read_faces(none, saved(tmp_path, "r.npy", retina_at(0, 0, 9)[None])) == []


@pytest.mark.parametrize("array", [np.zeros((1, 5, 2)), np.zeros((81, 2)), np.zeros((1, 81, 3)), np.zeros((1, 81, 2), "S4"), np.zeros(())])
def test_wrong_shapes_and_types(tmp_path: Path, array: np.ndarray) -> None:
    path = saved(tmp_path, "l.npy", array)
    with pytest.raises(InputError, match=r"l\.npy: expected numbers \[n, 81, 2\] or \[n, 68, 2\], got"):
        read_faces(path)


def test_nan_and_infinity(tmp_path: Path) -> None:
    points = face_at(0, 0, 9)
    points[3, 1], points[7, 0] = np.nan, np.inf
    with pytest.raises(InputError, match="got 2 that are NaN or infinite"):
        read_faces(saved(tmp_path, "l.npy", points[None]))


def test_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    path = saved(tmp_path, "l.npy", np.array([[[Trap()]]], object), allow_pickle=True)
    with pytest.raises(InputError, match="pickles are refused"):
        read_faces(path)
    assert not (tmp_path / "ran").exists()


def test_damaged_missing_and_empty_files(tmp_path: Path) -> None:
    path = saved(tmp_path, "l.npy", face_at(0, 0, 9)[None])
    whole = path.read_bytes()
    lying = whole.replace(b"(1, 81, 2)", b"(9999999999, 81, 2)").replace(b" " * 9 + b"\n", b"\n")
    for content in (whole[:-100], whole[:20], b"", b"not numpy", lying):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"l\.npy"):
            read_faces(path)
    with pytest.raises(InputError, match="no such file"):
        read_faces(tmp_path / "absent.npy")
    np.savez(tmp_path / "a.npz", face_at(0, 0, 9))
    with pytest.raises(InputError, match="got an archive"):
        read_faces(tmp_path / "a.npz")


def test_an_empty_box(tmp_path: Path) -> None:
    dlib = saved(tmp_path, "l.npy", face_at(0, 0, 9)[None])
    retina = saved(tmp_path, "r.npy", retina_at(0, 0, -5)[None])
    with pytest.raises(InputError, match=r"r\.npy: boxes: expected x0 < x1"):
        read_faces(dlib, retina)
