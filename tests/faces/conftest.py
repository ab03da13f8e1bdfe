"""Pictures of people that packages carry, and one analyzer for the whole session."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import cv2
import numpy as np
import pytest

from fpg.faces import FaceAnalyzer, default_analyzer


def packaged(distribution: str, name: str) -> np.ndarray:
    """An image that an installed package carries, uint8 [H, W, 3] RGB."""
    path = Path(str(importlib.metadata.distribution(distribution).locate_file(name)))
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None, path
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    return packaged("scikit-image", "skimage/data/astronaut.png")


@pytest.fixture(scope="session")
def cameraman() -> np.ndarray:
    return packaged("scikit-image", "skimage/data/camera.png")


@pytest.fixture(scope="session")
def hopper() -> np.ndarray:
    return packaged("matplotlib", "matplotlib/mpl-data/sample_data/grace_hopper.jpg")


@pytest.fixture(scope="session")
def analyzer() -> FaceAnalyzer:
    return default_analyzer(threads=1)
