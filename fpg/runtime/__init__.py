"""Deployment in Python: from an input to its judgement, and the report. Needs no torch."""
