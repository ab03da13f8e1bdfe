"""Reader of faces that others computed: dlib landmarks and RetinaFace boxes in `.npy` files, as SBI and FPG prepare them.

`landmarks/<video>/<index>.npy` holds (n, 81, 2) or (n, 68, 2), largest face first; `retina/<video>/<index>.npy` holds
(n, 7, 2): two corners of the box, then eyes, nose and mouth corners. Nothing is ever unpickled.
"""

from __future__ import annotations

import os

import numpy as np

from fpg.common.errors import InputError
from fpg.faces.geometry import iou, tight_box
from fpg.faces.types import Face

MAX_FACES = 500
"""Faces of one frame; files that claim more are damaged, or meant to be."""
MIN_OVERLAP = 0.2
"""A RetinaFace box belongs to a dlib face when their boxes overlap at least so much (intersection over union)."""


def read_landmarks(path: str | os.PathLike[str], *, single: bool = False) -> np.ndarray:
    """Landmarks of all faces in a frame.

    Args:
        path: the `.npy` file.
        single: take [81, 2] and [68, 2] for one face, as DeepfakeBench writes them.

    Returns:
        float32 [n, 81, 2] or [n, 68, 2], n may be 0.

    Raises:
        InputError: missing, not an `.npy` array of numbers, another shape, NaN or infinity.
    """
    return _read(path, (81, 68), single=single)


def read_boxes(path: str | os.PathLike[str]) -> np.ndarray:
    """RetinaFace's boxes of all faces in a frame.

    Returns:
        float32 [n, 4] = (x0, y0, x1, y1), n may be 0.

    Raises:
        InputError: missing, not an `.npy` array of numbers, another shape, NaN or infinity, or an empty box.
    """
    corners = _read(path, (7,))[:, :2].reshape(-1, 4)
    if (corners[:, 2:] <= corners[:, :2]).any():
        raise InputError(path, "boxes: expected x0 < x1 and y0 < y1")
    return corners


def read_faces(landmarks: str | os.PathLike[str], retina: str | os.PathLike[str] | None = None, *, single: bool = False) -> list[Face]:
    """Faces of one frame from precomputed files, largest first by box.

    Each dlib face takes the RetinaFace box that overlaps it best (one to one, `MIN_OVERLAP` at least); with a RetinaFace
    file, a dlib face without such a box is dropped, without one the box is the tight box of the landmarks. The files
    carry no confidence, so the score is 1.

    Args:
        landmarks: dlib file, see `read_landmarks`.
        retina: RetinaFace file, see `read_boxes`.
        single: see `read_landmarks`.

    Raises:
        InputError: naming the file that cannot be used.
    """
    points = read_landmarks(landmarks, single=single)
    if retina is None:
        faces = [Face(box=tight_box(p), score=1.0, landmarks=p) for p in points]
    else:
        boxes = read_boxes(retina)
        faces = [Face(box=boxes[j], score=1.0, landmarks=points[i], detector_box=boxes[j]) for i, j in _match(points, boxes)]
    return sorted(faces, key=lambda face: -face.area)


def _match(points: np.ndarray, boxes: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (face, box), greedily by overlap."""
    if not len(points) or not len(boxes):
        return []
    overlap = np.stack([iou(tight_box(p), boxes) for p in points])
    pairs = []
    while overlap.size and overlap.max() >= MIN_OVERLAP:
        i, j = (int(k) for k in np.unravel_index(overlap.argmax(), overlap.shape))
        pairs.append((i, j))
        overlap[i, :] = overlap[:, j] = -1
    return pairs


def _read(path: str | os.PathLike[str], counts: tuple[int, ...], *, single: bool = False) -> np.ndarray:
    expected = " or ".join(f"[n, {count}, 2]" for count in counts)
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(path, "is not a file", "not_a_file")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a header that lies about its size cannot fill the memory
    except FileNotFoundError:
        raise InputError(path, "no such file", "missing") from None
    except Exception as error:  # NumPy's reader of headers fails in any way
        raise InputError(path, f"is not a readable .npy array (pickles are refused): {error}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(path, f"expected one array {expected}, got an archive")
    if single and array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[1] not in counts or array.shape[2] != 2 or array.dtype.kind not in "fiu":
        raise InputError(path, f"expected numbers {expected}, got {array.dtype} {list(array.shape)}")
    if array.shape[0] > MAX_FACES:
        raise InputError(path, f"holds {array.shape[0]} faces, the limit is {MAX_FACES} in a frame", "too_large")
    with np.errstate(over="ignore"):
        values = np.array(array, np.float32)
    if not np.isfinite(values).all():
        raise InputError(path, f"expected finite coordinates, got {int((~np.isfinite(values)).sum())} that are NaN or infinite")
    return values
