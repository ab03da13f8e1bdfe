"""What is handed on: a wheel in a fresh environment judges a clip with the starter in it; the sdist holds the starter, too."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fpg.common.models import RECORD, SHIPPED
from fpg.data.encode import write_video
from fpg.data.images import read_image

ROOT = Path(__file__).parents[1]
DETECT = "import sys, fpg.cli.detect as d; print(d.__file__, file=sys.stderr); sys.exit(d.main(sys.argv[1:]))"


def shipped() -> set[str]:
    """Paths of all files of packaged models, from the root of the sources."""
    return {path.relative_to(ROOT).as_posix() for path in SHIPPED.rglob("*") if path.is_file()}


def call(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=1800, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_wheel_in_a_fresh_environment_judges_a_clip(tmp_path: Path) -> None:
    if importlib.util.find_spec("scikit_build_core") is None:
        pytest.skip("scikit-build-core is not installed")
    portrait = Path(pytest.importorskip("skimage").__file__).parent / "data" / "astronaut.png"
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    call(*pip, "wheel", ROOT, "--no-deps", "--no-build-isolation", "-w", tmp_path, "-C", "cmake.define.FPG_CUDA=OFF", env=tools)
    (wheel,) = tmp_path.glob("fpg-*.whl")
    assert shipped() <= set(zipfile.ZipFile(wheel).namelist())

    call(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env")
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    call(*pip, "install", "--no-deps", "--no-index", "--target", site, wheel)
    (site / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))

    image = np.ascontiguousarray(read_image(portrait)[0:320, 60:360])
    write_video(tmp_path / "clip.mp4", [image[i : i + 300, i : i + 280] for i in range(4)], fps=10)
    python = tmp_path / "env/bin/python"
    done = call(python, "-c", DETECT, "clip.mp4", "--json", "out.json", cwd=tmp_path, env={**tools, "FPG_MODELS": ""})
    assert done.stderr.startswith(str(site))
    assert done.stdout.startswith("judged by starter (")
    (result,) = json.loads((tmp_path / "out.json").read_text())["results"]
    assert result["error"] is None
    assert 0 <= result["score"] <= 1
    listed = call(python, "-c", "from fpg.cli.models import main; main(['--json'])", cwd=tmp_path, env={**tools, "FPG_MODELS": ""})
    assert {model["name"] for model in json.loads(listed.stdout)["models"]} == {path.parent.name for path in SHIPPED.glob(f"*/{RECORD}")}


@pytest.mark.slow
def test_the_sdist_holds_the_models(tmp_path: Path) -> None:
    if importlib.util.find_spec("scikit_build_core") is None:
        pytest.skip("scikit-build-core is not installed")
    call(sys.executable, "-c", "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])", tmp_path, cwd=ROOT)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert shipped() <= names
