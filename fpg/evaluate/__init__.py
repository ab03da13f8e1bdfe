"""Evaluation: metrics, the protocol behind them, the report. Needs no torch."""
