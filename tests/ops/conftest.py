"""What tests of operations share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from fpg.ops.backend import native_built


@pytest.fixture(params=["reference", pytest.param("native", marks=pytest.mark.skipif(not native_built(), reason="fpg._C is not built"))])
def any_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FPG_BACKEND", request.param)
    return request.param


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    if not native_built():
        pytest.skip("fpg._C is not built")
    monkeypatch.setenv("FPG_BACKEND", "native")


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
