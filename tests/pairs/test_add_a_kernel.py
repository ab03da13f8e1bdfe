"""The example of docs/add-a-kernel.md: it compiles without warnings, with nvcc too, and does what the page says."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from image_input import random_batch

from fpg.ops.ragged import RaggedBatch
from fpg.pairs import operations

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "add-a-kernel.md"
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Werror"]


def files() -> dict[str, str]:
    """The files of the page: those lines between a name in backticks and the end of the block after it."""
    return dict(re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for name, text in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def module(sources: Path) -> ModuleType:
    """fpg._C with this operation alone."""
    pybind11 = pytest.importorskip("pybind11")
    compiler = shutil.which("c++")
    if compiler is None or not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        pytest.skip("no C++ compiler, or no headers of Python")
    path = sources / ("_C" + importlib.machinery.EXTENSION_SUFFIXES[0])
    common = [ROOT / "csrc/common" / name for name in ("build_info.cpp", "cpu/parallel.cpp", "python/module.cpp")]
    ours = [sources / "csrc/exposure" / name for name in ("cpu.cpp", "bind.cpp")]
    info = [f'-DFPG_INFO_{name}=""' for name in ("VERSION", "COMPILER", "BUILD_TYPE", "CUDA_VERSION", "CUDA_ARCHITECTURES")]
    flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", *WARNINGS]
    places = [f"-I{ROOT / 'csrc'}", f"-I{sources / 'csrc'}"]
    system = [f"-isystem{pybind11.get_include()}", f"-isystem{sysconfig.get_paths()['include']}"]
    defined = [*info, "-DFPG_INFO_CUDA_BUILT=0", '-DFPG_INTERFACE=""']
    run(compiler, *flags, *defined, *places, *system, *common, *ours, "-o", path, "-pthread")
    loader = importlib.machinery.ExtensionFileLoader("_C", str(path))
    spec = importlib.util.spec_from_loader("_C", loader)
    assert spec is not None
    made = importlib.util.module_from_spec(spec)
    loader.exec_module(made)
    return made


@pytest.fixture
def expose(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[[RaggedBatch, torch.Tensor], RaggedBatch]:
    """The function of the page, in the file that it belongs to."""
    from fpg.ops import backend

    for place in (operations, backend):
        monkeypatch.setattr(place, "native", module)
    monkeypatch.setattr("fpg.ops.ragged.native", module)
    scope: dict[str, Any] = vars(operations).copy()
    exec(files()["fpg/pairs/operations.py"], scope)
    return scope["expose"]


def test_the_page_has_the_files_that_it_lists() -> None:
    listed = re.findall(r"(?m)^\| `(\S+)` \|", PAGE.read_text())
    assert len(listed) == 8
    assert set(files()) == set(listed) - {"fpg/_C.pyi"}


@pytest.mark.parametrize("count", [1, 3])
def test_it_does_what_its_test_says(expose: Callable[..., RaggedBatch], rng: np.random.Generator, threads: None, count: int) -> None:
    scope: dict[str, Any] = {"pytest": pytest, "np": np, "torch": torch, "random_batch": random_batch, "expose": expose}
    exec("from __future__ import annotations\n" + files()["tests/pairs/test_exposure.py"], scope)
    scope["test_exposure"](None, None, rng, count)


def test_it_says_what_is_wrong(expose: Callable[..., RaggedBatch], module: ModuleType, rng: np.random.Generator) -> None:
    _, batch = random_batch(rng)
    with pytest.raises(ValueError, match=r"gains: expected float32 \[7, 1\], got float32 \[3, 1\]"):
        expose(batch, torch.zeros(3, 1))
    ragged = module.Ragged(batch.data.data_ptr(), batch.offsets.data_ptr(), batch.sizes.data_ptr(), len(batch), 3, 9, 9)
    with pytest.raises(ValueError, match="gains: expected data, got a null pointer"):
        module.expose(images=ragged, gains=0, out=batch.data.data_ptr(), target=module.Target(-1, 0, 1))
    with pytest.raises(RuntimeError, match="built without CUDA"):
        module.expose(images=ragged, gains=1, out=1, target=module.Target(0, 0, 1))


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
def test_its_launch_compiles(sources: Path, tmp_path: Path) -> None:
    flags = [
        "-std=c++17",
        "--fmad=false",
        "-gencode=arch=compute_90,code=sm_90",
        "--Werror=all-warnings",
        "-Xcompiler=-Wall,-Wextra,-Werror",
    ]
    places = [f"-I{ROOT / 'csrc'}", f"-I{sources / 'csrc'}"]
    run("nvcc", *flags, *places, "-c", sources / "csrc/exposure/cuda.cu", "-o", tmp_path / "object.o")


def test_its_style_is_ours(sources: Path) -> None:
    formatter = shutil.which("clang-format")
    if formatter is None:
        pytest.skip("clang-format is not installed")
    run(formatter, f"--style=file:{ROOT / '.clang-format'}", "--dry-run", "-Werror", *sorted((sources / "csrc/exposure").iterdir()))
