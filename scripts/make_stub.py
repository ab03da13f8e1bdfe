"""Write fpg/_C.pyi, the types of the compiled module, from the module itself: run it after a change of csrc/*/bind.cpp.

    python scripts/make_stub.py [--check]

and build once more: the module carries the hash of this file, by which a checkout knows a build that is not its own.

Names, arguments and types are those that pybind11 writes into docstrings. `--check` writes nothing and fails when the file differs.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

STUB = Path(__file__).resolve().parents[1] / "fpg" / "_C.pyi"
HEADER = '''"""Types of the compiled module. Written by scripts/make_stub.py: change csrc/*/bind.cpp, build, and run that."""
'''
_NAMES = {
    "typing.SupportsInt | typing.SupportsIndex": "int",
    "typing.SupportsFloat | typing.SupportsIndex": "float",
    "typing.SupportsInt": "int",
    "typing.SupportsFloat": "float",
    "fpg._C.": "",
    "collections.abc.": "",
}
_SIZED = re.compile(r', "FixedSize\(\d+\)"')


def python_type(text: str) -> str:
    """A type or signature of pybind11's as a stub has it: numbers are int or float, classes have no module."""
    for name, short in _NAMES.items():
        text = text.replace(name, short)
    text = re.sub(r"^dict$", "dict[str, Any]", text)
    text = re.sub(r"(?:typing\.)?Annotated\[(.+?)" + _SIZED.pattern + r"\]", r"\1", text)
    return text


def signature(function: object, name: str, method: bool = False) -> str:
    """`def` line of a function, from the first line of its docstring."""
    line = (inspect.getdoc(function) or "").splitlines()[0]
    found = re.fullmatch(rf"{re.escape(name)}\((.*)\) -> (.+)", line)
    if not found:
        raise SystemExit(f"{name}: expected a signature of pybind11, got {line!r}")
    arguments, result = (python_type(part) for part in found.groups())
    if method:
        arguments = re.sub(r"^(self|arg0): \w+", "self", arguments)
    return f"def {name}({arguments}) -> {result}: ..."


def class_lines(kind: type, name: str) -> list[str]:
    """A class with its constructor and read-only attributes."""
    body = []
    for attribute, value in vars(kind).items():
        if isinstance(value, property):
            result = python_type((inspect.getdoc(value.fget) or "").splitlines()[0].rpartition(" -> ")[2])
            body += ["    @property", f"    def {attribute}(self) -> {result}: ..."]
        elif (attribute == "__init__" or not attribute.startswith("_")) and f"{attribute}(" in (inspect.getdoc(value) or ""):
            body.append("    " + signature(value, attribute, method=True))
    return [f"class {name}:", *(body or ["    ..."])]


def stub(module: ModuleType) -> str:
    """The whole stub, sorted by kind and name."""
    names = {name: value for name, value in sorted(vars(module).items()) if not name.startswith("__")}
    constants = [f"{name}: {type(value).__name__}" for name, value in names.items() if isinstance(value, int | str)]
    classes = [line for name, value in names.items() if isinstance(value, type) for line in ["", *class_lines(value, name)]]
    functions = [signature(value, name) for name, value in names.items() if callable(value) and not isinstance(value, type)]
    imports = ["from collections.abc import Sequence", "from typing import Any", ""]
    return "\n".join([HEADER, *imports, *constants, *classes, "", *functions, ""])


def formatted(text: str) -> str:
    """As `ruff format` leaves it."""
    import subprocess

    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUB), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail when the file is not what it should be")
    args = parser.parse_args()
    text = formatted(stub(importlib.import_module("fpg._C")))
    if args.check:
        same = STUB.read_text() == text
        print("fpg/_C.pyi " + ("is what it should be" if same else "differs from the module: run scripts/make_stub.py"))
        return 0 if same else 1
    STUB.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
