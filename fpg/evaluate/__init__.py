"""Evaluation: metrics, the protocol behind them, the report. Needs no torch. `evaluate(MODEL, DATA)` is `fpg-eval`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpg.common.lazy import lazy

if TYPE_CHECKING:
    from fpg.evaluate.evaluation import evaluate

__all__ = ["evaluate"]
__getattr__, __dir__ = lazy(__name__, {"evaluate": "evaluation"})
