"""Shared fixtures: where the vectors are, the seeds of random input, and the one place where GPU tests are skipped."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest

SEED = os.environ.get("FPG_TEST_SEED", "0")
"""A test's draws are the same in every run, so that nobody meets somebody else's rare one; another number, or `random`, draws afresh."""
BASE = int.from_bytes(os.urandom(4), "little") if SEED == "random" else int(SEED)
hypothesis.settings.register_profile("fpg", derandomize=SEED != "random", deadline=None)
hypothesis.settings.load_profile("fpg")


PROGRAMS = {"benchmarks", "cli", "data_prep", "deploy", "export", "fuzzing", "record", "security", "serve", "train"}
"""Folders whose tests run whole programs, train or compile: all of them are `slow`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in PROGRAMS:
            item.add_marker(pytest.mark.slow)
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if torch.cuda.is_available() or os.environ.get("FPG_REQUIRE_CUDA") == "1":
        return
    for item in marked:
        item.add_marker(pytest.mark.skip(reason="no CUDA GPU on this machine"))


@pytest.fixture(autouse=True)
def seed(request: pytest.FixtureRequest) -> Iterator[int]:
    """This test's seed, of its name and `FPG_TEST_SEED`; torch's generator starts from it. Shown when the test fails.

    What a test changes of torch's state (generator, number of threads) is put back for the next one.
    """
    import torch

    value = zlib.crc32(f"{BASE} {request.node.nodeid}".encode())
    print(f"FPG_TEST_SEED={BASE}, seed {value}")
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.manual_seed(value)
    yield value
    torch.set_rng_state(state)
    torch.set_num_threads(threads)


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def a_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a packaged model `mine` (tests/packaged.py); copied where a test changes it."""
    from packaged import placeholder

    return placeholder(tmp_path_factory.mktemp("models") / "mine").parent


@pytest.fixture
def models(a_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which `FPG_MODELS` names."""
    folder = tmp_path / "models"
    shutil.copytree(a_package, folder)
    monkeypatch.setenv("FPG_MODELS", str(folder))
    return folder


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Folder of the method's published vectors: `$FPG_VECTORS`, else the copy in `tests/vectors/data`."""
    return Path(os.environ.get("FPG_VECTORS", Path(__file__).parent / "vectors" / "data"))
