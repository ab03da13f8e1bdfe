"""The benchmark of whole pairs: its JSON, what its check refuses, the advice when its second environment cannot be made."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from alternatives.pairs.environment import Rival, RivalError
from alternatives.pairs.faces import faces

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "augment.py"


def benchmark(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--json", "--crops", "300x360", "--pairs", "2", "--rounds", "2", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=SCRIPT.parents[1], check=False)


def test_json_without_the_second_environment() -> None:
    done = benchmark("--rival", "none")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    (case,) = result["cases"]
    assert case["name"] == "pair 300x360 vs opencv"
    assert case["ratio"] > 0
    assert case["low"] <= case["ratio"] <= case["high"]
    assert sum(result["stages"]["pair 300x360"].values()) == pytest.approx(1, abs=0.02)
    assert result["left_out"][0]["name"] == "vs albumentations"


@pytest.mark.slow
def test_json_against_albumentations() -> None:
    """Makes the second environment if it is not there yet, which needs a package index."""
    done = benchmark()
    if "could not be made" in done.stderr:
        pytest.skip("the environment of the albumentations pipeline cannot be made here: no package index")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [case["name"] for case in result["cases"]] == ["pair 300x360 vs opencv", "pair 300x360 vs albumentations"]
    assert result["versions"]["rival"]["albumentations"] == "2.0.8"


@pytest.mark.slow
def test_without_a_package_index_there_is_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PIP_NO_INDEX": "1", "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RivalError, match=r"could not be made in .*\n(.*\n)*.*albumentations==2\.0\.8(.*\n)*.*--rival none"):
        Rival(tmp_path / "environment")
    assert not (tmp_path / "environment" / ".ready").exists()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("augment_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = dict(os.environ)
    try:
        spec.loader.exec_module(module)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return module


def test_what_is_timed_is_checked_first(script: ModuleType) -> None:
    material = faces(300, 360, 2)
    assert {image.shape for image in material.images} == {(300, 360, 3)}
    good = [t.numpy() for t in script.SelfBlend(size=script.SIZE)(*material, np.random.default_rng(0))]
    script.check("good", good)
    fake, real, source, mask = good
    for pairs, reason in (
        ([fake * 2, real, source, mask], "outside"),
        ([fake, real, source, mask * 0], "an empty mask"),
        ([source[::-1], real, source, mask], "no blend|differ by"),
        ([fake, real, source, mask[:, 0]], "got float32"),
        ([fake.astype(np.float64), real, source, mask], "got float64"),
    ):
        with pytest.raises(AssertionError, match=reason):
            script.check("bad", pairs)
