"""Networks: the detector over any timm backbone, the face quality network, published weights, the Hugging Face Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpg.common.lazy import lazy

if TYPE_CHECKING:
    from fpg.models.checkpoints import import_checkpoint
    from fpg.models.detector import Detector, DetectorConfig, build_detector, load_detector, save_detector
    from fpg.models.hub import push_to_hub

__all__ = ["Detector", "DetectorConfig", "build_detector", "import_checkpoint", "load_detector", "push_to_hub", "save_detector"]
__getattr__, __dir__ = lazy(__name__, {**dict.fromkeys(__all__, "detector"), "import_checkpoint": "checkpoints", "push_to_hub": "hub"})
