"""Shared fixtures: where the vectors are, and the one place where GPU tests are skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if torch.cuda.is_available() or os.environ.get("FPG_REQUIRE_CUDA") == "1":
        return
    for item in marked:
        item.add_marker(pytest.mark.skip(reason="no CUDA GPU on this machine"))


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Folder of the method's published vectors: `$FPG_VECTORS`, else the copy in `tests/data/vectors`."""
    return Path(os.environ.get("FPG_VECTORS", Path(__file__).parent / "data" / "vectors"))
