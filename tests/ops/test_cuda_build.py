"""The CUDA sources compile without warnings for every architecture that is shipped; the module says what it was built for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fpg.ops.backend import native, native_built

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURES = ("80", "90", "120")
NVCC = os.environ.get("CUDACXX") or shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")

needs_nvcc = pytest.mark.skipif(NVCC is None, reason="nvcc is not installed")


@needs_nvcc
@pytest.mark.slow
@pytest.mark.parametrize("source", sorted((ROOT / "csrc").rglob("*.cu")), ids=lambda path: path.parent.name)
def test_compiles_for_every_architecture(source: Path, tmp_path: Path) -> None:
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES]
    flags = [
        "-std=c++17",
        "--Werror=all-warnings",
        "-Xcompiler=-Wall,-Wextra,-Wshadow,-Werror",
        "--fmad=false",
        f"-I{ROOT / 'csrc'}",
    ]
    command = [str(NVCC), *flags, *targets, "-c", str(source), "-o", str(tmp_path / "object.o")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "object.o").stat().st_size > 0


@pytest.mark.skipif(not native_built(), reason="fpg._C is not built")
def test_build_info_is_consistent() -> None:
    import fpg

    info = native.build_info().as_dict()
    assert info["version"] == fpg.__version__
    assert info["compiler"]
    assert bool(info["cuda_version"]) == info["cuda"] == bool(info["cuda_architectures"])


@needs_nvcc
@pytest.mark.skipif(not native_built(), reason="fpg._C is not built")
def test_module_has_every_architecture() -> None:
    info = native.build_info().as_dict()
    if not info["cuda"]:
        pytest.skip("fpg._C was built with FPG_CUDA=OFF")
    assert {a.removesuffix("-real").removesuffix("-virtual") for a in info["cuda_architectures"]} >= set(ARCHITECTURES)
