"""The C++ programs: built once by `cmake --preset deploy` (`make test` has done so), and a small engine for both runtimes."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from twins import Programs

from fpg.export.exporter import export_detector
from fpg.faces.mediapipe import DETECTOR_FILE, model_path
from fpg.models.config import DetectorConfig
from fpg.models.detector import save_detector

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "deploy"


@pytest.fixture(scope="session", autouse=True)
def built() -> Path:
    """The build folder. Skipped where FFmpeg's or nlohmann-json's headers are missing, unless `FPG_REQUIRE_CPP=1`."""
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    needed = subprocess.run(
        ["bash", str(ROOT / "scripts/debian_packages.sh"), "--missing", "deploy"], capture_output=True, text=True, check=True
    )
    if needed.stdout.strip() and os.environ.get("FPG_REQUIRE_CPP") != "1":
        pytest.skip(f"the C++ runtime needs Debian's {needed.stdout.strip()}")
    for command in (["cmake", "--preset", "deploy"], ["cmake", "--build", "--preset", "deploy"]):
        done = subprocess.run(command, cwd=ROOT, env=tools, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return BUILD


@pytest.fixture(scope="session")
def program(built: Path) -> Path:
    return built / "deploy" / "fpg-detect-cpp"


@pytest.fixture(scope="session")
def probe(built: Path) -> Path:
    """See tests/cpp/deploy/probe.cpp."""
    return built / "tests" / "cpp" / "deploy" / "fpg_probe"


@pytest.fixture(scope="session")
def face_models() -> str:
    return str(model_path(DETECTOR_FILE).parent)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OpenVINO engine whose scores spread."""
    from detectors import lively_detector

    folder = tmp_path_factory.mktemp("engine")
    save_detector(folder / "m.safetensors", lively_detector(DetectorConfig(backbone="tf_efficientnet_lite0", image_size=96)))
    return export_detector(folder / "m.safetensors", "openvino", folder, name="engine").path


@pytest.fixture(scope="session")
def aligned_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OpenVINO engine that wants aligned crops and has no activation map."""
    from detectors import lively_detector

    folder = tmp_path_factory.mktemp("aligned")
    model = lively_detector(DetectorConfig(backbone="test_vit3", image_size=160, heads="linear-norm"))
    save_detector(folder / "m.safetensors", model, crop="aligned")
    return export_detector(folder / "m.safetensors", "openvino", folder, name="engine").path


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """uint8 [512, 512, 3], a face that scikit-image carries."""
    path = importlib.metadata.distribution("scikit-image").locate_file("skimage/data/astronaut.png")
    return np.array(Image.open(str(path)).convert("RGB"))


@pytest.fixture
def programs(program: Path, face_models: str, engine: Path, tmp_path: Path) -> Programs:
    (tmp_path / "json").mkdir()
    return Programs(program, face_models, engine, tmp_path / "json")
