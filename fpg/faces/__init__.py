"""Faces: detectors and landmarkers behind one protocol, dlib-style landmarks, readers of precomputed ones. Needs no torch."""

from fpg.faces.analyzer import FaceAnalyzer, default_analyzer
from fpg.faces.types import Detection, Face, FaceDetector, Landmarker

__all__ = ["Detection", "Face", "FaceAnalyzer", "FaceDetector", "Landmarker", "default_analyzer"]
