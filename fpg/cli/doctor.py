"""fpg-doctor: what was built, which devices, engines and packages are available, and what to do about what is missing.

`fpg-doctor data DIR` examines a data set instead.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from rich.console import Console

import fpg
from fpg.cli.doctor_data import add_parser
from fpg.cli.entry import add_version, run
from fpg.cli.help import Help
from fpg.common.console import output, table
from fpg.common.errors import MissingDependencyError
from fpg.common.openvino import core
from fpg.common.packages import (
    BUILD_COMMAND,
    EXTRAS,
    as_argument,
    fits,
    install_extra,
    install_pinned,
    installed_version,
    pip_install,
    requirements,
)
from fpg.engines.cuda import open_cuda
from fpg.engines.tensorrt import MODULES

EPILOG = """examples:
  fpg-doctor              tables for people; exit code 1 when something required is broken
  fpg-doctor --json       the same as one JSON object on stdout
  fpg-doctor data DIR     which data set is in DIR, what it lacks, what preparing it would cost
"""

IMPORTS = ("cv2", "openvino", "av")
"""Required modules with compiled parts: they can be installed and yet fail to load."""
TRAIN_IMPORTS = ("torch", "torchvision", "timm", "pyarrow.parquet")
"""The same of the extra `train`: where they are installed, they have to load."""
SHOWN = tuple(extra for extra in EXTRAS if extra not in ("wandb", "docs", "dev"))
"""Extras whose packages are listed."""

INSTRUCTION_SETS = ("sse4_2", "avx", "avx2", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8")


@dataclass(frozen=True)
class Problem:
    """Something missing or broken, and what to do about it."""

    what: str
    advice: str
    required: bool
    """Whether fpg cannot do its work without it: decides the exit code."""


@dataclass(frozen=True)
class Package:
    """One package that fpg names as a dependency."""

    name: str
    extra: str
    """The extra that asks for it; empty for a required one."""
    version: str | None
    """Installed version, None when absent."""
    fits: bool
    """Installed at a version that fpg accepts."""
    command: str
    """How to install it."""


@dataclass(frozen=True)
class EngineState:
    """What one kind of engine can do here."""

    name: str
    runs: bool
    exports: bool
    detail: str


@dataclass
class DoctorReport:
    """Everything `fpg-doctor` finds."""

    version: str = fpg.__version__
    python: str = platform.python_version()
    system: str = platform.platform()
    build: dict[str, Any] | None = None
    backend: str = ""
    cpu: dict[str, Any] = field(default_factory=dict)
    cuda: dict[str, Any] = field(default_factory=dict)
    engines: list[EngineState] = field(default_factory=list)
    packages: list[Package] = field(default_factory=list)
    faces: str = ""
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing required is broken."""
        return not any(problem.required for problem in self.problems)


def examine_installation() -> DoctorReport:
    """Look at this installation. Imports every engine, and torch where it is installed; takes a few seconds.

    Raises:
        UsageError: `FPG_BACKEND` is none of its values.
    """
    report = DoctorReport()
    report.packages = find_packages(report.problems)
    broken = check_imports(report.problems)
    report.build, report.backend = examine_kernels(broken, report.problems)
    report.cpu = examine_cpu()
    report.cuda = examine_cuda(report.build, broken)
    report.engines = examine_engines(report.cuda, broken)
    report.faces = examine_faces(broken, report.problems)
    return report


def find_packages(problems: list[Problem]) -> list[Package]:
    """Every dependency that the installed fpg declares, required ones first."""
    try:
        packages = [_package(requirement, extra) for extra in ("", *SHOWN) for requirement in requirements(extra)]
    except importlib.metadata.PackageNotFoundError:
        problems.append(
            Problem("fpg runs from its source folder and is not installed: its dependencies are not checked", BUILD_COMMAND, False)
        )
        return []
    for package in packages:
        if not package.extra and not package.fits:
            state = "is not installed" if package.version is None else f"{package.version} does not fit"
            problems.append(Problem(f"{package.name} {state}", package.command, True))
    for extra in SHOWN:
        absent = [p.name for p in packages if p.extra == extra and not p.fits]
        if absent:
            problems.append(Problem(f"{', '.join(absent)}: for {EXTRAS[extra]}; optional", install_extra(extra), False))
    return packages


def _package(requirement: Requirement, extra: str) -> Package:
    version = installed_version(requirement.name)
    return Package(requirement.name, extra, version, fits(requirement), pip_install(as_argument(requirement)))


def check_imports(problems: list[Problem]) -> dict[str, str]:
    """Import what has compiled parts; returns the reason of each module that fails."""
    broken = {}
    for name in (*IMPORTS, *TRAIN_IMPORTS):
        if reason := import_failure(name):
            broken[name] = reason
            if name in IMPORTS or importlib.util.find_spec(name.split(".")[0]) is not None:
                problems.append(Problem(f"{name} does not import: {reason}", _advice(name, reason), True))
    return broken


def import_failure(name: str) -> str:
    """Why module `name` cannot be imported, in one line; empty when it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:  # what a missing or mismatched library raises while a module loads
        return " ".join(str(error).split())
    return ""


def _advice(module: str, reason: str) -> str:
    if "libGL" in reason or "libgthread" in reason:
        return "apt-get install libgl1 libglib2.0-0"
    packages = {"cv2": "opencv-python-headless", "pyarrow.parquet": "pyarrow"}
    return pip_install("--force-reinstall", packages.get(module, module))


def examine_kernels(broken: dict[str, str], problems: list[Problem]) -> tuple[dict[str, Any] | None, str]:
    """What the compiled module says of itself, and the backend that CPU tensors get; without torch nothing calls it."""
    build = None
    if "torch" in broken:
        if importlib.util.find_spec("fpg._C") is not None and not import_failure("fpg._C"):
            build = importlib.import_module("fpg._C").build_info().as_dict()
        return build, "none"
    from fpg.ops.backend import backend, native, native_built  # imports torch

    try:
        if native_built():
            build = native.build_info().as_dict()
        else:
            problems.append(Problem("the compiled kernels are not built: operations run as pure torch", BUILD_COMMAND, False))
        return build, backend("cpu")
    except MissingDependencyError as error:
        problems.append(Problem(str(error), BUILD_COMMAND, True))
        return build, "none"


def examine_cpu() -> dict[str, Any]:
    """Model, cores that this process may use, and instruction sets."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    info = _cpuinfo()
    flags = info.get("flags", "").split()
    return {
        "name": info.get("model name") or platform.processor() or platform.machine(),
        "cores": usable,
        "instructions": [name for name in INSTRUCTION_SETS if name in flags],
    }


def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    first = path.read_text(encoding="utf-8").split("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def examine_cuda(build: dict[str, Any] | None, broken: dict[str, str]) -> dict[str, Any]:
    """The GPUs that torch sees, or the reason why there are none."""
    if "torch" in broken:
        return {"devices": [], "reason": f"torch does not import: {broken['torch']}"}
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about an absent driver, which is what is being asked
        available = torch.cuda.is_available()
    if available:
        return {"devices": [_gpu(torch.cuda.get_device_properties(i)) for i in range(torch.cuda.device_count())], "reason": ""}
    if torch.version.cuda is None:
        return {"devices": [], "reason": f"torch {torch.__version__} is built without CUDA"}
    reason = importlib.import_module("fpg._C").cuda_status()[1] if build and build["cuda"] else ""
    return {"devices": [], "reason": reason or "torch sees no NVIDIA driver or no GPU"}


def _gpu(properties: Any) -> dict[str, Any]:
    return {
        "name": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "memory_gib": round(properties.total_memory / 2**30, 1),
    }


def examine_engines(cuda: dict[str, Any], broken: dict[str, str]) -> list[EngineState]:
    """Which engines can run here, and which can be exported to."""
    torch_detail = broken.get("torch") or ("CPU and CUDA" if cuda["devices"] else "CPU")
    states = [EngineState("torch", "torch" not in broken, "torch" not in broken, torch_detail)]

    exporters = {name: import_failure(name) for name in ("onnx", "onnxscript", "onnxconverter_common")}
    to_onnx = not any(exporters.values()) and "torch" not in broken
    why_not = "".join(f"; export needs {name}: {reason}" for name, reason in exporters.items() if reason)
    states.append(_runner("onnxruntime", "ONNX Runtime", to_onnx, why_not, lambda m: ", ".join(m.get_available_providers())))
    direct = not {"torch", "openvino"} & broken.keys()  # straight from torch's graph: no ONNX package is needed
    states.append(_runner("openvino", "OpenVINO", direct, "", lambda _: ", ".join(core().available_devices)))
    try:
        open_cuda()
        no_gpu = ""
    except MissingDependencyError as error:
        no_gpu = f"; {error}"
    for target, name in (("tensorrt", "TensorRT"), ("tensorrt-rtx", "TensorRT for RTX")):
        state = _runner(MODULES[target], name, to_onnx, why_not + no_gpu, lambda m: m.__version__)
        builds = state.runs and to_onnx and (not no_gpu or target == "tensorrt-rtx")  # TensorRT builds on the GPU it is for
        states.append(dataclasses.replace(state, runs=state.runs and not no_gpu, exports=builds))
    return states


def _runner(module: str, name: str, exports: bool, why_not: str, describe: Callable[[Any], str]) -> EngineState:
    reason = import_failure(module)
    detail = reason or describe(importlib.import_module(module))
    return EngineState(name, not reason, exports, detail + why_not)


def examine_faces(broken: dict[str, str], problems: list[Problem]) -> str:
    """Whether the default face models are found and run (on an empty picture)."""
    if absent := [name for name in ("cv2", "openvino") if name in broken]:
        return f"not checked: {', '.join(absent)} does not import"
    import numpy as np

    from fpg.faces import default_analyzer
    from fpg.faces.mediapipe import PACKAGE

    try:
        default_analyzer()(np.zeros((64, 64, 3), np.uint8))
    except MissingDependencyError as error:
        problems.append(Problem(f"the face models do not run: {error}", install_pinned("models", PACKAGE), True))
        return str(error)
    return "MediaPipe's detector and face mesh, run by OpenVINO"


def as_json(report: DoctorReport) -> str:
    """The report as JSON text."""
    return json.dumps({"ok": report.ok, **dataclasses.asdict(report)}, indent=2)


def show(report: DoctorReport, to: Console) -> None:
    """Print the report as tables."""
    build = report.build
    cuda_build = (
        "without CUDA"
        if not build or not build["cuda"]
        else f"CUDA {build['cuda_version']} for sm_{', sm_'.join(build['cuda_architectures'])}"
    )
    gpus = [f"{g['name']}, compute capability {g['compute_capability']}, {g['memory_gib']} GiB" for g in report.cuda["devices"]]
    rows = [
        ["fpg", report.version],
        ["kernels", f"{build['compiler']}, {build['build_type']}, {cuda_build}" if build else "not built"],
        [
            "operations on the CPU",
            {"native": "compiled kernels", "reference": "pure torch", "none": "not used without torch"}.get(report.backend, report.backend),
        ],
        ["Python", f"{report.python}, {report.system}"],
        ["CPU", f"{report.cpu['name']}, {report.cpu['cores']} cores, {' '.join(report.cpu['instructions'])}"],
        ["GPU", "; ".join(gpus) or f"none: {report.cuda['reason']}"],
        ["faces", report.faces],
    ]
    table("This installation", ["part", "state"], rows, to=to, text=True)
    engines = [[e.name, "yes" if e.runs else "no", "yes" if e.exports else "no", e.detail] for e in report.engines]
    table("Engines", ["engine", "runs here", "export", "detail"], engines, to=to, text=True)
    packages = [[p.name, p.extra or "required", p.version or "", _fit(p)] for p in report.packages]
    table("Packages", ["package", "needed for", "version", ""], packages, to=to, text=True)
    for problem in sorted(report.problems, key=lambda p: not p.required):  # as lines: a command in a table cell cannot be copied
        to.print(f"{'BROKEN' if problem.required else 'missing'}: {problem.what}\n    {problem.advice}", markup=False)
    to.print("Everything required works." if report.ok else "Something required is broken: see above.")


def _fit(package: Package) -> str:
    if package.fits:
        return ""
    state = "absent" if package.version is None else "another version is needed"
    return f"{state} (optional)" if package.extra else state


def installation(args: argparse.Namespace) -> int:
    """Examine the installation, print it, and say by the exit code whether it is fine."""
    report = examine_installation()
    if args.json:
        print(as_json(report))
    else:
        show(report, output())
    return 0 if report.ok else 1


def parser() -> argparse.ArgumentParser:
    """The command line; without a sub-command it examines the installation."""
    result = argparse.ArgumentParser(prog="fpg-doctor", description=__doc__, epilog=EPILOG, formatter_class=Help)
    add_version(result)
    result.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    result.set_defaults(run=installation)
    add_parser(result.add_subparsers(title="sub-commands", metavar="data"))
    return result


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code: 0 fine, 1 something required is broken, 2 wrong usage."""
    args = parser().parse_args(argv)
    return run(lambda: args.run(args))


if __name__ == "__main__":
    sys.exit(main())
