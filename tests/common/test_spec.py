"""The sidecar: what was written comes back, and a value that would silently change scores or verdicts is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import judging
import numpy as np
import pytest

from fpg.common.errors import InputError
from fpg.common.spec import read_spec, reference_input, sidecar


def written(folder: Path, **changes: Any) -> Path:
    """A model file whose sidecar has these values, whatever they are."""
    model = folder / "fake.onnx"
    model.write_bytes(b"x")
    spec = judging.spec()
    spec.write(sidecar(model))
    sidecar(model).write_text(json.dumps(json.loads(sidecar(model).read_text()) | changes))
    return model


def test_round_trip(tmp_path: Path) -> None:
    assert read_spec(written(tmp_path)) == judging.spec()
    assert read_spec(written(tmp_path, batch=[1, 8, 64])).batch == (1, 8, 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": float("nan")},  # json.loads accepts NaN; every score would be below it
        {"threshold": "0.5"},
        {"threshold": 1.5},
        {"temperature": 0},
        {"temperature": float("inf")},
        {"labels": ["fake", "real"]},
        {"crop": "context"},
        {"image_size": "16"},
        {"image_size": 0},
        {"map_size": [4]},
        {"map_size": [4, 4.5]},
        {"batch": [1, 2]},
        {"network": ["forgery-detector"]},
        {"network": None},
    ],
    ids=str,
)
def test_values_without_usable_scores_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"fake\.spec\.json: ({next(iter(changes))}: expected|is not .*: (NaN|Infinity) is not JSON)"):
        read_spec(written(tmp_path, **changes))


def test_reference_input_is_the_stated_one() -> None:
    expected = np.random.default_rng(3).random((2, 3, 8, 8), dtype=np.float32)
    np.testing.assert_array_equal(reference_input(3, 2, 8), expected)
