"""fpg: deepfake detectors trained from real faces only, with Forgery Perception Guidance (ACM MM 2024).

Importing `fpg` imports neither torch nor any engine; take what you need from its rooms (see docs/architecture.md).
"""

import sys

__version__ = "0.1.0"

# OpenVINO's Python package reports its import to an analytics service when this module is there. Nothing of ours sends anything, so it
# never is; OpenVINO then does without.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
