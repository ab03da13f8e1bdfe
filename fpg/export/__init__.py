"""From trained weights to a deployable network, with proof that both give the same scores: `export_detector` is `fpg-export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpg.common.lazy import lazy

if TYPE_CHECKING:
    from fpg.export.exporter import Exported, export_detector, verify_engine

__all__ = ["Exported", "export_detector", "verify_engine"]
__getattr__, __dir__ = lazy(__name__, dict.fromkeys(__all__, "exporter"))
