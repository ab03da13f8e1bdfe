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
    "common": set(),
    "ops": {"common", "_C"},
    "faces": {"common"},
    "findings": {"common"},
    "data": {"common", "faces"},
    "augment": {"common", "ops"},
    "models": {"common"},
    "guidance": {"common", "ops", "augment"},
    "train": {"common", "guidance", "augment", "models", "data"},
    "engines": {"common"},
    "record": {"common", "data"},
    "runtime": {"common", "engines", "faces", "findings", "data", "record"},
    "evaluate": {"common", "runtime", "engines", "faces", "findings", "data"},
    "export": {"common", "models", "engines"},
    "serve": {"common", "runtime", "engines", "faces", "data", "record"},
    "cli": {"common", "ops", "faces", "data", "models", "train", "engines", "runtime", "evaluate", "export", "guidance", "augment", "_C"}
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
CPP_ARROWS = {
    "include": ("fpg/",),
    "math": ("math/", "fpg/"),
    "cpu": ("cpu/", "math/", "fpg/", "backends"),
    "cuda": ("cuda/", "math/", "fpg/", "backends"),
    "python": ("bind", "fpg/"),
}
"""Folder of csrc -> beginnings of what it may include of ours; the files beside them (dispatch) may include anything but `python/`."""


def forbidden_includes(part: str, text: str) -> list[str]:
    """What a source in csrc/`part` includes and must not."""
    names = INCLUDE.findall(text)
    foreign = [name for _, name in names if part != "python" and name.startswith(FOREIGN)]
    quoted = [name for quote, name in names if quote == '"']
    allowed = CPP_ARROWS.get(part)
    ours = [name for name in quoted if (not name.startswith(allowed) if allowed else name.startswith("python/"))]
    return foreign + ours + [name for _, name in names if name.startswith(DEPLOY_ONLY)]


@pytest.mark.parametrize(
    "path", sorted(p for p in (ROOT / "csrc").rglob("*") if p.suffix in {".h", ".cpp", ".cu", ".cuh"}), ids=lambda p: str(p.name)
)
def test_cpp_arrows(path: Path) -> None:
    assert forbidden_includes(path.relative_to(ROOT / "csrc").parts[0], path.read_text()) == []


def test_the_check_sees_a_forbidden_include() -> None:
    assert forbidden_includes("cpu", '#include "cuda/launch.h"\n#include <vector>\n') == ["cuda/launch.h"]
    assert forbidden_includes("python", '#include "math/jpeg.h"\n#include <pybind11/pybind11.h>\n') == ["math/jpeg.h"]
    assert forbidden_includes("math", "#include <torch/torch.h>\n") == ["torch/torch.h"]
    assert forbidden_includes("dispatch.cpp", '#include "python/bindings.h"\n#include <NvInfer.h>\n') == ["python/bindings.h", "NvInfer.h"]
