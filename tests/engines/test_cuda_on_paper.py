"""TensorRT's buffers, streams, graphs and threads where there is no GPU: a driver on paper, under cuda-bindings and under PyCUDA."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libcuda.so.1 on paper; what PyCUDA links to and nobody calls says that it is not supported."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("driver")
    library = folder / "libcuda.so.1"
    sources = [HERE / "paper_libcuda.c"]
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wl,-soname,libcuda.so.1", "-o", library]
    subprocess.run([*command, *sources, "-ldl"], check=True)
    pycuda = importlib.util.find_spec("pycuda")
    if pycuda is not None and pycuda.submodule_search_locations:
        (module,) = Path(pycuda.submodule_search_locations[0]).glob("_driver*.so")
        wanted = _symbols(module, "--undefined-only") - _symbols(library, "--defined-only")
        rest = folder / "rest.c"
        rest.write_text("".join(f"int {name}(void) {{ return 801; }}\n" for name in sorted(wanted)))
        subprocess.run([*command, *sources, rest, "-ldl"], check=True)
    return library


def _symbols(library: Path, which: str) -> set[str]:
    listed = subprocess.run(["nm", "-D", which, library], check=True, capture_output=True, text=True).stdout
    return {name for line in listed.splitlines() if (name := line.split()[-1]).startswith("cu") and "@" not in name}


def _run(package: str, driver: Path) -> tuple[dict[str, Any], str]:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    nvidia = importlib.util.find_spec("nvidia")
    libraries = [str(path) for root in (nvidia.submodule_search_locations or [] if nvidia else []) for path in Path(root).glob("*/lib")]
    environment = {**os.environ, "LD_PRELOAD": str(driver), "LIBCUDA": str(driver), "LD_LIBRARY_PATH": ":".join(libraries)}
    ended = subprocess.run(
        [sys.executable, HERE / "paper_engine.py", package], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout), ended.stderr


@pytest.mark.parametrize("package", ["cuda.bindings", "pycuda"])
def test_batches_through_buffers_and_streams(package: str, driver: Path) -> None:
    found, complaints = _run(package, driver)
    assert (found["name"], found["capability"]) == ("A card on paper", "8.6")
    assert len(found["here"]) == len(found["in a thread"]) == 20
    assert max(found["here"] + found["in a thread"]) < 1e-3  # sums of 768 values in another order
    assert found["context"] in ("CudaError", "LogicError")  # no thread keeps it
    assert complaints == ""  # PyCUDA says so when something is left behind
    if package == "pycuda":
        assert found["captures"] == found["launches"] == 0
    else:
        assert found["captures"] == 2 * 3 * 2  # two sets of buffers for each of three buckets, twice
        assert found["launches"] == 2 * (1 + 1 + 4 + 1 + 1 + 2 + 2 + 1 + 5 + 1 + 1)


def test_neither_package_and_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    from fpg.common.errors import MissingDependencyError
    from fpg.engines import cuda

    for name in ("cuda.bindings.driver", "pycuda.driver"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match="need cuda-bindings or PyCUDA, and an NVIDIA GPU"):
        cuda.open_cuda()


@pytest.mark.parametrize("package", ["cuda.bindings", "pycuda"])
def test_no_driver(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from fpg.common.errors import MissingDependencyError
    from fpg.engines import cuda

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    monkeypatch.setitem(sys.modules, "pycuda.driver" if package == "cuda.bindings" else "cuda.bindings.driver", None)
    with pytest.raises(MissingDependencyError, match=r"run on NVIDIA GPUs: none can be used here \((no NVIDIA driver|libcuda|.*_driver)"):
        cuda.open_cuda()
