"""fpg: deepfake detectors trained from real faces only, with Forgery Perception Guidance (ACM MM 2024).

`VideoDetector` judges videos and pictures; `SelfBlend` makes pairs for any training loop; `load_detector` reads trained weights as a torch
module; `train.train`, `evaluate.evaluate` and `export.export_detector` are the programs of those names as functions. Each is imported when
it is first used: `import fpg` imports neither torch nor any engine.
"""

import sys
from typing import TYPE_CHECKING

from fpg.common.lazy import lazy

if TYPE_CHECKING:
    from fpg import evaluate, export, train
    from fpg.models import load_detector
    from fpg.pairs import SelfBlend
    from fpg.runtime import VideoDetector

__version__ = "0.1.0"
__all__ = ["SelfBlend", "VideoDetector", "__version__", "evaluate", "export", "load_detector", "train"]

__getattr__, _names = lazy(
    __name__,
    {
        "SelfBlend": "pairs",
        "VideoDetector": "runtime",
        "evaluate": "evaluate",
        "export": "export",
        "load_detector": "models",
        "train": "train",
    },
)


def __dir__() -> list[str]:
    return sorted([*_names(), "__version__"])


# OpenVINO's Python package reports its import to an analytics service if this module is available. fpg sends nothing anywhere, so it is
# made unavailable; OpenVINO works without it.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
