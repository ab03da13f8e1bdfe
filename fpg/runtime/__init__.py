"""Deployment: from videos, pictures, folders, streams and arrays to scores. Needs no torch."""

from fpg.runtime.pipeline import VideoDetector, judge, judge_many

__all__ = ["VideoDetector", "judge", "judge_many"]
