"""Packages that fpg uses, and the pip command that installs what is missing.

The commands are made from fpg's own metadata and from the files in `fpg/requirements`, so they never disagree with what fpg declares, and
they name the packages themselves: they work in a checkout and with a wheel, whether or not fpg is on a package index.
"""

from __future__ import annotations

import importlib.metadata
import shlex
from pathlib import Path

from packaging.requirements import Requirement

DISTRIBUTION = "fpg-deepfake"
"""Name under which pip knows this package."""
EXTRAS = {
    "train": "training, evaluation, preparation, import and export",
    "heif": "HEIC pictures",
    "onnx": "exporting, and ONNX Runtime",
    "int8": "OpenVINO models in INT8",
    "tensorrt": "TensorRT on NVIDIA GPUs",
    "tensorrt-rtx": "TensorRT for RTX GPUs",
    "gpu-video": "decoding on a GPU",
    "ray": "preparation on several machines",
    "serve": "judging over HTTP (fpg-serve)",
    "c2pa": "reading Content Credentials",
    "wandb": "tracking runs with Weights & Biases",
    "docs": "building the documentation",
    "dev": "tests and development",
}
"""Extra -> what it is for."""
BUILD_COMMAND = "pip install --no-build-isolation -e ."
"""Builds the compiled module, in fpg's sources."""
_PROJECTS = {"cv2": "opencv-python-headless", "PIL": "pillow", "sklearn": "scikit-learn", "yaml": "PyYAML"}
"""Module -> project, where the names differ by more than a hyphen."""
_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
_SAME_MODULE = dict.fromkeys(_OPENCV, _OPENCV)
"""Project -> all that install the same module."""
_PINS = Path(__file__).parents[1] / "requirements"


def requirements(extra: str = "") -> list[Requirement]:
    """What fpg declares for an extra (empty: what it always needs), extras of fpg itself resolved.

    Raises:
        PackageNotFoundError: fpg is not installed, as when its sources lie on `PYTHONPATH`.
    """
    declared = [Requirement(text) for text in importlib.metadata.requires(DISTRIBUTION) or []]
    found: dict[str, Requirement] = {}
    for requirement in declared:
        if not _belongs(requirement, extra):
            continue
        if requirement.name == DISTRIBUTION:
            for other in sorted(requirement.extras):
                found |= {nested.name: nested for nested in requirements(other)}
        else:
            found[requirement.name] = requirement
    return list(found.values())


def _belongs(requirement: Requirement, extra: str) -> bool:
    if requirement.marker is None:
        return not extra
    return requirement.marker.evaluate({"extra": extra}) and not (extra and requirement.marker.evaluate({"extra": ""}))


def installed_version(project: str) -> str | None:
    """Version of a project, or of another that installs the same module; None when absent."""
    for name in (project, *_SAME_MODULE.get(project, ())):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def fits(requirement: Requirement) -> bool:
    """Whether a version that fpg accepts is installed."""
    version = installed_version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def pip_install(*what: str) -> str:
    """The command line that installs requirements or passes options to pip."""
    return shlex.join(["pip", "install", *what])


def as_argument(requirement: Requirement) -> str:
    """A requirement as pip takes it, without its marker."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def install_extra(extra: str) -> str:
    """The command that installs what an extra lacks here, or all of it where nothing is known to be lacking."""
    try:
        declared = requirements(extra)
    except importlib.metadata.PackageNotFoundError:
        return pip_install(f".[{extra}]")
    return pip_install(*map(as_argument, [r for r in declared if not fits(r)] or declared))


def install_pinned(name: str, *projects: str) -> str:
    """The command that installs packages of `fpg/requirements/NAME.txt`, without their own dependencies.

    Args:
        name: `models`, `samples`, `modelopt` or `triton`.
        projects: of the file; all where none of them is.
    """
    known = pinned(name)
    return pip_install("--no-deps", *map(as_argument, [r for r in known if r.name in projects] or known))


def pinned(name: str) -> list[Requirement]:
    """The requirements of `fpg/requirements/NAME.txt`."""
    lines = (_PINS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def advice_for(module: str | None) -> str | None:
    """The command that installs the extra which brings a top-level module; None for a module of none of them."""
    if not module:
        return None
    top = module.split(".")[0]
    project = _PROJECTS.get(top, top.replace("_", "-")).lower()
    try:
        for extra in ("", *EXTRAS):
            if project in (requirement.name.lower().replace("_", "-") for requirement in requirements(extra)):
                return install_extra(extra)
    except importlib.metadata.PackageNotFoundError:
        return None
    return None
