"""Faces to make pairs of: photographs that come with packages, cut to the context crop's shape, with landmarks in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib.cbook
import numpy as np

VECTORS = Path(__file__).parents[3] / "tests" / "vectors" / "data" / "hulls.npz"
PORTRAIT = ("grace_hopper.jpg", (164.6, 161.1, 354.2, 333.0))
"""A photograph in matplotlib's sample data and the box of the 68 landmarks in it (public domain, US Navy)."""


class Faces(NamedTuple):
    images: list[np.ndarray]
    """uint8 [height, width, 3], RGB."""
    landmarks: list[np.ndarray]
    """float64 [81, 2]."""
    boxes: list[np.ndarray]
    """float64 [4]: around the 81 landmarks."""


def faces(height: int, width: int, count: int, seed: int = 0) -> Faces:
    """`count` context crops of height x width: the photograph with its own colours, place and noise each; three sets of landmarks in turn.

    The box of the landmarks is a context crop's: half of the width, 1 / 2.4 of the height, a face's height below the top.
    """
    rng = np.random.default_rng(seed)
    name, (x0, y0, x1, y1) = PORTRAIT
    with matplotlib.cbook.get_sample_data(name) as file:
        photo = cv2.cvtColor(cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    with np.load(VECTORS) as data:
        shapes = [data[f"lm{i}"].astype(np.float64) for i in range(3)]
    face = np.array([width / 2, height / 2.4])
    origin = np.array([width / 4, height / 2.4])
    scale = face / (x1 - x0, y1 - y0)
    result = Faces([], [], [])
    for index in range(count):
        move = rng.uniform(-4, 4, 2)
        matrix = np.array([[scale[0], 0, origin[0] - scale[0] * x0 + move[0]], [0, scale[1], origin[1] - scale[1] * y0 + move[1]]])
        image = cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        tinted = image * rng.uniform(0.85, 1.15, 3) + rng.normal(0, 2, image.shape)
        shape = shapes[index % len(shapes)]
        low, high = shape[:68].min(0), shape[:68].max(0)
        landmarks = (shape - low) / (high - low) * face + origin
        result.images.append(np.clip(tinted, 0, 255).astype(np.uint8))
        result.landmarks.append(landmarks)
        result.boxes.append(np.concatenate([landmarks.min(0), landmarks.max(0)]))
    return result
