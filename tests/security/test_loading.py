"""What is loaded: files of gigabytes that take no room, and a package that is there and does not load."""

from __future__ import annotations

import builtins
import importlib
import os
import re
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpg.common.errors import InputError, MissingDependencyError
from fpg.faces.precomputed import read_landmarks


def test_landmarks_in_a_file_of_gigabytes(tmp_path: Path) -> None:
    """A sparse file is as large as it says and takes no room: what is not needed of it is not read."""
    faces = np.arange(3 * 81 * 2, dtype=np.float32).reshape(3, 81, 2)
    np.save(tmp_path / "long.npy", faces)
    np.lib.format.open_memmap(tmp_path / "wide.npy", "w+", np.float32, (10**7, 81, 2))
    os.truncate(tmp_path / "long.npy", 6 << 30)
    tracemalloc.start()
    assert np.array_equal(read_landmarks(tmp_path / "long.npy"), faces)
    with pytest.raises(InputError, match="holds 10000000 faces, the limit is 500 in a frame"):
        read_landmarks(tmp_path / "wide.npy")
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (
            ImportError("libopenvino.so: failed to map segment: Cannot allocate memory"),
            "is installed and cannot be loaded: libo",
        ),
        (ModuleNotFoundError("No module named 'openvino'", name="openvino"), "is not installed: pip install openvino"),
        (
            ModuleNotFoundError("No module named 'numpy.core'", name="numpy.core"),
            "is installed and cannot be loaded: No mo",
        ),
    ],
)
def test_an_openvino_that_does_not_load_is_not_called_missing(monkeypatch: pytest.MonkeyPatch, error: ImportError, what: str) -> None:
    def no_openvino(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "openvino":
            raise error
        return real(name, *args, **kwargs)

    real = builtins.__import__
    monkeypatch.delitem(sys.modules, "fpg.engines.openvino", raising=False)
    monkeypatch.setattr(builtins, "__import__", no_openvino)
    with pytest.raises(MissingDependencyError, match=re.escape(f"OpenVINO {what}")):
        importlib.import_module("fpg.engines.openvino")
