"""Who may call whom: the arrows of docs/architecture.md, read off the imports and includes themselves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ARROWS: dict[str, set[str]] = {
    "common": {"_C"},
    "ops": {"common"},
    "faces": {"common"},
    "findings": {"common"},
    "data": {"common", "faces"},
    "pairs": {"common", "ops"},
    "models": {"common"},
    "guidance": {"common", "ops", "pairs"},
    "train": {"common", "guidance", "pairs", "models", "data"},
    "engines": {"common"},
    "record": {"common", "data"},
    "runtime": {"common", "engines", "faces", "findings", "data", "record"},
    "evaluate": {"common", "runtime", "engines", "faces", "findings", "data"},
    "export": {"common", "models", "engines"},
    "serve": {"common", "runtime", "engines", "faces", "data", "record"},
    "cli": {"common", "ops", "faces", "data", "models", "train", "engines", "runtime", "evaluate", "export", "guidance", "pairs", "_C"}
    | {"record", "serve", "findings"},
}
EXTRA = {"fpg/engines/torch.py": {"models", "ops"}, "fpg/engines/resolve.py": {"models"}}  # the latter to fetch from the Hub

TORCH_FREE = [
    "fpg.common.crops",
    "fpg.common.html",
    "fpg.common.spec",
    "fpg.data.dataset",
    "fpg.data.manifest",
    "fpg.data.video",
    "fpg.data.sources",
    "fpg.data.prepare",
    "fpg.data.sample",
    "fpg.faces",
    "fpg.findings.finding",
    "fpg.engines",
    "fpg.engines.openvino",
    "fpg.engines.resolve",
    "fpg.engines.onnxruntime",
    "fpg.record.exhibit",
    "fpg.record.run",
    "fpg.runtime.pipeline",
    "fpg.runtime.report",
    "fpg.serve.app",
    "fpg.serve.judging",
    "fpg.evaluate.metrics",
    "fpg.evaluate.protocol",
    "fpg.evaluate.report",
    "fpg.evaluate.robustness",
    "fpg.evaluate.robustness_report",
    "fpg.evaluate.summary",
    "fpg.evaluate.foreign",
    "fpg.evaluate.calibrate",
    "fpg.evaluate.compare",
    "fpg.evaluate.compare_report",
    "fpg.cli.compare",
    "fpg.cli.prepare",
    "fpg.cli.evaluate",
    "fpg.cli.detect",
    "fpg.cli.models",
    "fpg.cli.model_option",
    "fpg.cli.doctor",
    "fpg.cli.export",
    "fpg.cli.umbrella",
    "fpg.runtime.in_memory",
    "fpg.cli.serve",
]


def imported_rooms(path: Path) -> set[str]:
    """Rooms of fpg that a module imports, wherever in the file the import stands."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import from the package by its full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "fpg" else [node.module or ""]
        rooms |= {name.split(".")[1] for name in names if name.startswith("fpg.")}
    return rooms


MODULES = sorted((ROOT / "fpg").glob("*/**/*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_arrows(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    room = relative.split("/")[1]
    assert room in ARROWS, f"{relative}: a room without arrows; add it here and to docs/architecture.md"
    allowed = ARROWS[room] | {room} | EXTRA.get(relative, set())
    assert imported_rooms(path) - allowed - {"__version__"} == set()


def test_the_check_sees_a_forbidden_import(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from fpg.train.loop import train\n    import fpg.cli.entry\n    from fpg import models\n")
    assert imported_rooms(bad) == {"train", "cli", "models"}


def test_torch_stays_out_of_deployment() -> None:
    code = f"import importlib, sys\nfor m in {TORCH_FREE!r}:\n    importlib.import_module(m)\n    assert 'torch' not in sys.modules, m\n"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_only_the_torch_engine_imports_torch() -> None:
    users = {
        path.name
        for path in (ROOT / "fpg/engines").glob("*.py")
        if re.search(r"^\s*(import torch|from torch)\b", path.read_text(), re.MULTILINE)
    }
    assert users <= {"torch.py"}


INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
FOREIGN = ("torch/", "ATen/", "c10/", "pybind11/", "Python.h", "opencv")
DEPLOY_ONLY = ("NvInfer", "libav", "openvino/")
CPP_ARROWS = {"self_blend": ("color", "resample", "warp", "blend", "crop", "jpeg", "masks")}
"""Folder of an operation in csrc -> those of others that it may include. Every operation may include its own and common/."""


def forbidden_includes(path: str, text: str) -> list[str]:
    """What a source in csrc/`path` includes and must not: only bindings see Python, only .cu files CUDA, only .cpp files threads."""
    folder, name = path.split("/")[0], path.split("/")[-1]
    names = INCLUDE.findall(text)
    python = name == "bind.cpp" or "/python/" in path or path == "masks/chain.h"
    foreign = [include for _, include in names if not python and include.startswith(FOREIGN)]
    quoted = [include for quote, include in names if quote == '"']
    allowed = {"common", folder, *CPP_ARROWS.get(folder, ())}
    bad = [include for include in quoted if include.split("/")[0] not in allowed]
    for part, ending in (("common/cpu/", ".cpp"), ("common/cuda/", ".cu"), ("common/python/", "")):
        inside = path.startswith(part) or (python if part == "common/python/" else name.endswith(ending))
        bad += [include for include in quoted if include.startswith(part) and not inside and include != "common/cpu/hot.h"]
    return foreign + bad + [include for _, include in names if include.startswith(DEPLOY_ONLY)]


@pytest.mark.parametrize(
    "path",
    sorted(p for p in (ROOT / "csrc").rglob("*") if p.suffix in {".h", ".cpp", ".cu", ".cuh"}),
    ids=lambda p: p.relative_to(ROOT / "csrc").as_posix(),
)
def test_cpp_arrows(path: Path) -> None:
    assert forbidden_includes(path.relative_to(ROOT / "csrc").as_posix(), path.read_text()) == []


def test_the_check_sees_a_forbidden_include() -> None:
    assert forbidden_includes("warp/cpu.cpp", '#include "common/cuda/launch.h"\n#include <vector>\n') == ["common/cuda/launch.h"]
    assert forbidden_includes("warp/bind.cpp", '#include "jpeg/math.h"\n#include <pybind11/pybind11.h>\n') == ["jpeg/math.h"]
    assert forbidden_includes("warp/math.h", '#include "common/cpu/parallel.h"\n#include <torch/torch.h>\n') == [
        "torch/torch.h",
        "common/cpu/parallel.h",
    ]
    assert forbidden_includes("warp/cpu.cpp", '#include "common/python/bindings.h"\n#include <NvInfer.h>\n') == [
        "common/python/bindings.h",
        "NvInfer.h",
    ]
