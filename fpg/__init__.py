"""fpg: deepfake detectors trained from real faces only, with Forgery Perception Guidance (ACM MM 2024).

Importing `fpg` imports neither torch nor any engine; take what you need from its rooms (see docs/architecture.md).
"""

__version__ = "0.1.0"
