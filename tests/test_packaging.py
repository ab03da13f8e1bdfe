"""What pip is told: extras, pinned packages, advice to install something, the version; and what ships with the code."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.requirements import InvalidRequirement, Requirement

import fpg
from fpg.cli.entry import run
from fpg.common import packages
from fpg.record.run import machine

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = [".py", ".md", ".txt", ".toml", ".yaml", ".ipynb", ".cpp", ".h"]
ADVICE = re.compile(r"pip(?:3)? (?:[-'\w=. ]*? )?install ([^`\n]*)")


def project_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split("\0")
    files = [ROOT / name for name in listed if name] or [path for path in ROOT.rglob("*") if ".venv" not in path.parts]
    return [p for p in files if (p.suffix in SOURCES or p.name in ("Makefile", "run", "NOTICE")) and p.is_file() and not p.is_symlink()]


def arguments(text: str) -> list[str]:
    """Words after `pip install` up to the end of the command: what is no word of pip's ends it."""
    words = re.match(r"""(?:(?:'[^'\s]*'|"[^"\s]*"|[-\w.,\[\]=<>!*+/{}$@:]+)(?: +|$|(?=[`),;:])))*""", text + " ").group(0)  # type: ignore[union-attr]
    return shlex.split(words.replace('"', "'"), posix=True) if words.count("'") % 2 == 0 else []


def declared() -> dict[str, set[str]]:
    """Name of every package that fpg names anywhere, as pip normalises it -> its extras in use."""
    lines = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]
    for name in ("models", "samples", "modelopt", "triton"):
        lines += map(str, packages.pinned(name))
    return {normal(Requirement(line).name): set() for line in lines}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def faults(text: str) -> list[str]:
    """What is wrong with the arguments of one `pip install`."""
    words, found, known = arguments(text), [], declared()
    while words:
        word = words.pop(0)
        if word in ("-r", "-c"):
            name = words.pop(0) if words else ""
            if not (ROOT / name).is_file():
                found.append(f"-r {name}: no such file")
        elif word.startswith("-") or "{" in word or "$" in word:
            continue
        elif word == "." or word.startswith(".["):
            extras = [e for e in word[2:-1].split(",") if e]
            found += [f"no extra {extra}" for extra in extras if extra not in PROJECT["optional-dependencies"]]
        else:
            try:
                requirement = Requirement(word)
            except InvalidRequirement:
                break  # the sentence goes on
            if normal(requirement.name) == "fpg":
                found.append(f"{word}: another project's package")
            elif normal(requirement.name) not in known:
                if word.isalpha():
                    break  # the sentence goes on
                found.append(f"{word}: fpg declares no such package")
    return found


def test_every_advice_installs_something_that_fpg_declares() -> None:
    wrong, seen = [], 0
    for path in project_files():
        if path == Path(__file__) or path.name == "CHANGELOG.md" or "alternatives" in path.parts:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for match in ADVICE.finditer(line):
                seen += 1
                wrong += [f"{path.relative_to(ROOT)}:{number}: {fault}" for fault in faults(match.group(1))]
    assert wrong == []
    assert seen > 15


def test_messages_work_outside_a_checkout() -> None:
    for path in sorted((ROOT / "fpg").rglob("*.py")):
        if path.name != "packages.py":
            assert "install '.[" not in path.read_text(encoding="utf-8"), f"{path}: take fpg.common.packages.install_extra"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("'fpg[onnx]'", "another project"),
        ("fpg", "another project"),
        ("'.[onxx]'", "no extra onxx"),
        ("--no-deps -r requirements-absent.txt", "no such file"),
        ("'surely-absent>=2' numpy", "declares no such package"),
    ],
)
def test_the_check_sees_wrong_advice(text: str, fault: str) -> None:
    assert fault in " ".join(faults(text))


@pytest.mark.parametrize(
    "text", ["'.[train,onnx]'", "'onnx>=1.16' onnxscript, or so", "--no-deps -r requirements-models.txt), and", "openvino", "-e ."]
)
def test_the_check_lets_right_advice_pass(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize("extra", list(PROJECT["optional-dependencies"]))
def test_advice_for_an_extra_is_what_the_project_declares(extra: str) -> None:
    assert extra in packages.EXTRAS
    command = shlex.split(packages.install_extra(extra))
    assert command[:2] == ["pip", "install"]
    names = {normal(Requirement(word).name) for word in command[2:]}
    assert names <= {normal(r.name) for r in packages.requirements(extra)}
    assert "fpg-deepfake" not in names


def test_what_is_missing_alone_is_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"onnx": "1.20", "onnxscript": "0.1", "onnxconverter-common": "1.14"}
    monkeypatch.setattr(packages, "installed_version", present.get)
    assert packages.install_extra("onnx") == "pip install 'onnxscript>=0.3' 'onnxruntime>=1.20'"


@pytest.mark.parametrize(
    ("module", "package"),
    [("torch", "torch>="), ("sklearn.metrics", "scikit-learn"), ("cv2", "opencv-python-headless"), ("yaml", "PyYAML")],
)
def test_a_missing_module_is_told_by_its_package(module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "installed_version", lambda project: None)
    assert package in (packages.advice_for(module) or "")


def test_modules_of_nobody_have_no_advice() -> None:
    assert packages.advice_for("surely_absent") is None
    assert packages.advice_for(None) is None


def test_opencv_of_another_name_counts() -> None:
    assert packages.fits(Requirement("opencv-python-headless>=4"))


@pytest.mark.parametrize("installed", ["opencv-python", "opencv-python-headless", "opencv-contrib-python"])
def test_records_keep_the_name_of_opencv_whichever_is_installed(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name != installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return "5.1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    versions = machine.__wrapped__()["versions"]  # it is asked once a process
    assert {name: found for name, found in versions.items() if name.startswith("opencv")} == {"opencv-python": "5.1"}


def test_judging_needs_no_torch() -> None:
    core = {normal(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert not core & {"torch", "torchvision", "timm", "tensorboard", "scikit-learn", "pyarrow", "pillow-heif"}
    train = {normal(Requirement(line).name) for line in PROJECT["optional-dependencies"]["train"]}
    assert {"torch", "torchvision", "timm", "tensorboard", "scikit-learn"} <= train


def test_the_version_stands_in_one_place() -> None:
    module = pytest.importorskip("fpg._C")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert importlib.metadata.version(packages.DISTRIBUTION) == fpg.__version__ == module.build_info().version == citation["version"]
    assert "version" in PROJECT["dynamic"]


def test_configurations_and_pins_ship_with_the_package() -> None:
    package = Path(fpg.__file__).parent
    for folder, link in (("configs", "configs"),):
        assert (ROOT / link).resolve() == (package / folder).resolve()
    for name in ("models", "samples", "modelopt", "triton"):
        assert (ROOT / f"requirements-{name}.txt").read_text() == (package / "requirements" / f"{name}.txt").read_text()


def test_a_program_that_lacks_a_package_says_which_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> int:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(packages, "installed_version", lambda project: None)
    assert run(lambda: fail("torch.nn")) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"error: \S+ needs torch\.nn, which is not installed: pip install 'torch>=[\d.]+' torchvision .*\n", said), said
    with pytest.raises(ModuleNotFoundError):  # a bug of ours is no missing package
        run(lambda: fail("fpg.surely_absent"))
