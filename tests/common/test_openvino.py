"""Signals after OpenVINO's models were let go: several cores used to leave a freed signal stack behind."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import gc, signal
import numpy as np
from fpg.common.upright import Roi
from fpg.faces.mediapipe import BlazeFaceDetector, FaceMeshLandmarker
for _ in range(2):
    detector, landmarker = BlazeFaceDetector(), FaceMeshLandmarker()
    image = np.zeros((64, 64, 3), np.uint8)
    detector.detect(image)
    landmarker._place(image, Roi(32, 32, 40, 0))
    del detector
    gc.collect()
    del landmarker
    gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
signal.raise_signal(signal.SIGTERM)
"""


def test_a_signal_after_the_models_are_gone_is_handled() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
