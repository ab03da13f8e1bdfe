"""Networks: the detector over any timm backbone, the face quality network, published weights, the Hugging Face Hub."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    **dict.fromkeys(("Detector", "DetectorConfig", "build_detector", "load_detector", "save_detector"), "detector"),
    "import_checkpoint": "checkpoints",
    "push_to_hub": "hub",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for: torch takes seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
