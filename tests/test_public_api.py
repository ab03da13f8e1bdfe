"""What `import fpg` offers: a few names, typed, that cost nothing until they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fpg

ROOT = Path(__file__).parents[1]
NAMES = ["SelfBlend", "VideoDetector", "__version__", "evaluate", "export", "load_detector", "train"]
PACKAGES = ["fpg", "fpg.train", "fpg.evaluate", "fpg.export", "fpg.models", "fpg.runtime"]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_names_are_seen() -> None:
    assert dir(fpg) == sorted(NAMES) == sorted(fpg.__all__)


def test_import_is_cheap() -> None:
    code = "import sys; before = set(sys.modules); import fpg, fpg.train, fpg.evaluate, fpg.export, fpg.models; dir(fpg.train); "
    loaded = run(code + "print(*(set(sys.modules) - before))").split()
    assert "fpg" in loaded
    assert not {"torch", "numpy", "cv2", "openvino", "av", "PIL", "pyarrow"} & set(loaded)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_exists_with_a_docstring(package: str) -> None:
    code = (
        f"import importlib; p = importlib.import_module('{package}'); names = sorted(p.__all__)\n"
        "assert set(names) <= set(dir(p)), (names, dir(p))\n"
        "print(*(n for n in names if not n.startswith('__') and not (getattr(p, n).__doc__ or '').strip()))"
    )
    assert run(code) == ""


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fpg' has no attribute 'detectors'"):
        _ = fpg.detectors  # type: ignore[attr-defined]


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(fpg.__file__).parent / "py.typed").is_file()


def _any_options(path: Path) -> list[str]:
    """Public functions, methods and classes' constructors with keyword arguments of any type."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__") and node.args.kwarg:
            kind = node.args.kwarg.annotation
            if isinstance(kind, ast.Name) and kind.id == "Any":
                found.append(f"{path.relative_to(ROOT)}: {node.name}(**{node.args.kwarg.arg}: Any)")
    return found


def test_no_public_function_takes_options_of_any_kind() -> None:
    allowed = {"render", "write_page", "line"}  # values of a template, and of a line of the log: their names are the data
    found = [text for path in sorted((ROOT / "fpg").rglob("*.py")) for text in _any_options(path)]
    assert [text for text in found if text.split(": ")[1].split("(")[0] not in allowed] == []
