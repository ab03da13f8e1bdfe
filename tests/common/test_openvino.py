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


FIRST_ARRAYS = """
import faulthandler, sys, threading
from fpg.common.openvino import core
from fpg.faces.mediapipe import DETECTOR_FILE, model_path
faulthandler.dump_traceback_later(60, exit=True)
sys.setswitchinterval(1e-6)
model = core().read_model(model_path(DETECTOR_FILE))
requests = [core().compile_model(model, "CPU").create_infer_request() for _ in range(4)]
together = threading.Barrier(4)
def first(request):
    tensors = request.input_tensors
    together.wait()
    tensors[0].data
threads = [threading.Thread(target=first, args=(request,), daemon=True) for request in requests]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
"""


def test_threads_that_look_at_their_first_tensors_at_once_go_on() -> None:
    for _ in range(3):  # the bindings' table made by the threads stopped four tries of five
        done = subprocess.run([sys.executable, "-c", FIRST_ARRAYS], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
