"""What tests of pairs share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from fpg.ops.backend import native_built


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    if not native_built():
        pytest.skip("fpg._C is not built")
    monkeypatch.setenv("FPG_BACKEND", "native")


@pytest.fixture(params=["oracle", "native"])
def operations(request: pytest.FixtureRequest) -> Any:
    """The operations on batches: those of the kernels, and those that the kernels are compared with."""
    if request.param == "oracle":
        import oracles.operations

        return oracles.operations
    request.getfixturevalue("native")
    import fpg.pairs.operations

    return fpg.pairs.operations


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
